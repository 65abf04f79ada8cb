"""Hyperparameters as part of the optimizer's state: change them, or map over them, without compiling again."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation


class AdjustableState(NamedTuple):
    """`hyperparameters` are float32 leaves, schedules included; `inner` is the state of the optimizer itself."""

    hyperparameters: dict[str, Any]
    inner: Any


def adjustable(factory: Callable[..., GradientTransformation]):
    """The same optimizer with its numbers in the state: `adjustable(adam)(learning_rate=1e-3)`.

    Numbers, and the numbers inside our schedules, become float32 leaves of the state: a new learning rate is a new
    state, not a new program, and `vmap` maps over it. Two optimizers made from one factory share their `update`.
    None, booleans and strings stay what they are.

    >>> from jaxnn.optimizers import sgd
    >>> optimizer = adjustable(sgd)(learning_rate=0.5)
    >>> state = optimizer.init(jnp.zeros(1))
    >>> hotter = state._replace(hyperparameters={"learning_rate": jnp.float32(2.0)})
    >>> [float(optimizer.update(jnp.ones(1), s)[0][0]) for s in (state, hotter)]
    [-0.5, -2.0]
    """

    def make(**hyperparameters) -> GradientTransformation:
        factory(**hyperparameters)  # refuses what is out of range while the numbers can still be seen
        static = {k: v for k, v in hyperparameters.items() if v is None or isinstance(v, bool | str)}
        traced = {k: jax.tree.map(_as_float32, v) for k, v in hyperparameters.items() if k not in static}
        update = _shared_update(factory, tuple(sorted(static.items())))

        def init(params):
            own = jax.tree.map(jnp.copy, traced)  # the state may be donated, and another be made
            return AdjustableState(own, factory(**static, **traced).init(params))

        return GradientTransformation(init, update)

    return make


@lru_cache
def _shared_update(factory, static):
    return partial(_update, partial(factory, **dict(static)))


def _update(factory, grads, state, params=None, **extra):
    updates, inner = factory(**state.hyperparameters).update(grads, state.inner, params, **extra)
    return updates, AdjustableState(state.hyperparameters, inner)


def _as_float32(value):
    return jnp.asarray(value, jnp.float32)
