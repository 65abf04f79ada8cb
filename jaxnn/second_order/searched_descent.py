"""Descent along preconditioned gradients, with or without a line search: what second-order methods share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_learning_rate, run_update, value_at
from jaxnn.second_order.flat_parameters import require
from jaxnn.signatures import accepted


class DescentState(NamedTuple):
    """States of what makes the direction, and of the line search (() without)."""

    step: jax.Array
    direction: Any
    search: Any


def searched(preconditioner, *, learning_rate=1.0, linesearch=None) -> GradientTransformation:
    """The optimizer `w <- w - lr eta P g`, with eta by a line search, or 1 without.

    Args:
      preconditioner: a pair whose updates are `P g`: a direction that rises.
      learning_rate: a number or a schedule; with a line search it scales what eta multiplies.
      linesearch: a pair of ours or of Optax that scales what it gets, or None.

    `update(grads, state, params, value_fn=..., **extra)` hands all that it is given to the preconditioner. A search
    needs `value_fn`, and takes `grads` for its gradient and `value_fn(params)` for its value, where `grad` and `value`
    are not given.

    Raises:
      ValueError: a learning rate out of its range.

    >>> from jaxnn.second_order.line_search import scale_by_backtracking_linesearch
    >>> steepest = GradientTransformation(lambda params: (), lambda grads, state, params, **extra: (4 * grads, state))
    >>> optimizer = searched(steepest, linesearch=scale_by_backtracking_linesearch(20, decrease_factor=0.5))
    >>> f, w = lambda w: jnp.sum(w**2), jnp.array([3.0])
    >>> optimizer.update(2 * w, optimizer.init(w), w, value_fn=f)[0].tolist()  # eta = 1/8
    [-3.0]
    """
    check_learning_rate(learning_rate)

    def init(params):
        search = () if linesearch is None else linesearch.init(params)
        return DescentState(jnp.int32(0), preconditioner.init(params), search)

    def update(grads, state, params=None, **extra):
        d, direction = run_update(preconditioner, grads, state.direction, params, extra)
        rate = value_at(learning_rate, state.step)
        updates, search = jax.tree.map(lambda x: (-rate * x).astype(x.dtype), d), state.search
        if linesearch is not None:
            updates, search = linesearch.update(updates, search, params, **_measured(grads, params, **extra))
        return updates, DescentState(state.step + 1, direction, search)

    return GradientTransformation(init, update)


def _measured(grads, params, *, value_fn=None, value=None, grad=None, **extra):
    """What a line search takes: the function, with the arguments that it names, its value and its gradient."""
    extra = accepted(require("value_fn", value_fn, use="to be evaluated along the line"), **extra)
    value = value_fn(params, **extra) if value is None else value
    return {"value_fn": value_fn, "value": value, "grad": grads if grad is None else grad, **extra}
