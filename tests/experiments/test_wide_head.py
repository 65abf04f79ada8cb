"""The experiment compiles a small head under every placement, and its two columns of arguments agree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_smoke_reports_every_placement(tmp_path):
    command = [sys.executable, str(ROOT / "experiments" / "wide_head.py"), "--smoke"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    rows = [line.strip("| ").split(" | ") for line in finished.stdout.splitlines() if line.startswith("|")][2:]
    sizes = {row[0].split(",")[0]: [float(cell) for cell in row[1:]] for row in rows}
    assert list(sizes) == ["data parallel", "FSDP", "tensor parallel", "both"]
    for name, (parameters, optimizer, *_, by_rule, by_xla, _, _) in sizes.items():
        assert by_rule == pytest.approx(by_xla, rel=0.01, abs=0.06)  # printed to a tenth
        assert optimizer == pytest.approx(2 * parameters, abs=0.16), name
    assert sizes["FSDP"][0] == pytest.approx(sizes["data parallel"][0] / 8, abs=0.06)
    assert "hidden1/* + largest" in finished.stdout
