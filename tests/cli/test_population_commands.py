"""`jaxnn search`, `ensemble`, `cross-validate`: what they write, that they keep off the test data, how they refuse."""

import csv
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from rings import first_of

from jaxnn import data, optimizers, training
from jaxnn.cli import cross_validation_command, ensemble_command, population_tasks, search_command, training_journal
from jaxnn.cli.assembly import MemberTrials
from jaxnn.cli.ensemble_command import EnsembleFlags
from jaxnn.cli.field_records import record_of
from jaxnn.cli.hyperparameters import OverRange, parse_over, train_command
from jaxnn.cli.main import main, parse
from jaxnn.cli.population_flags import Settings, SettingsWithoutTest
from jaxnn.cli.search_command import SearchFlags
from jaxnn.cli.training_flags import RECIPES, Training, check, from_record, load_data, to_record
from jaxnn.recipes import Facts
from jaxnn.recipes.chosen_values import Chosen
from jaxnn.recipes.named_recipes import known_recipe
from jaxnn.recipes.optimizer_choice import build_optimizer
from jaxnn.training import Evaluated

SMALL = ["--train-examples", "600", "--epochs", "1"]
FOUR = ["--over", "learning_rate=log:1e-3:1e-1", "dropout_rate=0,0.3", "--trials", "4"]


@pytest.fixture(autouse=True)
def on_one_device(monkeypatch):
    """The tests' eight devices would compile every program for eight."""
    devices = jax.devices()
    monkeypatch.setattr(jax, "devices", lambda *args: devices[:1])


@pytest.fixture
def without_test_data(monkeypatch):
    """Whoever looks at the test data fails."""
    for command in (search_command, cross_validation_command):
        monkeypatch.setattr(command, "load_data", lambda config: dataclasses.replace(load_data(config), test={}))


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def training_of(command: str) -> Training:
    """The configuration that a printed command makes."""
    jaxnn, train, model, *flags = shlex.split(command)
    assert (jaxnn, train) == ("jaxnn", "train")
    return parse(Training, [model, *flags], command="train", default=RECIPES[model])


# ------------------------------------------------------------------------------------------------------------- search


@pytest.mark.full
def test_a_grid_is_ranked_written_and_drawn(tmp_path, capsys, without_test_data):
    folder = tmp_path / "search"
    assert main(["search", "mlp", *FOUR, *SMALL, "--strategy", "grid", "--out", str(folder)]) == 0
    files = {
        ".lock",
        "config.json",
        "search.csv",
        "search.json",
        "trials.csv",
        "heat_map.png",
        "parallel_coordinates.png",
    }
    assert {path.name for path in folder.iterdir()} == files
    table, found = rows(folder / "search.csv"), json.loads((folder / "search.json").read_text())
    scores = [float(row["validation/accuracy"]) for row in table]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    assert {row["learning_rate"] for row in table} == {"0.001", "0.1"}
    best = {name: float(table[0][name]) for name in ("learning_rate", "dropout_rate")}
    assert found["best"] == best
    assert training_of(found["command"]) == dataclasses.replace(
        RECIPES["mlp"], epochs=1, train_examples=600, validation="none", **best
    )
    printed = capsys.readouterr()
    assert f"\n1     {100 * scores[0]:.2f} %" in printed.out
    assert printed.out.endswith(f"  {found['command']}\n")
    assert "540 examples, 60 held out" in printed.err


