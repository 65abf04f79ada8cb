"""Second-order methods share this descent along preconditioned gradients, with or without a line search."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_learning_rate, run_update, value_at
from jaxnn.second_order.flat_parameters import require
from jaxnn.signatures import accepted


class DescentState(NamedTuple):
    """Holds the state of the preconditioner, `direction`, and that of the line search, `search` (() without one)."""

    step: jax.Array
    direction: Any
    search: Any


def searched(preconditioner, *, learning_rate=1.0, linesearch=None) -> GradientTransformation:
    """Returns the optimizer `w <- w - lr eta P g`, where a line search finds eta; without a search eta is 1.

    Args:
      preconditioner: a pair whose updates are `P g`, a direction along which the function rises.
      learning_rate: a number or a schedule; with a line search it scales the direction that eta multiplies.
      linesearch: a pair of ours or of Optax that scales the updates that it receives, or None.

    `update(grads, state, params, value_fn=..., **extra)` passes all its extra arguments to the preconditioner. A search
    needs `value_fn`. Where `grad` and `value` are not given, the search uses `grads` as the gradient and
    `value_fn(params)` as the value.

    Raises:
      ValueError: the learning rate is out of its range.

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
    """Returns the arguments of a line search: the function, with those it names, its value and its gradient."""
    extra = accepted(require("value_fn", value_fn, use="to be evaluated along the line"), **extra)
    value = value_fn(params, **extra) if value is None else value
    return {"value_fn": value_fn, "value": value, "grad": grads if grad is None else grad, **extra}
