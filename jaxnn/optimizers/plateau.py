"""The learning rate drops when a metric stalls; a pure function `(state, metric) -> state` decides when."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, check_range
from jaxnn.optimizers.leafwise_update import leafwise

_SIGNS = {"min": 1, "max": -1}


class PlateauState(NamedTuple):
    """Holds the `scale` of the learning rate, the `best` metric and two counts of evaluations.

    `waited` evaluations have passed without improvement on `best`. The next `cooling` evaluations are not counted.
    """

    scale: jax.Array
    best: jax.Array
    waited: jax.Array
    cooling: jax.Array


class PlateauScale(NamedTuple):
    """Holds two pure functions: `init() -> PlateauState` and `update(state, metric) -> PlateauState`."""

    init: Callable[[], PlateauState]
    update: Callable[[PlateauState, Any], PlateauState]


class ReduceOnPlateauState(NamedTuple):
    """Holds the `mean` of the `count` values since the last judgement, and the state of the scale, `plateau`."""

    count: jax.Array
    mean: jax.Array
    plateau: PlateauState


def plateau_scale(
    factor=0.1, *, patience=10, rtol=1e-4, atol=0.0, cooldown=0, min_scale=0.0, mode: str = "min"
) -> PlateauScale:
    """Makes a scale that starts at 1 and is multiplied by `factor` when the metric has stalled.

    An evaluation is an improvement if `metric < best - rtol |best| - atol`; with `mode="max"`, if
    `metric > best + rtol |best| + atol`. NaN is never an improvement. At the `patience`-th evaluation in a row without
    improvement, the scale becomes `max(factor scale, min_scale)`, and the next `cooldown` evaluations are not counted.
    Keras and Optax act at that evaluation too, PyTorch one evaluation later. For metrics below zero, the bound
    `(1 - rtol) best` of Optax and PyTorch is above best; ours is below.

    Args:
      factor, min_scale: the factor of one drop, in [0, 1), and the smallest scale.
      patience, cooldown: numbers of evaluations, at least 1 and at least 0.
      rtol, atol: by how much a metric must be better, relative and absolute; at least 0.
      mode: "min" (a loss) or "max" (an accuracy). All arguments except `mode` may be traced, inside `scan` and `vmap`.

    Raises:
      ValueError: a number is out of its range, or the mode is unknown.

    >>> from jaxnn.optimizers import adjustable, sgd
    >>> from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters
    >>> plateau, optimizer = plateau_scale(0.5, patience=2), adjustable(sgd)(learning_rate=0.1)
    >>> state, opt_state = plateau.init(), optimizer.init(jnp.zeros(1))
    >>> for loss in (3.0, 2.0, 2.5, 2.0):  # validation, after each epoch
    ...     state = plateau.update(state, loss)
    ...     opt_state = with_hyperparameters(opt_state, learning_rate=0.1 * state.scale)
    >>> opt_state.hyperparameters
    {'learning_rate': Array(0.05, dtype=float32)}
    """
    check_range("factor", factor, 0, 1)
    check_at_least("patience", patience, 1)
    for name, value in (("rtol", rtol), ("atol", atol), ("cooldown", cooldown), ("min_scale", min_scale)):
        check_at_least(name, value, 0)
    if mode not in _SIGNS:
        raise unknown("mode", mode, _SIGNS)
    sign = _SIGNS[mode]

    def init():
        zero = jnp.zeros((), jnp.int32)
        return PlateauState(jnp.ones((), float), jnp.asarray(sign * jnp.inf, float), zero, zero)

    def update(state, metric):
        new, best = sign * jnp.asarray(metric, state.best.dtype), sign * state.best
        margin = jnp.where(jnp.isfinite(best), rtol * jnp.abs(best) + atol, 0)  # inf - inf would be NaN
        improved, hot = new < best - margin, state.cooling == 0
        waited = jnp.where(improved | ~hot, 0, state.waited + 1)
        drop = waited >= patience
        scale = jnp.where(drop, jnp.maximum(state.scale * factor, min_scale), state.scale)
        cooling = jnp.where(drop, cooldown, jnp.maximum(state.cooling - 1, 0))
        return PlateauState(
            scale.astype(state.scale.dtype),
            jnp.where(improved, sign * new, state.best),
            jnp.where(drop, 0, waited),
            cooling.astype(jnp.int32),
        )

    return PlateauScale(init, update)


def reduce_on_plateau(
    factor=0.1, patience=10, *, rtol=1e-4, atol=0.0, cooldown=0, accumulation_size=1, min_scale=0.0, mode: str = "min"
) -> GradientTransformation:
    """Makes `plateau_scale` a link of a chain, placed after the optimizer: `u = scale g`.

    Its `update` needs the metric as the extra argument `value`, at every step. It judges the mean of each
    `accumulation_size` values. Where the value is the training loss of a batch, set `accumulation_size` to the number
    of steps in an epoch.

    Args:
      factor, patience, rtol, atol, cooldown, min_scale, mode: as for `plateau_scale`.
      accumulation_size: number of values in a mean, at least 1.

    Raises:
      ValueError: a number is out of its range, or `value` is missing.

    >>> plateau = reduce_on_plateau(0.5, patience=1)
    >>> state = plateau.init(jnp.zeros(1))
    >>> for loss in (3.0, 3.0):
    ...     updates, state = plateau.update(jnp.ones(1), state, value=loss)
    ...     print(updates)
    [1.]
    [0.5]
    """
    machine = plateau_scale(
        factor, patience=patience, rtol=rtol, atol=atol, cooldown=cooldown, min_scale=min_scale, mode=mode
    )
    check_at_least("accumulation_size", accumulation_size, 1)

    def init(params):
        return ReduceOnPlateauState(jnp.zeros((), jnp.int32), jnp.zeros((), float), machine.init())

    def update(grads, state, params=None, *, value=None, **extra):
        if value is None:
            raise ValueError("reduce_on_plateau needs the metric: call `update(grads, state, params, value=loss)`.")
        count = state.count + 1
        mean = state.mean + (jnp.asarray(value, state.mean.dtype) - state.mean) / count
        full, judged = count >= accumulation_size, machine.update(state.plateau, mean)
        plateau = jax.tree.map(lambda new, old: jnp.where(full, new, old), judged, state.plateau)
        updates = leafwise(lambda g: (plateau.scale * g,), grads)[0]
        return updates, ReduceOnPlateauState(jnp.where(full, 0, count), jnp.where(full, 0, mean), plateau)

    return GradientTransformation(init, update)
