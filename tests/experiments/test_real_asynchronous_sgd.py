"""The experiment runs, its log replays, and a process that is killed does not end it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*args) -> str:
    pytest.importorskip("ray")
    command = [sys.executable, str(ROOT / "experiments" / "real_asynchronous_sgd.py"), "--smoke", *args]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_the_table_has_a_row_that_replays():
    (row,) = [line for line in run().splitlines() if line.startswith("| exact")]
    assert row.strip("| ").split(" | ")[-1] == "bit for bit"


@pytest.mark.slow
def test_kills_are_survived():
    printed = run("--minutes-of-kills", "0.5", "--seconds-between-kills", "8")
    assert "killed one of the workers" in printed
    assert printed.strip().endswith("pushes: bit for bit")
