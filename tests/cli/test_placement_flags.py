"""`--placement` and `--devices`: another division of the work, not another run."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxnn import parallel
from jaxnn.cli.main import main
from jaxnn.cli.training_flags import RECIPES, from_record, to_record
from jaxnn.placement_names import PLACEMENT_NAMES

TINY = [
    *("--train-examples", "600", "--test-examples", "200", "--epochs", "1", "--batch-size", "50"),
    *("--no-tensorboard", "--no-pictures"),
]


def train(folder, *flags):
    assert main(["train", "mlp", *TINY, *map(str, flags), "--out", str(folder)]) == 0
    return load_file(folder / "checkpoints/00000012.safetensors")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "alone")


@pytest.mark.full
@pytest.mark.parametrize(
    "flags",
    [
        ("--devices", 2),
        ("--placement", "pmap", "--devices", 5),
        ("--placement", "fully_sharded", "--devices", 2),
        ("--placement", "single"),
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_every_placement_ends_at_the_parameters_of_one_device(flags, alone, tmp_path, capsys):
    ours = train(tmp_path / "run", *flags)
    memory = "on each of 2 devices, 0.20 for its part of parameters and 0.39 for its part of the optimizer's state"
    said = capsys.readouterr().err
    assert (memory in said) == ("fully_sharded" in flags)
    assert ours.keys() == alone.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], alone[name], rtol=0, atol=1e-6, err_msg=name)
    assert main(["resume", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--placement", "smap"), "unknown placement 'smap'; did you mean 'pmap'"),
        (("--devices", "0"), "--devices must be an integer of at least 1; received 0"),
        (("--devices", "10"), "--devices must be at most 8"),
        (
            ("--devices", "4"),
            "--batch-size must be a multiple of the 4 devices that share a batch; received 50. Take 48",
        ),
        (("--placement", "single", "--devices", "2"), "--placement single is one device; received --devices 2"),
    ],
)
def test_bad_flags_are_refused_before_a_folder_is_made(flags, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(jax.devices()) == 8  # in use from now on: no flag can make others, whichever test is the first
    assert main(["train", "mlp", *TINY, *flags]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_summary_tells_the_memory_of_a_step_as_xla_does(capsys):
    assert main(["summary", "mlp", "--hidden", "512", "--placement", "fully_sharded", "--devices", "8"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" MiB a device")]
    told = {
        name.strip(): float(size)
        for name, size in (line.removesuffix(" MiB a device").rsplit(maxsplit=1) for line in lines)
    }
    parameters = 785 * 512 + 513 * 10
    assert told["parameters"] == pytest.approx(4 * parameters / 8 / 2**20, abs=0.01)
    assert told["optimizer"] == pytest.approx(2 * told["parameters"], abs=0.02)
    assert told["arguments"] == pytest.approx(told["allocated by XLA: arguments"], abs=0.01)
    assert main(["summary", "mlp", "--placement", "fuly_sharded"]) == 2
    assert "did you mean 'fully_sharded'" in capsys.readouterr().err


@pytest.mark.full
def test_rows_of_its_own_for_each_device_are_another_order_of_all(alone, tmp_path, capsys):
    train(tmp_path / "run", "--placement", "local_rows", "--devices", 5)
    assert json.loads((tmp_path / "run/result.json").read_text())["last"]["count"] == 200
    flags = ["49" if word == "50" else word for word in TINY]
    there = ["--placement", "local_rows", "--devices", "7", "--out", str(tmp_path / "uneven")]
    assert main(["train", "mlp", *flags, *there]) == 0
    assert "mlp on mnist, 567 training examples" in capsys.readouterr().err  # of 570, what 7 divides


def test_the_names_are_those_of_the_placements(capsys):
    assert PLACEMENT_NAMES.keys() == parallel.PLACEMENTS.keys()
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name:<20}{text}" in listed for name, text in PLACEMENT_NAMES.items())


def test_configurations_of_before_still_load():
    record = json.loads(json.dumps(to_record(RECIPES["mlp"])))
    old = {name: value for name, value in record.items() if name not in ("placement", "devices")}
    assert from_record(old, where="here") == RECIPES["mlp"]
    with pytest.raises(ValueError, match="devices must be an integer or null; received '2'"):
        from_record(record | {"devices": "2"}, where="here")
