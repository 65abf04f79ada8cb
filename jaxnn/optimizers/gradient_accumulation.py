"""Gradient accumulation makes one update from several gradients: a large batch in the memory of a small one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_transformation,
    run_update,
)
from jaxnn.optimizers.leafwise_update import leafwise


class AccumulationState(NamedTuple):
    """Holds the sum `total` (float32 at least) of the `position` gradients of this update so far.

    `inner` is the optimizer's own state.
    """

    position: jax.Array
    total: Any
    inner: Any


def accumulate(optimizer, *, steps) -> GradientTransformation:
    """Collects `steps` gradients, then makes one update with their mean; the updates in between are zero.

        G <- G + g_i,        at each `steps`-th: u = T(G / steps), G <- 0

    With batches of equal size and a loss that is a mean over the batch, this is the update of a batch that is `steps`
    times as large. The optimizer runs only when its update is due (`lax.cond`), and its step counts updates, not
    gradients: a schedule inside it must be made for that number of updates. In a chain, do not put a transformation
    after `accumulate` that moves weights by itself, such as weight decay.

    Args:
      optimizer: the pair that receives the mean, ours or Optax's.
      steps: at least 1; traced or not.

    Raises:
      ValueError: `steps` is below 1, or the optimizer is not a pair (init, update).

    >>> from jaxnn.optimizers import sgd
    >>> optimizer = accumulate(sgd(1.0), steps=2)
    >>> state = optimizer.init(jnp.zeros(1))
    >>> for g in (1.0, 3.0):
    ...     updates, state = optimizer.update(jnp.array([g]), state)
    ...     print(updates)
    [0.]
    [-2.]
    """
    check_transformation("optimizer", optimizer)
    check_at_least("steps", steps, 1)

    def init(params):
        return AccumulationState(jnp.zeros((), jnp.int32), wide_zeros(params), optimizer.init(params))

    def update(grads, state, params=None, **extra):
        _, total = leafwise(lambda g, s: (g, s + g), grads, state.total)

        def emit(total, inner):
            (mean,) = leafwise(lambda g, s: (s / steps,), grads, given=(total,))
            updates, inner = run_update(optimizer, mean, inner, params, extra)
            return updates, jax.tree.map(jnp.zeros_like, total), inner

        def wait(total, inner):
            shapes = jax.eval_shape(emit, total, inner)[0]
            return jax.tree.map(lambda u: jnp.zeros(u.shape, u.dtype), shapes), total, inner

        due = state.position + 1 >= steps
        updates, total, inner = jax.lax.cond(due, emit, wait, total, state.inner)
        return updates, AccumulationState(jnp.where(due, 0, state.position + 1), total, inner)

    return GradientTransformation(init, update)


def wide_zeros(params):
    """Returns zeros to sum in, float32 for half precision, where a sum of many small numbers would stop growing."""
    return jax.tree.map(lambda p: jnp.zeros_like(p, jnp.promote_types(jnp.result_type(p), jnp.float32)), params)
