"""Everything that a run is at one moment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.preprocessing import as_float
from jaxnn.training.functional_model import FunctionalModel
from jaxnn.training.key_streams import as_key, stream_key


class TrainState(NamedTuple):
    """A pytree: with it, the data and the step, the rest of the run is determined.

    step: int32 scalar, updates made so far. params: the model's. model_state: what the model keeps beside parameters,
    such as batch statistics. opt_state: the optimizer's. key: one typed key, never split and never changed. examples:
    uint32 scalar, the training examples seen so far, from which the place within an epoch follows.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    key: jax.Array
    examples: jax.Array


def init_state(model, optimizer, x, *, key, preprocess: Callable = as_float) -> TrainState:
    """The state before the first step, for inputs like `x`.

    Args:
      model: a linen module or a pair (init, apply).
      optimizer: a pair (init, update), ours or Optax's.
      x: an example input with its batch axis, as it stands in the data.
      key: a typed key or an integer seed.
      preprocess: what training does to inputs.

    A pure function: under `jax.jit` it is one program, in which the forward pass that finds the shapes is dead code.
    """
    key = as_key(key)
    params, model_state = FunctionalModel(model).init(stream_key(key, "init", 0), preprocess(x))
    return begin(params, optimizer.init(params), key=key, model_state=model_state)


def begin(params, opt_state, *, key, model_state=None) -> TrainState:
    """The state before the first step, of parameters and an optimizer's state that are there already."""
    model_state = {} if model_state is None else model_state
    return TrainState(jnp.zeros((), jnp.int32), params, model_state, opt_state, as_key(key), jnp.zeros((), jnp.uint32))


def copy_state(state):
    """A copy of every array of a state: what a hook keeps, for the next step is given the memory of the original."""
    return jax.tree.map(jnp.copy, state)