@pytest.mark.full
def test_a_score_is_that_of_the_training_alone(tmp_path, capsys):
    """The same member by `jaxnn train`'s own pieces, on what a search of this seed does not hold out."""
    from jaxnn.populations import hold_out
    from jaxnn.recipes.classifier_pieces import build_loss, build_model, build_preprocessing
    from jaxnn.recipes.training_recipes import facts_of
    from jaxnn.training import evaluate, fit

    over = ["--over", "label_smoothing=0.1,0.2", "learning_rate=0.01", "hidden=16,8x8"]
    args = ["search", "mlp", *over, *SMALL, "--strategy", "grid", "--seed", "3", "--out", str(tmp_path / "search")]
    assert main(args) == 0
    row = next(r for r in rows(tmp_path / "search/trials.csv") if (r["hidden"], r["label_smoothing"]) == ("8x8", "0.2"))
    config = dataclasses.replace(RECIPES["mlp"], epochs=1, hidden=(8, 8), learning_rate=0.01, label_smoothing=0.2)
    dataset = data.subset(data.load("mnist"), train=600)
    split = hold_out(600, 0.1, seed=3)
    part = lambda of: {name: array[of] for name, array in dataset.train.items()}
    model, preprocess = build_model(config, classes=10), build_preprocessing(config, facts_of(dataset))
    pieces = {"loss": build_loss(config), "batch_size": 64, "preprocess": preprocess}
    alone = fit(model, part(split.train), optimizer=build_optimizer(config, steps=9), epochs=1, key=3, **pieces)
    measured = evaluate(
        model, alone.state, part(split.test), metrics={"loss": build_loss(config)}, preprocess=preprocess
    )
    assert float(row["validation/loss"]) == pytest.approx(measured["loss"], rel=1e-4)


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["random", "coarse-to-fine", "halving", "hyperband", "pbt"])
def test_every_strategy_finds_something(strategy, tmp_path, capsys, without_test_data):
    folder = tmp_path / "search"
    over = ["--over", "learning_rate=log:1e-3:1e-1", "dropout_rate=0:0.5"]
    args = ["--strategy", strategy, "--trials", "6", "--train-examples", "600", "--epochs", "3", "--hidden", "8"]
    assert main(["search", "mlp", *over, *args, "--metric", "loss", "--out", str(folder)]) == 0
    table = rows(folder / "search.csv")
    assert len(table) == {"hyperband": 5}.get(strategy, 6)
    longest = [float(row["validation/loss"]) for row in table if row["epochs"] == "3"]
    assert longest == sorted(longest)
    assert len(longest) == {"halving": 2, "hyperband": 3}.get(strategy, 6)
    for row in table:
        assert 1e-3 <= float(row["learning_rate"]) <= 1e-1
        assert 0 <= float(row["dropout_rate"]) <= 0.5
    command = json.loads((folder / "search.json").read_text())["command"]
    assert training_of(command).learning_rate == float(table[0]["learning_rate"])
    assert "validation loss" in capsys.readouterr().out


@pytest.mark.full
def test_lists_alone_are_never_tried_twice(tmp_path, capsys):
    args = ["--over", "learning_rate=0.01,0.001", "--hidden", "8", *SMALL, "--out", str(tmp_path / "search")]
    assert main(["search", "mlp", *args]) == 0
    assert len(rows(tmp_path / "search/search.csv")) == 2
    assert not (tmp_path / "search/heat_map.png").exists()


@pytest.mark.full
def test_an_interrupted_search_leaves_its_trials(tmp_path, capsys, monkeypatch):
    epochs = []

    def interrupt(epoch, *args, **how):
        epochs.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt
        return f"epoch {epoch}"

    monkeypatch.setattr(population_tasks, "describe_medians", interrupt)
    folder = tmp_path / "search"
    args = ["--train-examples", "600", "--epochs", "3", "--hidden", "8", "--out", str(folder)]
    assert main(["search", "mlp", *FOUR, *args]) == 130
    assert [row["epochs"] for row in rows(folder / "trials.csv")] == ["2"] * 4
    assert f"measured until now: {folder / 'trials.csv'}" in capsys.readouterr().err
    assert not (folder / "search.csv").exists()


