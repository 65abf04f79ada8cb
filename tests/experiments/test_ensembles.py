"""The experiment runs, its table and its last lines agree, and it draws both pictures."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_smoke_measures_single_members_and_all_together(tmp_path):
    script = str(ROOT / "experiments" / "ensembles.py")
    command = [sys.executable, script, "--smoke", "--out", str(tmp_path / "runs")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    rows = [line.strip("| ").split(" | ") for line in finished.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    errors = [[float(cell) for cell in row[1:]] for row in rows]
    assert errors[0][0] == errors[0][1]  # one member's vote is its average
    assert errors[0][2] == errors[0][3]
    assert all(0 < error < 90 for row in errors for error in row)  # better than chance
    for name, column in (("same images", 0), ("bootstraps", 2)):
        assert f"{errors[-1][column]:.2f} % together" in finished.stdout
        picture = tmp_path / "runs" / f"ensemble_mnist_{name.replace(' ', '_')}.png"
        assert picture.read_bytes()[:4] == b"\x89PNG"
