"""A `TrainState` holds everything that a run needs to continue from one moment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.preprocessing import as_float
from jaxnn.training.functional_model import FunctionalModel
from jaxnn.training.key_streams import as_key, stream_key


class TrainState(NamedTuple):
    """Is a pytree that, together with the data and the step function, determines the rest of the run.

    step: int32 scalar, updates made so far. params: the model's parameters. model_state: other arrays that the model
    keeps, such as batch statistics. opt_state: the optimizer's state. key: one typed key, never split and never
    changed. examples: uint32 scalar, the training examples seen so far, from which the place within an epoch follows.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    key: jax.Array
    examples: jax.Array


def init_state(model, optimizer, x, *, key, preprocess: Callable = as_float) -> TrainState:
    """Makes the state before the first step, for inputs like `x`.

    Args:
      model: a linen module or a pair (init, apply).
      optimizer: a pair (init, update) of this package or of Optax.
      x: an example input with its batch axis, as it is in the data, not preprocessed.
      key: a typed key or an integer seed.
      preprocess: the function that training applies to inputs.

    The function is pure: under `jax.jit` it is one program, in which the forward pass that finds the shapes is dead
    code.
    """
    key = as_key(key)
    params, model_state = FunctionalModel(model).init(stream_key(key, "init", 0), preprocess(x))
    return begin(params, optimizer.init(params), key=key, model_state=model_state)


def begin(params, opt_state, *, key, model_state=None) -> TrainState:
    """Makes the state before the first step, from parameters and an optimizer's state that exist already."""
    model_state = {} if model_state is None else model_state
    return TrainState(jnp.zeros((), jnp.int32), params, model_state, opt_state, as_key(key), jnp.zeros((), jnp.uint32))


def copy_state(state):
    """Copies every array of a state; a hook must keep a copy, because the original is donated to the next step."""
    return jax.tree.map(jnp.copy, state)
