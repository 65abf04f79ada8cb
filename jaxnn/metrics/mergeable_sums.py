"""Sums that merge by addition, whatever the batches were: means, moments, and what is made of a mean."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num


class Mean(NamedTuple):
    """A mergeable average: `sum / count`."""

    sum: Num[Array, ""] | float
    count: Num[Array, ""] | float


class Moments(NamedTuple):
    """A mergeable average with its spread: what `normal_interval` and `student_interval` read.

    The variance is a difference of sums in float32: it needs values whose mean is not thousands of their deviations.
    """

    sum: Num[Array, ""] | float
    sum_of_squares: Num[Array, ""] | float
    count: Num[Array, ""] | float

    @property
    def mean(self):
        return self.sum / self.count

    @property
    def variance(self):
        """The unbiased one, of divisor count - 1; NaN for a count of one."""
        return jnp.maximum(self.sum_of_squares - self.sum * self.mean, 0) / (self.count - 1)


def masked_mean(values: Num[Array, " batch"], mask: Bool[Array, " batch"]) -> Mean:
    """The (sum, count) of the values that the mask keeps; masked values may be anything, NaN too.

    >>> [float(x) for x in masked_mean(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([True, True, False]))]
    [3.0, 2.0]
    """
    return Mean(jnp.sum(jnp.where(mask, values, 0), dtype=jnp.float32), jnp.sum(mask, dtype=jnp.float32))


def masked_moments(values: Num[Array, " batch"], mask: Bool[Array, " batch"]) -> Moments:
    """The (sum, sum of squares, count) of the values that the mask keeps.

    >>> [float(x) for x in masked_moments(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([True, True, False]))]
    [3.0, 5.0, 2.0]
    """
    kept = jnp.where(mask, values, 0).astype(jnp.float32)
    return Moments(jnp.sum(kept), jnp.sum(kept * kept), jnp.sum(mask, dtype=jnp.float32))


def merge(*parts):
    """Parts of one kind (Mean, Moments, BleuCounts, confusion matrices, trees of them), added leaf by leaf.

    Python's `+` would put two pairs behind one another.

    Raises:
      ValueError: no parts, or parts of different kinds.

    >>> merge(Mean(3.0, 2.0), Mean(5.0, 1.0))
    Mean(sum=8.0, count=3.0)
    """
    if not parts:
        raise ValueError("`parts` must be one or more; received none. Of what kind would the sum be?")
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)


def perplexity(mean: Mean) -> Float[Array, ""]:
    """`exp(sum / count)` of token cross-entropies in nats: among how many words the model is, on average, undecided.

    Merge the means first: the mean of perplexities is not the perplexity. Count tokens, not sentences.

    >>> round(float(perplexity(merge(Mean(8 * jnp.log(10.0), 8.0), Mean(2 * jnp.log(10.0), 2.0)))), 3)
    10.0
    """
    return jnp.exp(jnp.asarray(mean.sum / mean.count))
