"""Averages of the weights along the path are for evaluation, never for training.

An average is a pair of pure functions `init(params) -> state` and `update(state, params) -> state`, for any `scan`.
`averaging` puts an average after an optimizer. The average is then kept in the optimizer's state, and is saved and
resumed with it:

>>> from jaxnn.optimizers import sgd
>>> from jaxnn.training import init_state
>>> model = (lambda key, x: {"w": jnp.zeros(1)}, lambda params, x: x * params["w"])
>>> optimizer = averaging(sgd(1.0), uniform_average())
>>> state = init_state(model, optimizer, jnp.ones((1, 1)), key=0)
>>> for _ in range(3):  # what a training step does
...     updates, opt_state = optimizer.update({"w": -jnp.ones(1)}, state.opt_state, state.params)
...     state = state._replace(params=jax.tree.map(jnp.add, state.params, updates), opt_state=opt_state)
>>> average = state._replace(params=averaged_params(state.opt_state, state.params))  # evaluate this state
>>> state.params["w"], average.params["w"]  # the mean of 1, 2, 3
(Array([3.], dtype=float32), Array([2.], dtype=float32))

Batch statistics belong to the weights with which they were measured: measure them again for an average (Izmailov et
al.).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_accumulation import wide_zeros
from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    apply_updates,
    check_at_least,
    check_range,
    check_transformation,
    require_params,
    run_update,
    value_at,
)
from jaxnn.optimizers.leafwise_update import is_trainable, leafwise


class AverageState(NamedTuple):
    """Holds the weighted sum `total` of the parameters and the sum of its weights, `weight`.

    The average is `total / weight`; `step` counts the updates.
    """

    step: jax.Array
    weight: jax.Array
    total: Any


class WeightAverage(NamedTuple):
    """Holds two pure functions: `init(params) -> AverageState` and `update(state, params) -> AverageState`."""

    init: Callable[[Any], AverageState]
    update: Callable[[AverageState, Any], AverageState]


class AveragingState(NamedTuple):
    """Holds the `average` and the optimizer's own state `inner`."""

    average: AverageState
    inner: Any


def exponential_average(decay=0.999, *, debias: bool = True) -> WeightAverage:
    """Returns the exponential moving average of the weights (EMA; Polyak and Juditsky 1992):

        a <- decay a + (1 - decay) w

    Args:
      decay: in [0, 1), for a memory of about 1 / (1 - decay) steps; a number, traced or not, or a schedule
        `step -> number`.
      debias: True starts from zero and divides by the sum of the averaging weights, which is 1 - decay^t where decay is
        constant, as in Adam. False starts from the initial parameters, which then influence the average for long.

    Raises:
      ValueError: the decay is out of its range.

    >>> ema = exponential_average(0.5)
    >>> state = ema.update(ema.update(ema.init(jnp.zeros(1)), jnp.array([3.0])), jnp.array([6.0]))
    >>> averaged_params(state, jnp.zeros(1))  # (0.25 3 + 0.5 6) / 0.75
    Array([5.], dtype=float32)
    """
    check_range("decay", decay, 0, 1)

    def init(params):
        if debias:
            return _nothing(params)
        return _nothing(params)._replace(weight=jnp.ones((), float), total=_widened(params))

    def update(state, params):
        d = value_at(decay, state.step)
        _, total = leafwise(lambda w, a: (w, d * a + (1 - d) * w), params, state.total)
        weight = (d * state.weight + (1 - d)).astype(state.weight.dtype)
        return AverageState(state.step + 1, weight, total)

    return WeightAverage(init, update)


def uniform_average(*, start=0, every=1) -> WeightAverage:
    """Returns the mean of the weights after updates start, start + every, start + 2 every, ... (counted from 1).

    Stochastic weight averaging (Izmailov et al. 2018, arXiv 1803.05407) has a constant or cyclic learning rate from
    `start` on, and `every` is the length of a cycle. Before `start` the average is the current weights.

    Args:
      start, every: numbers of updates, at least 0 and at least 1; traced or not.

    Raises:
      ValueError: a number is out of its range.

    >>> swa = uniform_average(start=2, every=2)
    >>> state = swa.init(jnp.zeros(1))
    >>> for w in (1.0, 2.0, 3.0, 6.0):
    ...     state = swa.update(state, jnp.array([w]))
    >>> averaged_params(state, jnp.array([6.0]))
    Array([4.], dtype=float32)
    """
    check_at_least("start", start, 0)
    check_at_least("every", every, 1)

    def update(state, params):
        t = state.step + 1
        counts = (t >= start) & ((t - start) % every == 0)
        _, total = leafwise(lambda w, a: (w, a + jnp.where(counts, w, 0)), params, state.total)
        return AverageState(t, state.weight + counts, total)

    return WeightAverage(_nothing, update)


def averaging(optimizer, average: WeightAverage) -> GradientTransformation:
    """Returns the same optimizer, which also keeps the average of the weights that it reaches in its state.

    It must be outermost: a transformation after it in a chain would move the weights without its knowledge.

    >>> from jaxnn.optimizers import sgd
    >>> optimizer = averaging(sgd(1.0), exponential_average(0.9))
    >>> updates, state = optimizer.update(jnp.ones(1), optimizer.init(jnp.zeros(1)), jnp.zeros(1))
    >>> averaged_params(state, jnp.zeros(1)).round(5)
    Array([-1.], dtype=float32)
    """
    check_transformation("optimizer", optimizer)

    def init(params):
        return AveragingState(average.init(params), optimizer.init(params))

    def update(grads, state, params=None, **extra):
        require_params(params, "averaging")
        updates, inner = run_update(optimizer, grads, state.inner, params, extra)
        return updates, AveragingState(average.update(state.average, apply_updates(params, updates)), inner)

    return GradientTransformation(init, update)


def averaged_params(state, params):
    """Returns the averaged weights in the dtypes of `params`, or `params` themselves if nothing was averaged yet.

    Args:
      state: an `AverageState`, or a tree that contains one, such as the optimizer's state or the whole TrainState.
      params: the parameters that belong to it.

    Raises:
      ValueError: the state contains no average, or several.
    """
    is_average = lambda x: isinstance(x, AverageState)
    found = [x for x in jax.tree.leaves(state, is_leaf=is_average) if is_average(x)]
    if len(found) != 1:
        raise ValueError(
            f"`state` must contain one average of weights; received {len(found)}. Was the optimizer made by "
            "`averaging(optimizer, exponential_average())`?"
        )
    weight = found[0].weight
    mean = lambda w, a: (jnp.where(weight > 0, a / jnp.where(weight > 0, weight, 1), w),)
    (averaged,) = leafwise(mean, params, given=(found[0].total,))
    return jax.tree.map(lambda w, a: a if is_trainable(w) else w, params, averaged)


def _nothing(params):
    return AverageState(jnp.zeros((), jnp.int32), jnp.zeros((), float), wide_zeros(params))


def _widened(params):
    return leafwise(lambda w, a: (w, w), params, wide_zeros(params))[1]
