"""The line search of quasi-Newton methods finds a step of the strong Wolfe conditions in a shrinking bracket."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range
from jaxnn.second_order.flat_parameters import dot
from jaxnn.second_order.line_search import Point, SearchInfo, SearchState, excess, first_search, is_lower, line_through

GUESSES = ("keep", "one")


class _Bracket(NamedTuple):
    """Holds an interval: `low` falls enough, and its slope leads to `high`.

    `third` is an end of the interval before; the cubic goes through it too.
    """

    low: Point
    high: Point
    third: Point


class _WolfeSearch(NamedTuple):
    interval: _Bracket
    bracketed: jax.Array
    last: tuple[Point, jax.Array]
    """the last trial, with its gradient"""
    safe: tuple[Point, jax.Array]
    """the best trial that falls enough, with its gradient"""
    errors: tuple[jax.Array, jax.Array]
    running: jax.Array
    evaluations: jax.Array


class _Conditions(NamedTuple):
    """Holds the numbers of a search; the names are those of `scale_by_zoom_linesearch`."""

    slope_rtol: Any
    curv_rtol: Any
    approx_dec_rtol: Any
    tol: Any
    increase_factor: Any
    longest: Any
    stepsize_precision: Any

    def errors_at(self, point, start):
        """Returns by how much both conditions fail at a point."""
        rise = point.value - start.value
        decrease = rise - self.slope_rtol * point.eta * start.slope
        if self.approx_dec_rtol is not None:
            rounding = rise - self.approx_dec_rtol * jnp.abs(start.value)
            flat_enough = point.slope - (2 * self.slope_rtol - 1) * start.slope
            decrease = jnp.minimum(decrease, jnp.maximum(flat_enough, rounding))
        curvature = jnp.abs(point.slope) - self.curv_rtol * jnp.abs(start.slope)
        return excess(decrease, rise), excess(curvature, rise)

    def next_eta(self, search, first):
        """Returns the next trial: inside the bracket, or further out as long as there is none."""
        grown = jnp.where(search.evaluations > 0, self.increase_factor * search.last[0].eta, first)
        outside = jnp.minimum(grown, self.longest)
        return jnp.where(search.bracketed, _inside(search.interval), outside).astype(first.dtype)

    def advance(self, search, trial, start) -> _WolfeSearch:
        """Returns the search after a trial."""
        new, _ = trial
        errors = self.errors_at(new, start)
        falls, good = errors[0] <= self.tol, jnp.maximum(*errors) <= self.tol
        found, bracketed = _bracket(search, new, falls)
        zoomed = _zoom(search.interval, new, falls)
        better = falls & (~search.bracketed | (new.value < search.safe[0].value))
        safe = _choose(better, trial, search.safe)
        too_short = search.bracketed & (_width(search.interval) <= self.stepsize_precision) & (safe[0].eta > 0)
        at_the_end = ~bracketed & (new.eta >= self.longest)
        return _WolfeSearch(
            interval=_choose(search.bracketed, zoomed, found),
            bracketed=bracketed,
            last=trial,
            safe=safe,
            errors=errors,
            running=~(good | too_short | at_the_end),
            evaluations=search.evaluations + 1,
        )


def scale_by_zoom_linesearch(
    max_linesearch_steps,
    max_learning_rate=None,
    tol=0.0,
    increase_factor=2.0,
    slope_rtol=1e-4,
    curv_rtol=0.9,
    approx_dec_rtol=1e-6,
    stepsize_precision=1e-5,
    initial_guess_strategy: str = "keep",
) -> GradientTransformation:
    """Finds an eta that satisfies the strong Wolfe conditions (Nocedal and Wright, alg. 3.5 and 3.6).

    With 0 < slope_rtol < curv_rtol these are

        phi(eta) <= phi(0) + slope_rtol eta phi'(0)          |phi'(eta)| <= curv_rtol |phi'(0)|

    Eta grows until a bracket holds such a step. Then the bracket shrinks by cubic or quadratic interpolation, or by
    halves. Near a minimum, where values differ by rounding only, `phi'(eta) <= (2 slope_rtol - 1) phi'(0)` replaces the
    first condition (Hager and Zhang 2006). Names and path are Optax's, except where a search fails: see the module
    `line_search`.

    Args:
      max_linesearch_steps: largest number of evaluations of value and gradient.
      max_learning_rate: largest eta, or None.
      tol: amount by which both conditions may fail.
      increase_factor: factor by which eta grows.
      slope_rtol, curv_rtol: the constants c1 and c2 of the conditions.
      approx_dec_rtol: two values that are nearer than this share of `|phi(0)|` differ by rounding only; None: never.
      stepsize_precision: a bracket shorter than this is given up for the lowest value that falls enough.
      initial_guess_strategy: a search begins at 1 ("one", for methods of Newton's kind), or at the last eta ("keep").

    Raises:
      ValueError: a number is out of its range, or the strategy is unknown; in `update`, an argument is missing.

    >>> search, f = scale_by_zoom_linesearch(20), lambda w: jnp.sum(w**2)
    >>> w = jnp.array([3.0])
    >>> updates, _ = search.update(-8 * w, search.init(w), w, value=f(w), grad=2 * w, value_fn=f)
    >>> updates.tolist()  # the minimum of the parabola through three trials
    [-3.0]
    """
    check_range("max_linesearch_steps", max_linesearch_steps, 0)
    for name, number in (("slope_rtol", slope_rtol), ("curv_rtol", curv_rtol)):
        check_range(name, number, 0, 1)
    check_range("increase_factor", increase_factor, 1)
    if initial_guess_strategy not in GUESSES:
        raise unknown("initial_guess_strategy", initial_guess_strategy, GUESSES)
    longest = math.inf if max_learning_rate is None else max_learning_rate
    conditions = _Conditions(slope_rtol, curv_rtol, approx_dec_rtol, tol, increase_factor, longest, stepsize_precision)

    def update(updates, state, params=None, *, value=None, grad=None, value_fn=None, **extra):
        flat, f, d, g, start = line_through(updates, params, value, grad, value_fn, **extra)
        keeps = jnp.array(initial_guess_strategy == "keep") & (state.learning_rate > 0)
        first = jnp.where(keeps, state.learning_rate, 1).astype(d.dtype)

        def step(search):
            eta = conditions.next_eta(search, first)
            phi, gradient = jax.value_and_grad(f)(flat.w + eta * d)
            return conditions.advance(search, (Point(eta, phi, dot(gradient, d)), gradient), start)

        going = lambda search: search.running & (search.evaluations < max_linesearch_steps)
        search = jax.lax.while_loop(going, step, _before(start, g))
        good = (search.errors[0] <= tol) & ((search.errors[1] <= tol) | ~search.bracketed)
        unsafe = (search.safe[0].eta == 0) & is_lower(search.last[0].value, start.value)
        end, end_gradient = _choose(good | unsafe, search.last, search.safe)
        taken = flat.updates(jnp.where(end.eta > 0, end.eta * d, 0))
        info = SearchInfo(search.evaluations, *search.errors)
        return taken, SearchState(end.eta, end.value, flat.updates(end_gradient), info)

    return GradientTransformation(lambda params: first_search(params, store_grad=True), update)


def _before(start, g) -> _WolfeSearch:
    """Returns the search before its first trial; it does not run where the direction does not descend."""
    never, failed = jnp.array(False), jnp.full_like(start.value, jnp.inf)
    interval = _Bracket(start, start, start)
    return _WolfeSearch(interval, never, (start, g), (start, g), (failed, failed), start.slope < 0, jnp.int32(0))


def _bracket(search, new, falls) -> tuple[_Bracket, jax.Array]:
    """Follows algorithm 3.5: once a trial is too high or slopes up, a good step is between it and the one before."""
    last, _ = search.last
    is_high = ~falls | ((new.value >= last.value) & (search.evaluations > 0))
    turns = (new.slope >= 0) & ~is_high
    low, high = _choose(turns, new, last), _choose(turns, last, new)
    return _Bracket(low, high, low), search.bracketed | is_high | turns


def _zoom(interval, new, falls) -> _Bracket:
    """Follows algorithm 3.6: the new trial replaces an end, so that a good step stays inside."""
    low, high, _ = interval
    is_high = ~falls | (new.value >= low.value)
    turns = (new.slope * (high.eta - low.eta) >= 0) & ~is_high
    return _Bracket(
        low=_choose(is_high, low, new),
        high=_choose(is_high, new, _choose(turns, low, high)),
        third=_choose(is_high | turns, high, low),
    )


def _width(interval):
    return jnp.abs(interval.high.eta - interval.low.eta)


def _choose(condition, yes, no):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _inside(interval):
    """Returns the minimum of the cubic, or of the parabola, if it is well inside the interval; else the middle."""
    middle, width = (interval.low.eta + interval.high.eta) / 2, _width(interval)
    is_inside = lambda eta, margin: jnp.abs(eta - middle) < (0.5 - margin) * width
    cubic, parabola = _cubic_minimum(*interval), _parabola_minimum(interval.low, interval.high)
    return jnp.where(is_inside(cubic, 0.2), cubic, jnp.where(is_inside(parabola, 0.1), parabola, middle))


def _parabola_minimum(low, high):
    """Computes the minimum of the parabola with value and slope of `low` and the value of `high`."""
    h = high.eta - low.eta
    return low.eta - low.slope * h**2 / (2 * (high.value - low.value - low.slope * h))


def _cubic_minimum(low, high, third):
    """Computes the minimum of a cubic through `high` and `third`.

    The cubic is `A t^3 + B t^2 + low.slope t + low.value`, where t = eta - low.eta.
    """
    h, k = high.eta - low.eta, third.eta - low.eta
    at_h, at_k = high.value - low.value - low.slope * h, third.value - low.value - low.slope * k
    scale = (h * k) ** 2 * (h - k)
    A, B = (k**2 * at_h - h**2 * at_k) / scale, (h**3 * at_k - k**3 * at_h) / scale
    root = jnp.sqrt(B**2 - 3 * A * low.slope)
    return low.eta + jnp.where(B > 0, -low.slope / (B + root), (root - B) / (3 * A))  # A may be 0, as on a parabola
