"""Words as people write them: flags under the names of other tools, lists with commas, folders with a tilde."""

import re
from pathlib import Path

import pytest

from jaxnn.cli.cross_validation_command import CrossValidationFlags
from jaxnn.cli.ensemble_command import EnsembleFlags
from jaxnn.cli.flag_synonyms import SYNONYMS
from jaxnn.cli.flag_words import _flags, split_lists
from jaxnn.cli.home_folders import expand_home
from jaxnn.cli.launch_command import LaunchFlags
from jaxnn.cli.main import main
from jaxnn.cli.race_command import RaceFlags
from jaxnn.cli.search_command import SearchFlags
from jaxnn.cli.training_commands import read_training
from jaxnn.cli.training_flags import Training


def refused(capsys, *args) -> str:
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        ("--lr", "--learning-rate"),
        ("-lr", "--learning-rate"),
        ("--LR", "--learning-rate"),
        ("--batch", "--batch-size"),
        ("--bs", "--batch-size"),
        ("--batchSize", "--batch-size"),
        ("--gpu", "--devices"),
        ("--num_gpus", "--devices"),
        ("--random-state", "--seed"),
        ("--random_seed", "--seed"),
        ("--wd", "--weight-decay"),
        ("--epoch", "--epochs"),
        ("--n-epochs", "--epochs"),
        ("--opt", "--optimizer"),
        ("--scheduler", "--schedule"),
        ("--dropout", "--dropout-rate"),
        ("--layers", "--hidden"),
        ("--output-dir", "--out"),
        ("--dataset", "--data"),
        ("--data-dir", "--data-folder"),
        ("--beta1", "--b1"),
        ("--val-split", "--validation"),
        ("--early-stopping", "--patience"),
        ("--weight-decya", "--weight-decay"),
        ("-epocs", "--epochs"),
    ],
)
def test_a_name_of_another_tool_leads_to_the_flag(word, flag, capsys):
    assert f"unknown flag of `jaxnn train` '{word}'; did you mean '{flag}'?" in refused(capsys, "train", word, "0.1")


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("--model", "The model stands without a flag: jaxnn train lenet5."),
        ("--resume", "A run goes on with: jaxnn resume RUN."),
        ("--cpu", "The environment says it: JAX_PLATFORMS=cpu jaxnn ..."),
    ],
)
def test_what_is_no_flag_here_is_told_otherwise(word, remedy, capsys):
    assert f"'{word}'. {remedy}" in refused(capsys, "train", word, "lenet5")


def test_every_synonym_leads_to_a_flag_that_exists():
    kinds = (Training, SearchFlags, EnsembleFlags, CrossValidationFlags, RaceFlags, LaunchFlags)
    known = {flag for kind in kinds for flag, _ in _flags(kind)} | {"--step", "--top"}
    assert SYNONYMS.keys() <= known
    own = {flag.removeprefix("--") for flag, _ in _flags(Training)}
    assert not own & {name for names in SYNONYMS.values() for name in names.split()} - {"epoch"}


@pytest.mark.parametrize(
    "words",
    [
        "--hidden 128 64",
        "--hidden 128,64",
        "--hidden 128, 64",
        "--hidden=128,64",
        "--hidden=128x64",
        "--hidden=128 64,",
    ],
)
def test_a_list_may_be_written_with_commas_and_spaces(words):
    words = [words] if "=" in words else words.split(" ")
    assert read_training(["mlp", *words, "--epochs", "3"]).hidden == (128, 64)


def test_lists_of_every_command(capsys):
    assert split_lists(RaceFlags, ["beale", "--optimizers", "adam,sgd"]) == ["beale", "--optimizers", "adam", "sgd"]
    over = ["mlp", "--over", "hidden=32,", "64", "learning_rate=0.1", "0.2", "--trials", "3"]
    split = ["mlp", "--over", "hidden=32,64", "learning_rate=0.1,0.2", "--trials", "3"]
    assert split_lists(SearchFlags, over) == split
    assert split_lists(SearchFlags, split) == split
    assert "--hidden needs an integer behind it; received none" in refused(capsys, "train", "mlp", "--hidden", ",")
    assert "--hidden must be an integer; received 'a'" in refused(capsys, "train", "mlp", "--hidden", "4,a")


def test_a_tilde_is_the_home_folder_wherever_a_path_may_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = read_training(["mlp", "--out=~/run", "--data-folder=~/data"])
    assert (config.out, config.data_folder) == (str(tmp_path / "run"), str(tmp_path / "data"))
    for command in (["evaluate", "~/run"], ["resume", "~/run"], ["predict", "~/run", "~/image.png"]):
        assert f"{tmp_path / 'run'} is no folder" in refused(capsys, *command)
    Path(tmp_path, "mine.py").write_text("raise ValueError('it was run')")
    for command in (["train"], ["search"]):
        assert "it was run" in refused(capsys, *command, "~/mine.py:NET")


def test_an_unknown_home_folder_is_told(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(ValueError, match=re.escape("the home folder must be known for ~/x; HOME is not set.")):
        expand_home("~/x")


@pytest.mark.parametrize(
    "command",
    [
        ["search", "mlp", "--over", "learning_rate=0.1", "--strategy", "grid", "--seeds", "2"],
        ["cross-validate", "mlp", "--over", "learning_rate=0.1", "--seeds", "2"],
        ["ensemble", "mlp", "--members", "2"],
    ],
)
def test_seeds_do_not_wrap_around(command, capsys):
    said = refused(capsys, *command, "--seed", 2**32 - 1)
    assert "--seed must leave room for the 2 seeds of --" in said
    assert "received 4294967295. Take at most 4294967294." in said
