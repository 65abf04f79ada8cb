"""The drop of the learning rate when a metric stalls, as a pure machine `(state, metric) -> state`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, check_range
from jaxnn.optimizers.leafwise_update import leafwise

_SIGNS = {"min": 1, "max": -1}


class PlateauState(NamedTuple):
    """`scale` multiplies the learning rate; `waited` evaluations went by without improvement on `best`."""

    scale: jax.Array
    best: jax.Array
    waited: jax.Array
    cooling: jax.Array


class PlateauScale(NamedTuple):
    """Two pure functions: `init() -> PlateauState` and `update(state, metric) -> PlateauState`."""

    init: Callable[[], PlateauState]
    update: Callable[[PlateauState, Any], PlateauState]


class ReduceOnPlateauState(NamedTuple):
    """`count` values since the last judgement, of this mean."""

    count: jax.Array
    mean: jax.Array
    plateau: PlateauState


def plateau_scale(
    factor=0.1, *, patience=10, rtol=1e-4, atol=0.0, cooldown=0, min_scale=0.0, mode: str = "min"
) -> PlateauScale:
    """A scale that starts at 1 and is multiplied by `factor` where the metric has stalled.

    An evaluation is an improvement where metric < best - rtol |best| - atol (`mode="max"`: > best + ...); NaN never is.
    At the `patience`-th evaluation in a row without one, scale <- max(factor scale, min_scale), and the next `cooldown`
    evaluations are not counted. Keras and Optax act at that evaluation too, PyTorch one later; for metrics below zero
    Optax's and PyTorch's (1 - rtol) best lies above best, ours below.

    Args:
      factor, min_scale: how far the scale falls at once, in [0, 1), and where the fall ends.
      patience, cooldown: numbers of evaluations, at least 1 and 0.
      rtol, atol: by how much, relative and absolute, a metric must be better; at least 0.
      mode: "min" (a loss) or "max" (an accuracy). All but this may be traced, inside `scan` and `vmap`.

    Raises:
      ValueError: a number out of its range, or another mode.

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
    """The machine `plateau_scale` as a link of a chain, behind the optimizer: `u = scale g`.

    Its `update` needs the metric as the extra argument `value`, at every step, and judges the mean of each
    `accumulation_size` values: take as many as an epoch has steps where the value is the training loss of a batch.

    Args:
      factor, patience, rtol, atol, cooldown, min_scale, mode: as for `plateau_scale`.
      accumulation_size: values in a mean, at least 1.

    Raises:
      ValueError: a number out of its range, or no `value`.

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