@pytest.mark.full
def test_a_search_in_which_all_diverge_ends_with_status_1(tmp_path, capsys):
    args = ["--optimizer", "sgd", "--schedule", "constant", "--hidden", "8", *SMALL, "--out", str(tmp_path / "search")]
    assert main(["search", "mlp", "--over", "learning_rate=1e20,1e21", *args]) == 1
    assert "every run diverged, all 2" in capsys.readouterr().err
    assert {row["diverged"] for row in rows(tmp_path / "search/trials.csv")} == {"True"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["search", "mlp"], "--over must name a hyperparameter at least; received none"),
        (["search", "mlp", "--over", "lerning_rate=1,2"], "did you mean 'learning_rate'"),
        (["search", "mlp", "--over", "learning_rate"], "NAME=VALUES, as in learning_rate=log:1e-4:1e-1"),
        (["search", "mlp", "--over", "learning_rate=1,2", "learning_rate=3"], "once; received learning_rate twice"),
        (["search", "mlp", "--over", "learning_rate=1,1"], "every value must stand there once; received '1,1'"),
        (["search", "mlp", "--over", "learning_rate=log:0:1"], "0 < LOW < HIGH; received 'log:0:1'"),
        (["search", "mlp", "--over", "learning_rate=2:1"], "LOW < HIGH; received '2:1'"),
        (["search", "mlp", "--over", "learning_rate=1:2:3"], "a range is log:LOW:HIGH or LOW:HIGH; received '1:2:3'"),
        (["search", "mlp", "--over", "learning_rate=fast"], "values must be numbers; received 'fast'"),
        (["search", "mlp", "--over", "learning_rate=nan"], "positive, finite"),
        (["search", "mlp", "--over", "b1=0.5:1"], "--b1 must be at least 0 and less than 1; received 1.0"),
        (["search", "mlp", "--over", "hidden=8:32"], "must be a list of values"),
        (["search", "mlp", "--over", "hidden=8,wide"], "widths such as 128 or 256x128; received 'wide'"),
        (
            ["search", "mlp", "--over", "batch_size=32,600"],
            "at most the number of training examples, 540; received 600",
        ),
        (["search", "mlp", "--over", "optimizer=adam,adm"], "did you mean 'adam'"),
        (
            ["search", "mlp", "--over", "momentum=0.5,0.9"],
            "--over momentum changes nothing with --optimizer adam; received it. Leave it out, or take",
        ),
        (
            ["search", "mlp", "--over", "decay_rate=0.1,0.5"],
            "--over decay_rate changes nothing with --schedule one_cycle",
        ),
        (
            ["search", "lenet5", "--over", "dropout_rate=0,0.5"],
            "--over dropout_rate changes nothing with lenet5; received it. Leave it out, or take mlp.",
        ),
        (
            ["search", "lenet1998", "--over", "label_smoothing=0,0.5"],
            "--over label_smoothing changes nothing with lenet1998",
        ),
        (["search", "mlp", *FOUR, "--strategy", "bayes"], "coarse-to-fine"),
        (["search", "mlp", *FOUR, "--seeds", "2", "--strategy", "pbt"], "--seeds is for grid and random"),
        (
            ["search", "mlp", *FOUR[:3], "--strategy", "grid", "--trials", "1"],
            "4 settings at least; received --trials 1. Say --trials 4.",
        ),
        (["search", "mlp", "--over", "b1=0.8,0.9", "--strategy", "coarse-to-fine"], "needs a range"),
        (["search", "mlp", *FOUR, "--validation", "0"], "--validation must be more than 0"),
        (["search", "mlp", *FOUR, "--validation", "0.0001"], "`fraction` must leave examples"),
        (["search", "mlp", *FOUR, "--validaton", "0.1"], "did you mean '--validation'"),
        (["search", "mlp", *FOUR, "--keep", "1"], "unknown flag of `jaxnn search` '--keep'"),
        (["search", "mpl", *FOUR], "did you mean 'mlp'"),
        (["ensemble", "mlp", "--members", "1"], "--members must be an integer of at least 2; received 1"),
        (
            ["ensemble", "mlp", "--batch-size", "601"],
            "--batch-size must be at most the number of training examples, 600",
        ),
        (["ensemble", "mlp", "--seed", "4294967295"], "--seed must leave room"),
        (["cross-validate", "mlp", "--over", "b1=0.8,0.9", "--folds", "1"], "--folds must be an integer of at least 2"),
        (["cross-validate", "mlp", "--over", "b1=0.8,0.9", "--folds", "99"], "the rarest class, 49; received 99"),
        (
            ["cross-validate", "mlp", "--over", "b1=0.8,0.9", "--batch-size", "500"],
            "all folds but one, 480; received 500",
        ),
        (["cross-valdate"], "did you mean 'cross-validate'"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_and_leaves_nothing(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--train-examples", "600"] if len(args) > 1 else []
    assert main([*args, *small]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jaxnn: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    for out, words in ((tmp_path, "is not empty"), (tmp_path / "notes.txt", "is a file")):
        assert main(["search", "mlp", *FOUR, *SMALL, "--out", str(out)]) == 2
        assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


HELP = """
import sys
from jaxnn.cli.main import main
for command in ("search", "ensemble", "cross-validate"):
    try: main([command, "--help"])
    except SystemExit: print("\\n\\0")
assert "jax" not in sys.modules
"""


def test_the_help_needs_no_jax():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    search, ensemble, folds, _ = done.stdout.split("\0")
    assert "trials.csv" in search
    assert "trials.csv" in folds
    assert all("--learning-rate" in shown and "--tensorboard" not in shown for shown in (search, ensemble, folds))


# ----------------------------------------------------------------------------------------------------------- ensemble


@pytest.mark.full
def test_an_ensemble_is_better_than_its_members_and_says_by_how_much(tmp_path, capsys):
    folder = tmp_path / "ensemble"
    args = ["--members", "4", "--train-examples", "600", "--test-examples", "500", "--epochs", "2"]
    assert main(["ensemble", "mlp", *args, "--out", str(folder)]) == 0
    files = {".lock", "config.json", "checkpoints", "ensemble.json", "ensemble_errors.png", "trials.csv"}
    assert {path.name for path in folder.iterdir()} == files
    found = json.loads((folder / "ensemble.json").read_text())
    trained = found["single"]
    curve = found["by_number_of_members"]
    assert curve["members"] == [1, 2, 3, 4]
    assert curve["averaged"][3] < np.mean(trained)
    assert max(curve["averaged_sd"][3], curve["voted_sd"][3]) < 1e-12
    mean, sd = 100 * np.mean(trained), 100 * np.std(trained, ddof=1)
    printed = capsys.readouterr().out
    assert f"test error on 500 examples: one member {mean:.2f} ± {sd:.2f} %" in printed
    assert f"4 members together: {100 * curve['averaged'][3]:.2f} % by averaged" in printed
    check_prediction(folder, tmp_path / "digit.png", capsys)


def check_prediction(folder, path, capsys):
    """`jaxnn predict` of an ensemble: the mean of the probabilities that its members give."""
    image = load_data(RECIPES["mlp"]).test["image"][0]
    Image.fromarray(image[:, :, 0]).save(path)
    assert main(["predict", str(folder), str(path), "--json", "--top", "10"]) == 0
    said = json.loads(capsys.readouterr().out)["classes"]
    record = json.loads((folder / "config.json").read_text())["config"]
    members, objective, dataset = ensemble_command.restore_ensemble(folder, record)
    logits = [
        training.predict(m, s, image[None], preprocess=objective.preprocess)[0]
        for m, s in zip(members.models, members.states, strict=True)
    ]
    expected = np.mean([jax.nn.softmax(one) for one in logits], axis=0)
    np.testing.assert_allclose([said[name] for name in dataset.classes], expected, atol=2e-6)
    assert main(["predict", str(folder), str(path), "--step", "best"]) == 2
    assert "--step must be last for an ensemble" in capsys.readouterr().err


@pytest.mark.full
def test_an_interrupted_ensemble_resumes_to_the_same_members(tmp_path, capsys, monkeypatch):
    args = ["--members", "2", "--bagging", "--train-examples", "300", "--test-examples", "100", "--hidden", "8"]
    args += ["--epochs", "3", "--dropout-rate", "0.2"]
    assert main(["ensemble", "mlp", *args, "--out", str(tmp_path / "whole")]) == 0
    checked, told = tmp_path / "cut/checkpoints", population_tasks.describe_medians

    def interrupt(epoch, *args, **how):
        if epoch == 2:
            raise KeyboardInterrupt
        return told(epoch, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(population_tasks, "describe_medians", interrupt)
        assert main(["ensemble", "mlp", *args, "--out", str(tmp_path / "cut")]) == 130
    assert f"go on with: jaxnn resume {tmp_path / 'cut'}" in capsys.readouterr().err
    assert [path.stem for path in checked.glob("*.json")] == ["00000002"]
    assert main(["resume", str(tmp_path / "cut")]) == 0
    assert re.findall(r"^epoch \d", capsys.readouterr().err, re.MULTILINE) == ["epoch 3"]
    for name in ("checkpoints/00000003.safetensors", "trials.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    bags = rows(tmp_path / "whole/trials.csv")
    assert bags[0]["train/loss"] != bags[1]["train/loss"]
    results = [json.loads((tmp_path / name / "ensemble.json").read_text())["single"] for name in ("whole", "cut")]
    assert results[0] == results[1]
    last = checked / "00000003.safetensors"
    last.write_bytes(last.read_bytes()[:-10])
    assert main(["resume", str(tmp_path / "cut")]) == 2
    assert "is damaged" in capsys.readouterr().err


TINY = ["--train-examples", "300", "--hidden", "8", "--epochs"]
STOPPED = {  # the command, at which of its epochs it is stopped, and which of them are trained when it goes on
    "halving": (
        ["search", "mlp", "--strategy", "halving", "--trials", "4", "--over", "learning_rate=0.001:0.1", *TINY, "3"],
        3,
        ["epoch 3"],  # of the second rung, whose first epoch is kept, and of the first rung what it measured
    ),
    "cross-validate": (
        ["cross-validate", "mlp", "--folds", "2", "--over", "dropout_rate=0,0.3", *TINY, "2"],
        2,
        ["epoch 2"],
    ),
    "pbt": (
        ["search", "mlp", "--strategy", "pbt", "--trials", "3", "--over", "learning_rate=0.001:0.1", *TINY, "4"],
        3,
        ["epoch 3", "epoch 4"],
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("name", STOPPED)
def test_a_stopped_search_resumes_to_the_same_result_and_trains_nothing_twice(name, tmp_path, capsys, monkeypatch):
    args, stop, rest = STOPPED[name]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main([*args, "--out", str(whole)]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(training_journal.Journal, "save", interrupting(training_journal.Journal.save, [], stop))
        assert main([*args, "--out", str(cut)]) == 130
    assert f"go on with: jaxnn resume {cut}" in capsys.readouterr().err
    assert main(["resume", str(cut)]) == 0
    assert re.findall(r"^epoch \d", capsys.readouterr().err, re.MULTILINE) == rest
    assert {path.name for path in cut.iterdir()} == {path.name for path in whole.iterdir()}
    for path in whole.glob("*.csv"):
        assert (cut / path.name).read_bytes() == path.read_bytes()
    assert main(["resume", str(cut)]) == 0
    assert "is finished; the result is in" in capsys.readouterr().out


def interrupting(save, saved, stop):
    """Keeps what is trained until the epoch `stop`, which is lost: the user stops it before it is on disk."""

    def save_or_stop(journal, event):
        if isinstance(event, Evaluated):
            saved.append(event)
            if len(saved) == stop:
                raise KeyboardInterrupt
        save(journal, event)

    return save_or_stop


def test_what_cannot_be_resumed_says_so(tmp_path, capsys):
    from jaxnn.runs import create

    create(tmp_path / "race", {"command": "race"})
    assert main(["resume", str(tmp_path / "race")]) == 2
    assert "is of the command 'race', which cannot be resumed. Start it anew." in capsys.readouterr().err
    record = search_command._record(SearchFlags(SettingsWithoutTest(), over=("learning_rate=0.1,0.2",)))
    create(tmp_path / "search", record | {"strategy": "best"})
    assert main(["resume", str(tmp_path / "search")]) == 2
    assert "strategy must be one of grid, random, coarse-to-fine" in capsys.readouterr().err
    create(tmp_path / "edited", {"command": "ensemble", **record_of(EnsembleFlags(Settings()))} | {"members": "4"})
    assert main(["resume", str(tmp_path / "edited")]) == 2
    assert "members must be an integer; received '4'. Was the file edited?" in capsys.readouterr().err


@pytest.mark.full
def test_members_that_diverge_are_left_out(tmp_path, capsys, monkeypatch):
    members = ensemble_command._members
    monkeypatch.setattr(ensemble_command, "_members", lambda *args: _with_one_hot(members(*args)))
    args = ["--members", "3", "--hidden", "8", *SMALL, "--test-examples", "100", "--out", str(tmp_path / "ensemble")]
    assert main(["ensemble", "mlp", *args, "--schedule", "constant", "--optimizer", "sgd"]) == 0
    captured = capsys.readouterr()
    assert "1 of 3 members diverged and are left out" in captured.err
    assert "2 members together" in captured.out


def _with_one_hot(members):
    rates = [0.01, 1e20, 0.01]
    return [m._replace(hyperparameters={"learning_rate": rate}) for m, rate in zip(members, rates, strict=True)]


# ----------------------------------------------------------------------------------------------------- cross-validate


@pytest.mark.full
def test_cross_validation_tells_mean_error_and_the_simplest_choice(tmp_path, capsys, without_test_data):
    folder = tmp_path / "cross"
    over = ["--over", "hidden=4,32", "learning_rate=0.0001,0.02"]
    args = ["--folds", "3", "--train-examples", "600", "--epochs", "2", "--out", str(folder)]
    assert main(["cross-validate", "mlp", *over, *args]) == 0
    files = {
        ".lock",
        "config.json",
        "cross_validation.csv",
        "cross_validation.json",
        "cross_validation.png",
        "trials.csv",
    }
    assert {path.name for path in folder.iterdir()} == files
    found = json.loads((folder / "cross_validation.json").read_text())
    scores = np.array(found["scores"])
    assert scores.shape == (4, 3)
    np.testing.assert_allclose(found["mean"], scores.mean(axis=1))
    np.testing.assert_allclose(found["standard_error"], scores.std(axis=1, ddof=1) / np.sqrt(3))
    assert found["settings"][found["best"]] == {"hidden": [32], "learning_rate": 0.02}
    assert training_of(found["commands"]["best"]).hidden == (32,)
    trials = rows(folder / "trials.csv")
    np.testing.assert_allclose([float(row["validation/accuracy"]) for row in trials], scores.ravel(), atol=1e-5)
    first = capsys.readouterr().out.split("\n")[1]
    assert first.startswith(f"{100 * max(found['mean']):.2f} ± ")
    assert "best" in first


def test_simpler_is_narrower_then_more_regularized():
    ordered = [
        {"hidden": (8,), "weight_decay": 0.1},
        {"hidden": (8,), "weight_decay": 0.0},
        {"hidden": (8, 8), "weight_decay": 0.1},
        {"hidden": (32,), "weight_decay": 0.1},
    ]
    complexities = [cross_validation_command._complexity(setting, 784) for setting in ordered]
    assert complexities == sorted(complexities)
    assert len(set(complexities)) == 4


# ------------------------------------------------------------------------------------------------- pieces of members


@pytest.mark.parametrize(
    ("optimizer", "values"),
    [
        ("adam", {"learning_rate": 0.02, "b1": 0.5}),
        ("sgd", {"learning_rate": 0.1, "momentum": 0.5}),
        ("adamw", {"weight_decay": 0.1}),
        ("adam", {"schedule": "step_decay", "decay_rate": 0.3}),
        ("adam", {"batch_size": 20}),
        ("adam", {"optimizer": "lion"}),
    ],
)
def test_a_members_optimizer_is_the_one_of_its_configuration(optimizer, values):
    config = dataclasses.replace(RECIPES["mlp"], optimizer=optimizer, epochs=2)
    build = trials(config)
    assert (build, hash(build)) == (trials(config), hash(trials(config)))
    assert build != trials(config, examples=101)
    config = check(dataclasses.replace(config, **values))
    alone = build_optimizer(config, steps=2 * -(-100 // config.batch_size))
    traced = {name: jnp.float32(value) if isinstance(value, float) else value for name, value in values.items()}
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    for ours, expected in zip(path(optimizer_of(config, traced), params), path(alone, params), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def trials(config, *, examples=100):
    """The trainings of a configuration on two classes of images."""
    facts = Facts("mnist", ("image", "label"), ("a", "b"), (0.5,), (0.25,))
    return MemberTrials(known_recipe(config.model), config, facts, examples)


def optimizer_of(config, values):
    """The optimizer of a member that learns from a hundred examples."""
    return build_optimizer(Chosen(config, values), steps=config.epochs * -(-100 // config.batch_size))


def path(optimizer: optimizers.GradientTransformation, params):
    """Where four steps along the parameters lead."""
    state = optimizer.init(params)
    for _ in range(4):
        updates, state = optimizer.update(params, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return jax.tree.leaves(params)


def test_other_values_are_other_paths():
    config, params = dataclasses.replace(RECIPES["mlp"], optimizer="sgd"), {"kernel": jnp.ones((2, 2))}
    ends = [path(optimizer_of(config, {"momentum": jnp.float32(m)}), params)[0][0, 0] for m in (0.0, 0.5)]
    assert ends[0] > ends[1]


def test_over_as_written_and_as_meant():
    over = parse_over(["learning-rate=log:1e-4:1", "weight_decay=0,1e-4", "hidden=8,8x4"], RECIPES["mlp"])
    assert over == {
        "learning_rate": OverRange(1e-4, 1.0, True),
        "weight_decay": (0.0, 1e-4),
        "hidden": ((8,), (8, 4)),
    }
    assert all(isinstance(value, float) for value in over["weight_decay"])


@pytest.mark.parametrize(
    "setting",
    [
        {"learning_rate": 0.1 / 3, "hidden": (64, 32), "dropout_rate": 0.25},
        {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "schedule": "cosine", "batch_size": 32},
        {"optimizer": "sgd", "nesterov": True, "momentum": 0.9, "seed": 7},
        {"optimizer": "adam", "b2": None},
    ],
)
def test_the_command_trains_with_exactly_the_setting(setting):
    config = dataclasses.replace(RECIPES["mlp"], train_examples=1000, out="somewhere")
    assert training_of(train_command(config, setting)) == dataclasses.replace(config, out=None, **setting)


def test_the_command_leaves_out_what_changes_nothing():
    config = dataclasses.replace(RECIPES["mlp"], momentum=0.5, decay_rate=0.5)
    assert train_command(config, {"optimizer": "adam", "momentum": 0.9}) == "jaxnn train mlp --optimizer adam"
    assert "--momentum 0.9" in train_command(config, {"optimizer": "sgd", "momentum": 0.9})


def test_the_command_names_what_was_searched_where_it_is_the_default_too():
    default = RECIPES["mlp"].learning_rate
    assert train_command(RECIPES["mlp"], {"learning_rate": default}) == f"jaxnn train mlp --learning-rate {default}"


@first_of(("flags", "expected"), [("", "spread"), ("--xla_force_host_platform_device_count=3", "3")])
def test_members_are_spread_over_the_cores_unless_the_user_has_chosen(flags, expected):
    code = (
        "from jaxnn.cli.population_tasks import spread_over_cores; spread_over_cores()\n"
        "import jax, os; print(jax.device_count(), min(len(os.sched_getaffinity(0)), 8)); spread_over_cores()"
    )
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    devices, cores = printed.stdout.split()
    assert devices == (cores if expected == "spread" else expected)


def test_configurations_hold_the_dropout_rate_and_older_files_lack_it():
    config = dataclasses.replace(RECIPES["mlp"], dropout_rate=0.25)
    record = json.loads(json.dumps(to_record(config)))
    assert from_record(record, where="here") == config
    del record["dropout_rate"]
    assert from_record(record, where="here") == RECIPES["mlp"]
    with pytest.raises(ValueError, match="dropout-rate must be at least 0 and less than 1"):
        from_record({**record, "dropout_rate": 1.0}, where="here")
