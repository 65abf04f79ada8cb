"""Confidence intervals show how far a measured mean may be off, computed from counts and moments that merge."""

import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, ndtri
from jaxtyping import Array, Num

from jaxnn.metrics.mergeable_sums import Moments

_MANY = 40  # degrees of freedom from which the series is more accurate in float32; here both are off by about 1e-6


class Interval(NamedTuple):
    """Holds the ends of an interval, which reaches from `low` to `high`."""

    low: Array
    high: Array


def wilson_interval(
    successes: Num[Array, "*n"] | float, count: Num[Array, "*n"] | float, *, confidence: float = 0.95
) -> Interval:
    """Computes Wilson's interval of a proportion such as an accuracy.

    It is good for few examples and for accuracies near 0 or 1.

        (s + z^2/2 +- z sqrt(s (n - s)/n + z^2/4)) / (n + z^2),    z the normal quantile of (1 + confidence)/2

    The interval has all p with `|s/n - p| <= z sqrt(p (1 - p)/n)`; without examples it is [0, 1]. It is valid for
    independent examples. It does not describe the result of another training run: for that, measure several runs and
    use `student_interval`.

    Args:
      successes: s, such as `Mean.sum` of an accuracy.
      count: n.
      confidence: in (0, 1).

    Raises:
      ValueError: if `confidence` is outside (0, 1).

    Wilson 1927, Probable inference.

    >>> [round(float(end), 4) for end in wilson_interval(9900, 10_000)]  # 99 % of 10 000
    [0.9879, 0.9918]
    """
    s, n = _floats(successes, count)
    z = _normal_quantile(confidence).astype(s.dtype)
    centre = s + z * z / 2
    half = z * jnp.sqrt(s * (n - s) / jnp.maximum(n, 1) + z * z / 4)
    low, high = (centre - half) / (n + z * z), (centre + half) / (n + z * z)
    return Interval(jnp.where(s <= 0, 0, low), jnp.where(s >= n, 1, high))  # exactly 0 and 1, despite rounding


def normal_interval(moments: Moments, *, confidence: float = 0.95) -> Interval:
    """Computes the interval `mean +- z sqrt(variance / n)` for a mean of many values.

    z is the normal quantile of (1 + confidence)/2; the interval follows from the central limit theorem.

    Args:
      moments: merged, with a count of at least 2 (else the result is NaN).
      confidence: in (0, 1).

    Raises:
      ValueError: if `confidence` is outside (0, 1).

    >>> [round(float(end), 3) for end in normal_interval(Moments(500.0, 2600.0, 100.0))]
    [4.803, 5.197]
    """
    return _around_mean(moments, _normal_quantile(confidence))


def student_interval(moments: Moments, *, confidence: float = 0.95) -> Interval:
    """Computes the interval `mean +- t sqrt(variance / n)` for a mean of few values, such as the scores of runs.

    t is Student's quantile with n - 1 degrees of freedom. The interval is exact for normally distributed values. It is
    wider than `normal_interval` by a factor of 1.4 for n = 5 and 1.01 for n = 100.

    Args:
      moments: merged, with a count of at least 2 (else the result is NaN).
      confidence: in (0, 1).

    Raises:
      ValueError: if `confidence` is outside (0, 1).

    Student 1908, The probable error of a mean.

    >>> [round(float(end), 3) for end in student_interval(Moments(10.0, 30.0, 5.0))]  # 0, 1, 2, 3, 4
    [0.037, 3.963]
    """
    return _around_mean(moments, _student_quantile(confidence, jnp.asarray(moments.count, float) - 1))


def _around_mean(moments, quantile):
    total, squares, count = _floats(*moments)
    wide = Moments(total, squares, count)
    half = quantile.astype(total.dtype) * jnp.sqrt(wide.variance / count)
    return Interval(wide.mean - half, wide.mean + half)


def _normal_quantile(confidence):
    if isinstance(confidence, numbers.Real) and not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be greater than 0 and less than 1; received {confidence}. 95 % is 0.95.")
    return ndtri((1 + jnp.asarray(confidence, float)) / 2)


def _student_quantile(confidence, v):
    """Returns t with P(|T| <= t) = confidence.

    Few degrees of freedom v use bisection on log t, many use a series in 1/v.
    """
    z = _normal_quantile(confidence)
    few = jnp.clip(v, 1, _MANY)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        t = jnp.exp(middle)
        below = betainc(few / 2, 0.5, few / (few + t * t)) > 1 - confidence  # P(|T| > t) is still too large
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    bounds = jnp.full_like(few, -20.0), jnp.full_like(few, 20.0)
    bisected = jnp.exp(sum(jax.lax.fori_loop(0, 60, halve, bounds)) / 2)
    many = jnp.maximum(v, _MANY)
    series = z + (z**3 + z) / (4 * many) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * many**2)
    series += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * many**3)  # Abramowitz and Stegun 26.7.5
    return jnp.where(v < 1, jnp.nan, jnp.where(v < _MANY, bisected, series))


def _floats(*values):
    """Converts the values to float32, or to float64 if one of them is float64."""
    dtype = jnp.promote_types(jnp.result_type(*values), jnp.float32)
    return [jnp.asarray(value, dtype) for value in values]
