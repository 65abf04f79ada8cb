"""A killed run resumes to the parameters of an uninterrupted one, bit for bit, from a checkpoint at any step."""

import json
import os
import signal

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn import data, losses, models, optimizers, preprocessing, schedules
from jaxnn.metrics import accuracy, top_k
from jaxnn.runs import checkpoints
from jaxnn.runs.illustration import prepare_pictures
from jaxnn.runs.loggers import read_metrics
from jaxnn.runs.training_run import Task, restore_state, train_in_folder
from jaxnn.training import Compiled, Compiling, Evaluated, Progress, Started, compilation, predict, supervised_trial
from jaxnn.training.placement_contract import ONE_DEVICE


@pytest.fixture(scope="module")
def task():
    mnist = data.subset(data.load("mnist"), train=1000, test=100)
    optimizer = optimizers.adjustable(optimizers.adam)(learning_rate=schedules.one_cycle(2e-3, steps=48))
    how = {"metrics": {"accuracy": accuracy}, "preprocess": preprocessing.Standardize(mnist.mean, mnist.std)}
    trial = supervised_trial(models.LeNet5(), losses.cross_entropy, optimizer, **how)
    held = {name: array[:50] for name, array in mnist.test.items()}
    return Task(trial, mnist.train, held, mnist.test, seed=3, monitor="validation/accuracy", classes=mnist.classes)


def arrays(folder, step):
    return (folder / f"checkpoints/{step:08d}.safetensors").read_bytes()


@pytest.mark.full
def test_resume_from_an_epoch_is_bit_identical(task, tmp_path):
    options = {"batch_size": 64, "tensorboard": False}
    whole = train_in_folder(tmp_path / "whole", task, epochs=3, **options)

    class KilledError(Exception):
        pass

    def kill(event):
        if isinstance(event, Progress) and event.step > 20:
            raise KilledError

    with pytest.raises(KilledError):
        train_in_folder(tmp_path / "cut", task, epochs=3, hooks=[kill], **options)
    assert checkpoints.steps(tmp_path / "cut/checkpoints") == [16]
    resumed = train_in_folder(tmp_path / "cut", task, epochs=3, resume=True, **options)
    assert arrays(tmp_path / "cut", 48) == arrays(tmp_path / "whole", 48)
    drop = {"seconds"}
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert {k: v for k, v in ours.items() if k not in drop} == pytest.approx(
            {k: v for k, v in theirs.items() if k not in drop}, rel=1e-5
        )


def test_stopping_in_the_middle_of_an_epoch_saves_that_step(task, tmp_path):
    options = {"batch_size": 64, "tensorboard": False}
    train_in_folder(tmp_path / "whole", task, epochs=2, **options)
    stop = lambda event: isinstance(event, Progress) and event.step >= 8
    train_in_folder(tmp_path / "cut", task, epochs=2, hooks=[stop], **options)
    (step,) = checkpoints.steps(tmp_path / "cut/checkpoints")
    assert 8 <= step <= 16
    state, metadata = restore_state(tmp_path / "cut", task)
    assert int(state.step) == metadata["step"] == step
    train_in_folder(tmp_path / "cut", task, epochs=2, resume=True, **options)
    assert arrays(tmp_path / "cut", 32) == arrays(tmp_path / "whole", 32)


def test_what_the_end_needs_is_compiled_beside_the_step(tmp_path):
    """Of the evaluation of the test data, with its own metrics, and of the predictions for the pictures."""
    rng = np.random.default_rng(0)
    rows = [
        {"image": rng.random((n, 3, 3, 1), np.float32), "label": rng.integers(0, 2, n, np.int32)} for n in (40, 10, 20)
    ]
    how = {"metrics": {"accuracy": accuracy}, "preprocess": preprocessing.as_float}
    trial = supervised_trial(models.SoftmaxRegression(classes=2), losses.cross_entropy, optimizers.sgd(0.1), **how)
    of_task = {"monitor": "validation/accuracy", "classes": ("a", "b"), "metrics": (("top-1", top_k(1)),)}
    task, before = Task(trial, *rows, seed=0, **of_task), set()

    def watch(event):
        prepare_pictures(task, event, ONE_DEVICE) if isinstance(event, Compiling) else None
        before.update(compilation._COMPILED if isinstance(event, Compiled) else ())

    outcome = train_in_folder(tmp_path / "run", task, epochs=1, batch_size=20, tensorboard=False, hooks=[watch])
    predict(trial.objective.model, outcome.state, task.test["image"], preprocess=preprocessing.as_float)
    assert outcome.result["last"]["top-1"] == outcome.result["last"]["accuracy"]
    assert len(before) > 4
    assert set(compilation._COMPILED) <= before


