"""Its predictions come from one device and from sums over two. No time is asserted."""

import pytest
from experiment_files import load

experiment = load("scaling")


def test_predictions_come_from_one_device_and_sums_over_two(monkeypatch):
    monkeypatch.setattr(experiment, "cores", lambda: 2)
    size, latency, bandwidth = 1e6, 1e-1, 1e5
    measured = {
        n: {"step": 1.2, "cpu": 1.0, "small": 1e-2 + 2 * (n - 1) * latency, "bytes": size,
            "sum": 1e-2 + 2 * (n - 1) * (latency + size / n / bandwidth)}
        for n in (1, 2, 4)
    }  # fmt: skip
    predicted = experiment.predict(measured)
    assert predicted[2]["sum"] == pytest.approx(measured[2]["sum"] - 1e-2)
    assert predicted[1] == {"sum": 0.0, "step": 1.0}
    assert predicted[4]["sum"] == pytest.approx(2 * (measured[4]["sum"] - 1e-2))
    assert predicted[4]["step"] == pytest.approx(2.0 + predicted[4]["sum"])  # four devices take turns on two cores


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match="`devices` must be at most 8"):
        experiment.measure_on(9, experiment.Settings())
