"""The experiment runs, says what the theorem says, and draws."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_smoke_stays_below_the_bound_and_draws(tmp_path):
    script = str(ROOT / "experiments" / "perceptron_convergence.py")
    command = [sys.executable, script, "--smoke", "--out", str(tmp_path / "runs")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    rows = [line.strip("| ").split(" | ") for line in finished.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[0] for row in rows] == ["0.3", "0.1"]
    for row in rows:
        bound, mistakes, most, least_ratio = (float(cell.replace(",", "")) for cell in row[1:5])
        assert 1 <= mistakes <= most
        assert mistakes <= bound
        assert least_ratio >= 1
    assert float(rows[0][1]) < float(rows[1][1])  # the smaller the margin, the larger the bound
    assert "XOR: after epoch 1 the weights [0.0, 0.0, 0.0] are those after epoch 0" in finished.stdout
    assert (tmp_path / "runs" / "perceptron_convergence.png").read_bytes()[:4] == b"\x89PNG"
