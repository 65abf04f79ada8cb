"""`jaxnn resume RUN --epochs N`: a finished run gets more epochs, exactly where the learning rate allows it."""

import json
import shutil

import jax
import numpy as np
import pytest
from rings import first_of

from jaxnn.cli.main import main
from jaxnn.cli.run_extensions import Extension, describe_extension, extend
from jaxnn.cli.training_flags import RECIPES
from jaxnn.runs import checkpoints
from jaxnn.runs.loggers import read_metrics

TINY = ["train", "softmax_regression", "--data", "blobs", "--batch-size", "475", "--no-pictures", "--no-tensorboard"]


@pytest.fixture(autouse=True)
def on_one_device(monkeypatch):
    """The tests' eight devices would compile every program for eight."""
    devices = jax.devices()
    monkeypatch.setattr(jax, "devices", lambda *args: devices[:1])


def trained(folder, *flags):
    assert main([*TINY, *flags, "--out", str(folder)]) == 0
    return folder


def resumed(folder, *flags, status=0):
    assert main(["resume", str(folder), *flags]) == status


def arrays(folder, step):
    return (folder / f"checkpoints/{step:08d}.safetensors").read_bytes()


def results(folder):
    return json.loads((folder / "result.json").read_text())


@first_of("schedule", ["constant", "inverse_time", "warm_restarts"])
def test_three_epochs_and_two_more_are_five_bit_for_bit(schedule, tmp_path, capsys):
    whole = trained(tmp_path / "whole", "--schedule", schedule, "--epochs", "5")
    parts = trained(tmp_path / "parts", "--schedule", schedule, "--epochs", "3")
    config = (parts / "config.json").read_bytes()
    capsys.readouterr()
    resumed(parts, "--epochs", "5")
    assert capsys.readouterr().err.startswith(
        "5 epochs in all, 3 of them made; the learning rate goes on as in a run of so many epochs; the test data are "
        "measured again at the end\n"
    )
    assert arrays(parts, 10) == arrays(whole, 10)
    assert results(parts) == results(whole)
    assert (parts / "config.json").read_bytes() == config
    lines = [[{**row, "seconds": 0} for row in read_metrics(run / "metrics.jsonl")] for run in (parts, whole)]
    assert lines[0] == lines[1]
    before = arrays(parts, 10)
    resumed(parts)  # goes on with its extension, in which nothing is left to do
    assert arrays(parts, 10) == before


