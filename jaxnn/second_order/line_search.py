"""A line search finds how far to go along a direction d: it chooses eta on the line `phi(eta) = f(w + eta d)`.

A search is a gradient transformation. It receives d as updates and returns `eta d`. Its `update` needs the function,
and the value and gradient of the function at the parameters:

    update(d, state, params, value=value, grad=grad, value_fn=value_fn)

A search never goes up by more than the tolerances of its condition. Where d does not descend (`phi'(0) >= 0`, or NaN),
or where the budget of evaluations is spent without any lower value, eta is 0. A trial with a NaN or infinite value
counts as too high, so the step shrinks. Optax's chain drops the extra arguments of a pair that is not its own: pass it
`optax.GradientTransformationExtraArgs(*search)`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range, zeros_like
from jaxnn.second_order.flat_parameters import FlatParameters, dot, flat_objective, flatten_parameters, require


class SearchInfo(NamedTuple):
    """Describes how the last search ended: an error of 0 means that the condition holds at the last trial."""

    num_linesearch_steps: jax.Array
    """the number of evaluations"""
    decrease_error: jax.Array
    curvature_error: jax.Array


class SearchState(NamedTuple):
    """Holds the last eta, and the value and gradient that it led to, for the next step to use.

    The gradient is None where it is not kept.
    """

    learning_rate: jax.Array
    value: jax.Array
    grad: Any
    info: SearchInfo


class Point(NamedTuple):
    """Holds `eta`, the value `phi(eta)` and the slope `phi'(eta)`."""

    eta: jax.Array
    value: jax.Array
    slope: jax.Array


class Line(NamedTuple):
    """Describes the line `f(w + eta d)`: f of vectors, the direction, the gradient at eta = 0, and the point there."""

    flat: FlatParameters
    f: Any
    d: jax.Array
    g: jax.Array
    start: Point


class _TriedStep(NamedTuple):
    eta: jax.Array
    value: jax.Array
    error: jax.Array
    evaluations: jax.Array


def scale_by_backtracking_linesearch(
    max_backtracking_steps,
    slope_rtol=1e-4,
    decrease_factor=0.8,
    increase_factor=1.5,
    max_learning_rate=1.0,
    atol=0.0,
    rtol=0.0,
    store_grad: bool = False,
) -> GradientTransformation:
    """Shrinks eta until the value falls enough (Armijo 1966; Nocedal and Wright, alg. 3.1):

        phi(eta) <= phi(0) + slope_rtol eta phi'(0) + atol + rtol |phi(0)|

    Names and path are Optax's, with two differences: Optax may go up where d does not descend, and never moves again
    after a failure.

    Args:
      max_backtracking_steps: largest number of times that eta shrinks; the function is evaluated at most once more.
      slope_rtol: the share of the slope that must be gained, in (0, 1).
      decrease_factor: factor by which eta shrinks, in (0, 1).
      increase_factor: a search begins at the last eta (1 before the first search) times this factor, but not above
        `max_learning_rate`; `math.inf` begins at `max_learning_rate`.
      max_learning_rate: largest eta; a search after a failure begins there.
      atol, rtol: tolerances of the condition, for noise in the values.
      store_grad: True also computes the gradient at the end of the search, for `value_and_grad_from_state`.

    Raises:
      ValueError: a number is out of its range; in `update`, an argument is missing.

    >>> search, f = scale_by_backtracking_linesearch(20, decrease_factor=0.5), lambda w: jnp.sum(w**2)
    >>> w = jnp.array([3.0])
    >>> updates, _ = search.update(-8 * w, search.init(w), w, value=f(w), grad=2 * w, value_fn=f)
    >>> updates.tolist()  # eta = 1/8
    [-3.0]
    """
    check_range("max_backtracking_steps", max_backtracking_steps, -1)
    for name, number in (("slope_rtol", slope_rtol), ("decrease_factor", decrease_factor)):
        check_range(name, number, 0, 1)
    check_range("max_learning_rate", max_learning_rate, 0)

    def update(updates, state, params=None, *, value=None, grad=None, value_fn=None, **extra):
        flat, f, d, _, start = line_through(updates, params, value, grad, value_fn, **extra)
        highest = start.value + atol + rtol * jnp.abs(start.value)
        guess = jnp.where(state.learning_rate > 0, increase_factor * state.learning_rate, max_learning_rate)

        def shrink(trial):
            eta = jnp.where(trial.evaluations > 0, decrease_factor * trial.eta, trial.eta).astype(d.dtype)
            phi = f(flat.w + eta * d)
            error = excess(phi - highest - slope_rtol * eta * start.slope, phi)
            return _TriedStep(eta, phi, error, trial.evaluations + 1)

        is_high = lambda t: (t.error > 0) & (t.evaluations <= max_backtracking_steps) & (start.slope < 0)
        longest, nothing = jnp.minimum(guess, max_learning_rate).astype(d.dtype), jnp.full_like(start.value, jnp.inf)
        trial = jax.lax.while_loop(is_high, shrink, _TriedStep(longest, nothing, nothing, jnp.int32(0)))
        moves = (trial.error <= 0) | is_lower(trial.value, start.value)
        eta, phi = jnp.where(moves, trial.eta, 0), jnp.where(moves, trial.value, start.value)
        step = jnp.where(moves, eta * d, 0)
        kept = flat.updates(jax.grad(f)(flat.w + step)) if store_grad else None
        return flat.updates(step), SearchState(eta, phi, kept, SearchInfo(trial.evaluations, trial.error, nothing))

    return GradientTransformation(lambda params: first_search(params, store_grad=store_grad), update)


def line_through(updates, params, value, grad, value_fn, **extra) -> Line:
    """Returns the arguments of `update` as a line; raises ValueError if one is missing."""
    value_fn = require("value_fn", value_fn, use="to be evaluated along the line")
    value = require("value", value, use="the value of `value_fn` at the parameters")
    grad = require("grad", grad, use="the gradient of `value_fn` at the parameters")
    flat = flatten_parameters(params)
    d, g = flat.vector(updates), flat.vector(grad)
    start = Point(jnp.zeros((), d.dtype), jnp.asarray(value, d.dtype), dot(g, d))
    return Line(flat, flat_objective(value_fn, flat, **extra), d, g, start)


def first_search(params, *, store_grad: bool) -> SearchState:
    """Returns the state before any search."""
    scalar = lambda number: jnp.asarray(number, flatten_parameters(params).w.dtype)
    info = SearchInfo(jnp.int32(0), scalar(jnp.inf), scalar(jnp.inf))
    return SearchState(scalar(1), scalar(jnp.inf), zeros_like(params) if store_grad else None, info)


def excess(error, like):
    """Computes by how much a condition fails; the result is infinite where there is no number to compare."""
    return jnp.where(jnp.isfinite(error), jnp.maximum(error, 0), jnp.inf).astype(like.dtype)


def is_lower(value, other):
    """Returns True if a value is finite and below another."""
    return (value < other) & (value > -jnp.inf)
