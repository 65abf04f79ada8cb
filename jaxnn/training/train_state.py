"""Everything that a run is at one moment, and the keys that are drawn from it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.preprocessing import as_float
from jaxnn.training.functional_model import FunctionalModel

STREAMS = {"init": 0, "order": 1, "dropout": 2, "augmentation": 3}


class TrainState(NamedTuple):
    """A pytree: with it, the data and the step, the rest of the run is determined.

    step: int32 scalar, updates made so far. params: the model's. model_state: what the model keeps beside parameters,
    such as batch statistics. opt_state: the optimizer's. key: one typed key, never split and never changed.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    key: jax.Array


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
    return TrainState(jnp.zeros((), jnp.int32), params, model_state, optimizer.init(params), key)


def stream_key(key, stream: str, step):
    """The key of one stream at one step: `fold_in(fold_in(key, stream), step)`, so that any step can be replayed."""
    return jax.random.fold_in(jax.random.fold_in(key, STREAMS[stream]), step)


def as_key(key):
    """A typed key from a typed key or an integer seed."""
    is_key = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jnp.copy(key) if is_key else jax.random.key(key)
