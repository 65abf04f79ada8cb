"""What a training is made of: how its state begins, its step, and what measures it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxnn.training.compilation import bind
from jaxnn.training.objectives import supervised
from jaxnn.training.train_state import TrainState, init_state
from jaxnn.training.train_step import TrainStep


class Trial(NamedTuple):
    """One training.

    init: `init(key, example) -> state`, example being a dict of arrays of one training example. step: `(state, batch)
    -> (state, metrics)`, such as a `TrainStep`. objective: what measures validation and test data; None: nothing does.
    model: for predictions afterwards, if there is one.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    objective: Callable[..., Any] | None = None
    model: Any = None


class Start(NamedTuple):
    """A state that is still to be made, `init(*args)`: it is compiled and made beside the step."""

    init: Callable[..., Any]
    args: tuple[Any, ...]


def supervised_trial(model, loss: Callable, optimizer, **how) -> Trial:
    """Makes the training of a model that maps inputs to targets; `how` goes to `supervised`."""
    objective = supervised(model, loss, **how)
    init = bind(_initial, objective.model, optimizer, objective.preprocess, objective.fields[0])
    return Trial(init, TrainStep(objective, optimizer.update), objective, model)


def _initial(model, optimizer, preprocess, field, key, example) -> TrainState:
    return init_state(model, optimizer, example[field], key=key, preprocess=preprocess)
