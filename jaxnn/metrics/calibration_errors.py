"""Calibration errors say how far the confidence of a classifier is from its accuracy.

The confidence of a prediction is the probability that the model gives it, such as the largest softmax. Of a calibrated
model, 80 % of the predictions with the confidence 0.8 are right.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from jaxnn.losses.per_example import checked_mask


class CalibrationBins(NamedTuple):
    """Holds sums over the examples in each bin of confidence; `metrics.merge` adds the sums of parts."""

    confidence: Float[Array, " bins"]
    hits: Float[Array, " bins"]
    count: Float[Array, " bins"]


def calibration_bins(
    confidences: Float[Array, " n"],
    hits: Num[Array, " n"] | Bool[Array, " n"],
    *,
    bins: int = 15,
    mask: Bool[Array | np.ndarray, " n"] | None = None,
) -> CalibrationBins:
    """Sums confidences and hits in bins of equal width: `((i - 1)/bins, i/bins]`, and the first with 0, too.

    Args:
      confidences: probabilities of the predictions, (n,).
      hits: whether each prediction is right, (n,), such as the result of `accuracy`.
      bins: at least 1.
      mask: True at the examples that count; all by default.

    Raises:
      ValueError: if the shapes differ or `bins` is below 1.

    >>> from jaxnn.activations import softmax
    >>> from jaxnn.metrics import accuracy
    >>> logits, labels = jnp.array([[0.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1])
    >>> binned = calibration_bins(softmax(logits).max(axis=-1), accuracy(logits, labels), bins=10)
    >>> binned.hits.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1; received {bins}.")
    if confidences.ndim != 1 or confidences.shape != hits.shape:
        raise ValueError(
            f"`confidences` and `hits` must have one shape (n,); received {confidences.shape} and {hits.shape}. Of "
            "probabilities of classes take p.max(axis=-1)."
        )
    kept = checked_mask("mask", mask, hits.shape)
    place = jnp.clip(jnp.ceil(confidences.astype(jnp.float32) * bins) - 1, 0, bins - 1)
    place = jnp.where(kept, place, bins).astype(jnp.int32)  # beyond the end is dropped
    add = lambda x: jnp.zeros(bins, jnp.float32).at[place].add(x.astype(jnp.float32), mode="drop")
    return CalibrationBins(add(confidences), add(hits), add(kept))


def expected_calibration_error(bins: CalibrationBins) -> Float[Array, ""]:
    """Computes `sum_b (n_b / n) |accuracy_b - confidence_b|` over the bins b of confidence.

    It depends on the number of bins. It is NaN without examples, or with a confidence that is NaN (Guo et al. 2017,
    arXiv 1706.04599, eq. 3).

    >>> sums = CalibrationBins(jnp.array([1.0, 3.5]), jnp.array([0.0, 2.0]), jnp.array([4.0, 4.0]))
    >>> float(expected_calibration_error(sums))  # (1 + 1.5) / 8
    0.3125
    """
    return jnp.sum(jnp.abs(bins.hits - bins.confidence)) / jnp.sum(bins.count)


def maximum_calibration_error(bins: CalibrationBins) -> Float[Array, ""]:
    """Computes `max_b |accuracy_b - confidence_b|` over the bins b that are not empty (Guo et al. 2017, eq. 5).

    It is NaN without examples.

    >>> sums = CalibrationBins(jnp.array([1.0, 3.5]), jnp.array([0.0, 2.0]), jnp.array([4.0, 4.0]))
    >>> float(maximum_calibration_error(sums))
    0.375
    """
    gaps = jnp.abs(bins.hits - bins.confidence) / jnp.where(bins.count > 0, bins.count, 1)
    return jnp.where(jnp.any(bins.count > 0), jnp.max(gaps), jnp.nan)
