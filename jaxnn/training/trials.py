"""A `Trial` holds the parts of a training: its first state, its step, and the objective that measures it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxnn.training.compilation import bind
from jaxnn.training.key_streams import as_key, stream_key
from jaxnn.training.objectives import supervised
from jaxnn.training.train_state import TrainState, begin
from jaxnn.training.train_step import TrainStep


class Trial(NamedTuple):
    """Describes one training.

    init: `init(key, example) -> state`; example is a dict of arrays of one training example. step: `(state, batch) ->
    (state, metrics)`, such as a `TrainStep`. objective: the objective that measures validation and test data; None:
    nothing is measured. model: the model for predictions afterwards, if there is one.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    objective: Callable[..., Any] | None = None
    model: Any = None


class Start(NamedTuple):
    """Describes a state that is still to be made, `init(*args)`; it is compiled and run while the step is compiled."""

    init: Callable[..., Any]
    args: tuple[Any, ...]


def make_trial(objective, optimizer, init: Callable, *, model=None) -> Trial:
    """Makes the training that minimizes an objective.

    Args:
      objective: see `jaxnn.training.objectives`.
      optimizer: a pair (init, update).
      init: `init(key, example) -> (params, model_state)`, the objective's first arguments; `model_state` is {} if
        only parameters are kept.
      model: the model for predictions afterwards.

    Returns:
      The `Trial`, whose `init` takes a typed key or an integer seed.
    """
    return Trial(bind(_begin, init, optimizer), TrainStep(objective, optimizer.update), objective, model)


def supervised_trial(model, loss: Callable, optimizer, **how) -> Trial:
    """Makes the training of a model that maps inputs to targets; `how` goes to `supervised`."""
    objective = supervised(model, loss, **how)
    init = bind(_of_inputs, objective.model, objective.preprocess, objective.fields[0])
    return make_trial(objective, optimizer, init, model=model)


def _begin(init, optimizer, key, example) -> TrainState:
    key = as_key(key)
    params, model_state = init(stream_key(key, "init", 0), example)
    return begin(params, optimizer.init(params), key=key, model_state=model_state)


def _of_inputs(model, preprocess, field, key, example):
    return model.init(key, preprocess(example[field]))