def tensors(folder, step):
    """The float32 arrays of a checkpoint by name, read by the definition of safetensors."""
    content = arrays(folder, step)
    start = 8 + int.from_bytes(content[:8], "little")
    table = {name: entry for name, entry in json.loads(content[8:start]).items() if entry.get("dtype") == "F32"}
    ends = {name: [start + end for end in entry["data_offsets"]] for name, entry in table.items()}
    return {name: np.frombuffer(content[a:b], "<f4").reshape(table[name]["shape"]) for name, (a, b) in ends.items()}


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A finished run whose learning rate fell to 0 in three epochs of two steps."""
    return trained(tmp_path_factory.mktemp("runs") / "linear", "--schedule", "linear", "--epochs", "3")


def test_a_schedule_is_stretched_from_where_the_run_stands(linear, tmp_path, capsys):
    """The last steps are those of a run whose rate is linear over five epochs, from the state after three."""
    run = shutil.copytree(linear, tmp_path / "run")
    capsys.readouterr()
    resumed(run, "--epochs", "4")
    said = capsys.readouterr().err
    assert (
        "4 epochs in all, 3 of them made; linear is stretched over all of them: the next learning rate is 0.0005;"
        in said
    )
    before, after = tensors(run, 6), tensors(run, 8)
    lengths = [name for name in before if "learning_rate" in name and before[name] == 6]
    assert lengths
    assert [after[name] for name in lengths] == [8] * len(lengths)
    assert all((after[name] != before[name]).any() for name in before if name.startswith("params/"))
    resumed(run, "--epochs", "4", "--keep-schedule")  # already made
    assert json.loads((run / "extension.json").read_text())["epochs"] == 4


def test_a_schedule_that_ended_at_nothing_is_not_kept(linear, tmp_path, capsys):
    run = shutil.copytree(linear, tmp_path / "run")
    resumed(run, "--epochs", "4", "--keep-schedule", status=2)
    assert (
        "--keep-schedule needs a schedule that does not end near 0; linear does, after 3 epochs"
        in capsys.readouterr().err
    )
    assert not (run / "extension.json").exists()


@pytest.mark.full
def test_a_schedule_that_is_kept_goes_on_as_it_was(tmp_path, capsys):
    run = trained(tmp_path / "run", "--schedule", "step_decay", "--decay-rate", "0.5", "--epochs", "3")
    resumed(run, "--epochs", "4", "--keep-schedule")
    assert "step_decay stays as it was: the next learning rate is 0.00025" in capsys.readouterr().err
    assert json.loads((run / "extension.json").read_text()) == {"epochs": 4, "schedule_epochs": 3, "patience_from": 0}


@pytest.mark.full
def test_an_interrupted_extension_ends_where_an_uninterrupted_one_does(linear, tmp_path, monkeypatch):
    whole, cut = (shutil.copytree(linear, tmp_path / name) for name in ("whole", "cut"))
    resumed(whole, "--epochs", "6")
    save, saved = checkpoints.save, []

    def interrupted(*args, **options):
        save(*args, **options)
        saved.append(options["step"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save", interrupted)
        resumed(cut, "--epochs", "6", status=130)
    assert saved == [8, 10]
    resumed(cut)
    assert arrays(cut, 12) == arrays(whole, 12)


def test_a_run_that_stopped_early_is_finished_and_goes_on_only_with_more_epochs(tmp_path, capsys):
    run = trained(tmp_path / "run", "--epochs", "6", "--patience", "1", "--learning-rate", "0.1")
    made = checkpoints.steps(run / "checkpoints")[-1]
    assert made < 12
    before = results(run)
    resumed(run)  # trained another epoch each time
    assert checkpoints.steps(run / "checkpoints")[-1] == made
    assert results(run) == before
    resumed(run, "--epochs", "7")
    assert checkpoints.steps(run / "checkpoints")[-1] > made
    assert json.loads((run / "extension.json").read_text())["patience_from"] == made


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "2"], "--epochs must be at least 3, which the run has already; received 2"),
        (["--epochs", "0"], "--epochs must be an integer of at least 1; received 0"),
        (
            ["--keep-schedule"],
            "--keep-schedule says what becomes of the schedule with more --epochs; received it alone",
        ),
        (["--epochs", str(2**31 - 1)], "steps; at most 2147483647 can be counted. Say --epochs 1073741823 or less"),
    ],
)
def test_what_is_no_extension_is_refused(flags, words, linear, capsys):
    resumed(linear, *flags, status=2)
    assert words in capsys.readouterr().err
    assert not (linear / "extension.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"epochs": 2, "schedule_epochs": 2, "patience_from": 0}',
        '{"epochs": 4, "schedule_epochs": 5, "patience_from": 0}',
        '{"epochs": 4.0, "schedule_epochs": 4, "patience_from": 0}',
        '{"epochs": 4, "schedule_epochs": 4, "patience_from": 0, "model": "x"}',
        '{"epochs": 4}',
        "[]",
        "{",
    ],
)
def test_an_edited_extension_is_refused(text, linear, tmp_path, capsys):
    run = shutil.copytree(linear, tmp_path / "run")
    (run / "extension.json").write_text(text)
    resumed(run, status=2)
    said = capsys.readouterr().err
    assert "extension.json" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("record", [{"command": "search"}, {"strategy": "downpour"}])
def test_other_commands_have_no_epochs_to_add(record, linear, tmp_path, capsys):
    run = shutil.copytree(linear, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"config": config["config"] | record}))
    resumed(run, "--epochs", "5", status=2)
    assert "--epochs is of runs on their own" in capsys.readouterr().err


def test_extensions_follow_one_another():
    stretched = extend(Extension(3, 3), epochs=5, keeps_schedule=False)
    assert extend(stretched, epochs=8, keeps_schedule=True) == Extension(8, 5)
    assert extend(stretched, epochs=None, keeps_schedule=False) is stretched


def test_the_schedule_of_own_code_is_not_described():
    config = type(RECIPES["mlp"])(**{**vars(RECIPES["mlp"]), "model": "mine.py:NET"})
    told = describe_extension(config, Extension(12, 12), step=20, steps_per_epoch=2)
    assert told == "12 epochs in all, 10 of them made; the schedule is of 12 epochs"
