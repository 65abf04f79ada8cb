"""Accuracy metrics report whether the label has the largest logit, or one of the k largest."""

from collections.abc import Callable
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num

from jaxnn.losses.per_example import are_binary, check_labels, is_label

_REGRESSION = "Is it a regression? Then accuracy says nothing: pass metrics=()."


def accuracy(
    logits: Float[Array, "batch ..."],
    labels: Num[Array | np.ndarray, "batch ..."] | Bool[Array | np.ndarray, "batch ..."],
) -> Float[Array, "batch ..."]:
    """Returns 1 where the largest logit is that of the label, else 0; a tie goes to the lowest class.

    Args:
      logits: (..., classes); or one logit for each example, (batch,) or (batch, 1), which is above 0 for class 1.
      labels: (...) integers, or probabilities of the shape of the logits (such as one-hot), of which the largest marks
        the label. With one logit for each example: 0 and 1 (or -1 and 1, or booleans), (batch,) or (batch, 1).

    Raises:
      ValueError: if the shapes do not match, or labels in a NumPy array do not name a class or are not probabilities.

    >>> accuracy(jnp.array([[0.1, 0.9], [0.8, 0.2]]), jnp.array([1, 1])).tolist()
    [1.0, 0.0]
    """
    if logits.shape[1:] in ((), (1,)):
        return _binary(logits, labels)
    if labels.shape == logits.shape:
        _check_probabilities(labels)
        return (jnp.argmax(logits, axis=-1) == jnp.argmax(labels, axis=-1)).astype(jnp.float32)
    check_labels(labels, logits)
    return (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)


@lru_cache
def top_k(k: int) -> Callable[[Array, Array], Array]:
    """Makes the metric that is 1 where the label is among the k largest logits, else 0.

    A label that ties with the k-th largest logit counts as among them.

    Raises:
      ValueError: if k < 1. The metric raises it if k is above the number of classes, or the labels do not have the
        shape (batch,), are not integers, or, in a NumPy array, do not name a class.

    >>> top_k(2)(jnp.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.7]]), jnp.array([2, 1])).tolist()
    [1.0, 0.0]
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1; received {k}.")

    def top_k_accuracy(
        logits: Float[Array, "batch classes"], labels: Integer[Array | np.ndarray, " batch"]
    ) -> Float[Array, " batch"]:
        check_labels(labels, logits)
        if k > logits.shape[-1]:
            raise ValueError(f"`k` must be at most {logits.shape[-1]}, the number of classes; received {k}.")
        hit = is_label(labels, logits)
        of_label = jnp.max(jnp.where(hit, logits, -jnp.inf), axis=-1, keepdims=True)
        larger = ~(logits <= of_label)  # a comparison with NaN counts as larger
        return ((jnp.sum(larger, axis=-1) < k) & hit.any(axis=-1)).astype(jnp.float32)

    return top_k_accuracy


def _binary(logits, labels):
    """Computes the accuracy from one logit for each example."""
    if labels.shape not in (logits.shape[:1], (*logits.shape[:1], 1)):
        raise ValueError(
            f"`labels` must have shape {logits.shape[:1]} beside one logit for each example, {logits.shape}; received "
            f"{labels.shape}."
        )
    if not are_binary(labels):
        raise ValueError(
            "`labels` must be 0 or 1 beside one logit for each example; received numbers from "
            f"{labels.min()} to {labels.max()}. {_REGRESSION}"
        )
    return ((jnp.reshape(logits, -1) > 0) == (jnp.reshape(labels, -1) > 0)).astype(jnp.float32)


def _check_probabilities(labels):
    if not isinstance(labels, np.ndarray) or not labels.size:
        return
    if labels.min() < 0 or abs(labels.sum(axis=-1, dtype=float) - 1).max() > 1e-3:
        raise ValueError(
            "`labels` of the shape of the logits must be probabilities, at least 0 and with sum 1; received numbers "
            f"from {labels.min()} to {labels.max()}. {_REGRESSION}"
        )
