"""The experiment runs, its differences are the gradient, and its fit finds a slope. No time is asserted."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "experiments"


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("gradient_cost", EXPERIMENTS / "gradient_cost.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gradient_cost", module)
    spec.loader.exec_module(module)
    return module


def test_smoke_prints_a_row_a_depth_and_draws(tmp_path):
    command = [sys.executable, str(EXPERIMENTS / "gradient_cost.py"), "--smoke", "--out", str(tmp_path / "runs")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    rows = [line.strip("| ").split(" | ") for line in finished.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[0] for row in rows] == ["1,024", "2,048", "3,072"]
    assert all(float(row[1]) > 0 for row in rows)
    assert [row[2] == "-" for row in rows] == [False, False, True]  # too many weights for differences
    assert all(float(row[4]) < 1e-2 for row in rows[:2])
    assert (tmp_path / "runs" / "gradient_cost.png").read_bytes()[:4] == b"\x89PNG"


def test_its_differences_are_the_gradient(experiment, x64):
    rng = np.random.default_rng(0)
    loss = experiment.error_function(jnp.asarray(rng.normal(size=(5, 3))), jnp.array([0, 1, 2, 0, 1]))
    w = jnp.asarray(rng.normal(size=4 * 9))
    assert_close(experiment.differences(loss, w, 1e-5), jax.grad(loss)(w), rtol=1e-8)  # h^2 and rounding


def test_its_slope_is_that_of_the_upper_half(experiment):
    weights = [10, 100, 1000, 10_000, 100_000]
    milliseconds = [7.0, 7.0, 1e-6 * 1000**2, 1e-6 * 10_000**2, np.nan]
    assert experiment.slope(weights, milliseconds) == pytest.approx(2.0)
