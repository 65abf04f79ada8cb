"""Its figures of memory are those of arithmetic."""

import pytest
from experiment_files import load

experiment = load("wide_head")


@pytest.mark.full
def test_state_is_counted_by_hand_and_borne_out():
    settings = experiment.Settings(widths=(512, 256, 256, 128), batch_size=32, devices=(2,))
    found = {finding.figure: finding for finding in experiment.measure(settings).findings}
    parameters = 513 * 256 + 257 * 256 + 257 * 128
    assert found["state, data parallel, MiB"].values == [pytest.approx(12 * parameters / 2**20, rel=1e-3)]
    halves = [found[f"state, {name}, MiB"] for name in ("FSDP", "tensor parallel", "both")]
    assert all(half.values == [pytest.approx(6 * parameters / 2**20, rel=0.01)] for half in halves)
    assert all(finding.holds for finding in found.values())
