"""Metrics: `metric(outputs, targets) -> per-example array`, summed over the mask into (sum, count) pairs.

Pairs merge by addition, so an average over batches of any sizes is exact, the padded last one included.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num


class Mean(NamedTuple):
    """A mergeable average: `sum / count`."""

    sum: Num[Array, ""] | float
    count: Num[Array, ""] | float


def masked_mean(values: Num[Array, " batch"], mask: Bool[Array, " batch"]) -> Mean:
    """The (sum, count) of the values that the mask keeps; masked values may be anything, NaN too.

    >>> [float(x) for x in masked_mean(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([True, True, False]))]
    [3.0, 2.0]
    """
    return Mean(jnp.sum(jnp.where(mask, values, 0), dtype=jnp.float32), jnp.sum(mask, dtype=jnp.float32))


def accuracy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """1 where the largest logit is the label's, else 0; a tie goes to the lowest class.

    >>> accuracy(jnp.array([[0.1, 0.9], [0.8, 0.2]]), jnp.array([1, 1])).tolist()
    [1.0, 0.0]
    """
    return (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)


@lru_cache
def top_k(k: int) -> Callable[[Array, Array], Array]:
    """The metric that is 1 where the label is among the k largest logits (a tie with the k-th counts as within).

    Raises:
      ValueError: k < 1.

    >>> top_k(2)(jnp.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.7]]), jnp.array([2, 1])).tolist()
    [1.0, 0.0]
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1; received {k}.")

    def top_k_accuracy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
        of_label = jnp.take_along_axis(logits, labels[:, None], axis=-1)
        larger = ~(logits <= of_label)  # a NaN is larger, and nothing is right beside it
        return (jnp.sum(larger, axis=-1) < k).astype(jnp.float32)

    return top_k_accuracy


def confusion_matrix(predicted: Int[Array, " n"], labels: Int[Array, " n"], *, classes: int) -> Int[Array, "k k"]:
    """Counts `[true class, predicted class]`; matrices of parts of the data add up.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    return jnp.zeros((classes, classes), jnp.int32).at[labels, predicted].add(1)
