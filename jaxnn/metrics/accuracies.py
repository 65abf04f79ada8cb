"""Is the label the largest logit, or among the largest?"""

from collections.abc import Callable
from functools import lru_cache

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


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
