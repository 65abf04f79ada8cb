"""The experiment runs on one and two devices, and predicts of one what it measured there. No time is asserted."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "experiments"


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("scaling", EXPERIMENTS / "scaling.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "scaling", module)
    spec.loader.exec_module(module)
    return module


def test_smoke_prints_both_tables_and_draws(tmp_path):
    command = [sys.executable, str(EXPERIMENTS / "scaling.py"), "--smoke", "--out", str(tmp_path / "runs")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    rows = [line.strip("| ").split(" | ") for line in finished.stdout.splitlines() if line.startswith("|")]
    measured, paper = rows[2:4], rows[6:]
    assert [row[0] for row in measured] == ["1", "2"]
    assert measured[0][-1] in ("+0%", "-0%")  # one device's processor time is what all is predicted from
    assert [row[0] for row in paper] == ["LeNet-5", "AlexNet", "VGG-16", "ResNet-50"]
    assert "cores under all devices" in finished.stdout
    assert (tmp_path / "runs" / "scaling.png").read_bytes()[:4] == b"\x89PNG"


def test_predictions_come_from_one_device_and_sums_over_two(experiment, monkeypatch):
    monkeypatch.setattr(experiment, "cores", lambda: 2)
    size, latency, bandwidth = 1e6, 1e-4, 1e8
    measured = {
        n: {"step": 1.2, "cpu": 1.0, "small": 1e-5 + 2 * (n - 1) * latency, "bytes": size,
            "sum": 1e-5 + 2 * (n - 1) * (latency + size / n / bandwidth)}
        for n in (1, 2, 4)
    }  # fmt: skip
    predicted = experiment.predict(measured)
    assert predicted[2]["sum"] == pytest.approx(measured[2]["sum"] - 1e-5)
    assert predicted[1] == {"compute": 1.0, "sum": 0.0, "step": 1.0}
    assert predicted[4]["compute"] == 2.0  # four devices take turns on two cores
    assert predicted[4]["sum"] == pytest.approx(2 * (measured[4]["sum"] - 1e-5))


def test_on_paper_wide_heads_end_first(experiment):
    settings = experiment.Settings(machines=64)
    ends = {name: int(experiment.on_paper(name, model, settings)[6]) for name, model in experiment.MODELS.items()}
    assert ends["AlexNet"] < ends["VGG-16"] < ends["ResNet-50"]