@pytest.mark.full
def test_going_on_writes_tensorboard_events_and_forgets_the_abandoned_future(task, tmp_path):
    train_in_folder(tmp_path / "run", task, epochs=2, batch_size=500)
    assert list((tmp_path / "run/tensorboard").glob("events.*"))
    for path in (tmp_path / "run/checkpoints").glob("00000004.*"):
        path.unlink()  # the run goes on from step 2, and what was recorded of step 4 is forgotten
    resumed = train_in_folder(tmp_path / "run", task, epochs=2, batch_size=500, resume=True)
    assert [row["step"] for row in resumed.history] == [2, 4]
    assert checkpoints.steps(tmp_path / "run/checkpoints") == [2, 4]


@pytest.mark.full
def test_what_is_measured_is_on_disk_before_its_checkpoint(task, tmp_path, monkeypatch):
    saved, really = [], checkpoints.save

    def save(folder, state, *, step, **rest):
        (events,) = (tmp_path / "run/tensorboard").glob("events.*")
        assert events.read_bytes().count(b"validation/accuracy") == len(read_metrics(tmp_path / "run/metrics.jsonl"))
        saved.append(step)
        return really(folder, state, step=step, **rest)

    monkeypatch.setattr(checkpoints, "save", save)
    train_in_folder(tmp_path / "run", task, epochs=3, batch_size=500)
    assert saved == [2, 4, 6]


@pytest.mark.full
def test_hooks_see_states_that_can_be_copied(task, tmp_path):
    seen = []
    keep = lambda event: seen.append(np.array(event.state.step)) if isinstance(event, Evaluated) else None
    train_in_folder(tmp_path / "run", task, epochs=2, batch_size=500, tensorboard=False, hooks=[keep])
    assert [int(step) for step in seen] == [2, 4]


def test_a_signal_after_the_last_step_counts_too(task, tmp_path):
    ask = lambda event: os.kill(os.getpid(), signal.SIGINT) if isinstance(event, Evaluated) else None
    outcome = train_in_folder(tmp_path / "run", task, epochs=1, batch_size=500, tensorboard=False, hooks=[ask])
    assert outcome.exit_status == 130
    assert checkpoints.steps(tmp_path / "run/checkpoints") == [2]


def test_the_test_data_are_measured_once_at_the_end_of_the_best_and_of_the_last(task, tmp_path):
    outcome = train_in_folder(tmp_path / "run", task, epochs=3, batch_size=500, tensorboard=False)
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result.keys() == {"last", "best"}
    best = max(outcome.history, key=lambda row: (row["validation/accuracy"], row["step"]))
    assert (result["best"]["step"], result["last"]["step"]) == (best["step"], 6)
    assert int(outcome.state.step) == best["step"]
    assert not any(name.startswith("test/") for row in outcome.history for name in row)
    assert result["last"]["count"] == len(task.test["label"])


def test_without_data_held_out_there_is_no_best(task, tmp_path):
    plain = task._replace(validation=None, monitor=None)
    outcome = train_in_folder(tmp_path / "run", plain, epochs=1, batch_size=500, tensorboard=False)
    assert outcome.result.keys() == {"last"}
    with pytest.raises(ValueError, match="has a finite metric None"):
        restore_state(tmp_path / "run", plain, "best")


@pytest.mark.full
def test_a_checkpoint_of_an_earlier_version_tells_its_examples_by_its_steps(task, tmp_path):
    outcome = train_in_folder(tmp_path / "run", task, epochs=1, batch_size=300, tensorboard=False)
    older = outcome.state._replace(examples=())
    for step, examples in ((4, 1000), (6, 1600)):
        checkpoints.save(tmp_path / "old/checkpoints", older._replace(step=jnp.int32(step)), step=step, metrics={})
        state, _ = restore_state(tmp_path / "old", task, step, batch_size=300)
        assert int(state.examples) == examples
        np.testing.assert_array_equal(state.params["conv1"]["kernel"], outcome.state.params["conv1"]["kernel"])


def test_a_signal_before_the_first_step_is_no_request(task, tmp_path):
    """There is nothing to save yet, and compilation may take long."""
    ask = lambda event: os.kill(os.getpid(), signal.SIGINT) if isinstance(event, Started) else None
    with pytest.raises(KeyboardInterrupt):
        train_in_folder(tmp_path / "run", task, epochs=1, batch_size=500, tensorboard=False, hooks=[ask])
    assert checkpoints.steps(tmp_path / "run/checkpoints") == []
