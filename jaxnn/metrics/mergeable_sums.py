"""Means and moments are held as sums, which merge by addition whatever the sizes of the batches were."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num


class Mean(NamedTuple):
    """Holds a mergeable average, `sum / count`."""

    sum: Num[Array, ""] | float
    count: Num[Array, ""] | float


class Moments(NamedTuple):
    """Holds a mergeable average with its variance, from which `normal_interval` and `student_interval` are computed.

    The variance is a difference of sums in float32. It is accurate only if the mean of the values is not thousands of
    times their standard deviation.
    """

    sum: Num[Array, ""] | float
    sum_of_squares: Num[Array, ""] | float
    count: Num[Array, ""] | float

    @property
    def mean(self):
        return self.sum / self.count

    @property
    def variance(self):
        """Returns the unbiased variance, with the divisor count - 1; it is NaN for a count of one."""
        return jnp.maximum(self.sum_of_squares - self.sum * self.mean, 0) / (self.count - 1)


def masked_mean(values: Num[Array, " batch"], mask: Bool[Array, " batch"]) -> Mean:
    """Returns the (sum, count) of the values that the mask keeps; masked values may be anything, also NaN.

    >>> [float(x) for x in masked_mean(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([True, True, False]))]
    [3.0, 2.0]
    """
    return Mean(jnp.sum(jnp.where(mask, values, 0), dtype=jnp.float32), jnp.sum(mask, dtype=jnp.float32))


def masked_moments(values: Num[Array, " batch"], mask: Bool[Array, " batch"]) -> Moments:
    """Returns the (sum, sum of squares, count) of the values that the mask keeps.

    >>> [float(x) for x in masked_moments(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([True, True, False]))]
    [3.0, 5.0, 2.0]
    """
    kept = jnp.where(mask, values, 0).astype(jnp.float32)
    return Moments(jnp.sum(kept), jnp.sum(kept * kept), jnp.sum(mask, dtype=jnp.float32))


def merge(*parts):
    """Adds parts of one kind leaf by leaf: Mean, Moments, BleuCounts, confusion matrices, or trees of them.

    Python's `+` would concatenate two pairs.

    Raises:
      ValueError: if there are no parts, or parts of different kinds.

    >>> merge(Mean(3.0, 2.0), Mean(5.0, 1.0))
    Mean(sum=8.0, count=3.0)
    """
    if not parts:
        raise ValueError("`parts` must be one or more; received none. Of what kind would the sum be?")
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)


def perplexity(mean: Mean) -> Float[Array, ""]:
    """Computes `exp(sum / count)` of token cross-entropies in nats.

    It is the number of words between which the model is undecided on average. Merge the means first: the mean of
    perplexities is not the perplexity. Count tokens, not sentences.

    >>> round(float(perplexity(merge(Mean(8 * jnp.log(10.0), 8.0), Mean(2 * jnp.log(10.0), 2.0)))), 3)
    10.0
    """
    return jnp.exp(jnp.asarray(mean.sum / mean.count))
