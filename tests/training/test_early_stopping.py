"""Patience: a run ends after so many evaluations in a row that were not better, and the best state is returned."""

import jax
import numpy as np
import pytest

from jaxnn import populations
from jaxnn.optimizers import sgd
from jaxnn.training import Evaluated, copy_state, evaluate, fit
from jaxnn.training.early_stopping import stalled

RNG = np.random.default_rng(0)
LINEAR = (lambda key, x: np.zeros((x.shape[-1], 3), np.float32), lambda w, x: x @ w)
TRAIN = {"image": RNG.normal(size=(24, 40)).astype(np.float32), "label": RNG.integers(3, size=24)}
HELD_OUT = {"image": RNG.normal(size=(60, 40)).astype(np.float32), "label": RNG.integers(3, size=60)}


def trained(**how):
    """A linear model that learns labels without sense by heart: on other examples it gets worse and worse."""
    settings = {"optimizer": sgd(0.5), "epochs": 30, "batch_size": 8, "validation": HELD_OUT}
    return fit(LINEAR, TRAIN, **settings | how)


def test_the_run_ends_and_returns_the_best_state():
    kept = []
    keep = lambda event: kept.append(copy_state(event.state)) if isinstance(event, Evaluated) else None
    fitted = trained(patience=3, hooks=[keep])
    losses = [row["validation/loss"] for row in fitted.history]
    best = int(np.argmin(losses))
    assert not fitted.stopped
    assert len(losses) == best + 1 + 3
    np.testing.assert_array_equal(fitted.state.params, kept[best].params)
    measured = evaluate(LINEAR, fitted.state, HELD_OUT)["loss"]
    assert measured == pytest.approx(losses[best], rel=1e-6)


def test_without_patience_it_goes_on_to_the_last():
    fitted = trained()
    assert len(fitted.history) == 30
    assert fitted.history[-1]["validation/loss"] > fitted.history[0]["validation/loss"]


def test_a_resumed_run_remembers_how_long_it_has_waited():
    whole = trained(patience=3)
    first = trained(hooks=[lambda event: isinstance(event, Evaluated) and event.epoch == 2])
    resumed = trained(patience=3, state=first.state, history=first.history)
    assert [*first.history, *resumed.history] == whole.history


@pytest.mark.parametrize(("metric", "expected"), [("a/loss", 1), ("a/accuracy", 2), ("a/missing", 0)])
def test_of_a_loss_less_is_better(metric, expected):
    history = [
        {"a/loss": 2.0, "a/accuracy": 0.9},
        {"a/loss": 1.0, "a/accuracy": 0.5},
        {"a/loss": 3.0, "a/accuracy": 0.5},
    ]
    assert stalled(history, metric) == expected


def test_what_is_not_measured_cannot_be_watched():
    """Neither validation data that are not there, before the first step, nor a metric of another name."""
    told = []
    with pytest.raises(ValueError, match=r"`monitor` must be one of .*; received 'validation/loss'. Pass validation"):
        trained(patience=3, validation=None, hooks=[told.append])
    assert told == []
    with pytest.raises(ValueError, match=r"one of \['train/accuracy', .*; received 'validation/error'"):
        trained(patience=3, monitor="validation/error")
    members = populations.members_of(populations.grid(learning_rate=[0.5]))
    with pytest.raises(ValueError, match=r"one of \['train/accuracy', .*; received 'train/error'"):
        populations.fit(
            LINEAR, TRAIN, members, optimizer=sgd, epochs=2, batch_size=8, patience=1, monitor="train/error"
        )
    assert len(trained(patience=1, validation=None, monitor="train/loss").history) > 1


def test_the_memory_of_the_best_state_is_its_own():
    fitted = trained(patience=2)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(fitted.state))
