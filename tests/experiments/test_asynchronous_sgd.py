"""The experiment runs, its four tables hold together, and it draws its pictures."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = (
    "staleness",
    "rate_against_workers_sgd",
    "rate_against_workers_adagrad",
    "accuracy_against_staleness",
    "accuracy_over_time",
)


def tables(text):
    """Header and rows of each."""
    blocks = [block for block in text.split("\n\n") if "|" in block]
    rows = [[line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("|")] for block in blocks]
    return [(of[0], {row[0]: row[1:] for row in of[2:]}) for of in rows]


def test_smoke_compares_orders_optimizers_workers_and_ways(tmp_path):
    script = str(ROOT / "experiments" / "asynchronous_sgd.py")
    command = [sys.executable, script, "--smoke", "--out", str(tmp_path / "runs")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    (_, late), (orders, by_order), (_, by_workers), (_, ways) = tables(finished.stdout)
    assert 2.8 < float(late["asynchronous"][0]) < 3  # N - 1 = 3, less at the beginning
    assert float(late["n_fetch = 4"][0]) > 6
    assert orders[1] == "in turns"
    assert list(by_order) == ["sgd 0.2", "sgd 0.5", "adagrad 0.02", "adagrad 0.1"]
    for name, accuracies in by_order.items():
        assert all(0 <= float(accuracy) <= 100 for accuracy in accuracies)
        assert len(by_workers[name]) == 2
    assert [float(tau) for tau in by_workers["mean staleness"]] == [0.0, 1.0]
    assert len(ways) == 10
    seconds = {name: float(row[0]) for name, row in ways.items()}
    assert seconds["1 backup worker"] < 0.5 * seconds["synchronous"]  # which waits for the straggler
    assert seconds["Downpour, AdaGrad"] < 0.5 * seconds["synchronous"]
    for name in PICTURES:
        assert (tmp_path / "runs" / f"asynchronous_sgd_{name}.png").read_bytes()[:4] == b"\x89PNG"
