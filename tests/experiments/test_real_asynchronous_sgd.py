"""Experiments with real processes: what holds however little they learn."""

import pytest
from experiment_files import PACKAGES, check_smoke_alone

HOLD = {
    "real_asynchronous_sgd": ["bytes, eight bits / exact", "bytes, top 1 % / exact", "largest difference of a replay"],
    "asynchronous_soak": [
        "workers killed; the run went on to its end",
        "servers killed",
        "servers restored from a checkpoint",
        "accepted updates lost beyond the checkpoint interval",
        "most lost at a death",
        "largest difference of the replay",
    ],
}


@pytest.mark.soak
@pytest.mark.parametrize("name", HOLD)
def test_smoke(name, tmp_path):
    pytest.importorskip(PACKAGES[name])
    findings = {finding["figure"]: finding for finding in check_smoke_alone(name, tmp_path)["findings"]}
    assert {figure: findings[figure]["holds"] for figure in HOLD[name]} == dict.fromkeys(HOLD[name], "yes"), findings
    assert (tmp_path / f"{name}.png").is_file()


def test_all_of_them_are_checked_here():
    assert HOLD.keys() == PACKAGES.keys()
