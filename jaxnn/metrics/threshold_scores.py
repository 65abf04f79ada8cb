"""Scores of a binary classifier over all thresholds, from its scores: logits or probabilities, larger for class 1.

`roc_auc` and `binary_average_precision` are exact, also where scores are equal, and need all scores at once: they do
not merge. A `ScoreHistogram` merges, and its area has a bound of its error. Of several classes take each against the
others: `jax.vmap(roc_auc, in_axes=(1, 1))(logits, one_hot)`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from jaxnn.losses.per_example import are_binary, checked_mask

Scores = Float[Array, " n"]
Classes = Num[Array | np.ndarray, " n"] | Bool[Array | np.ndarray, " n"]
Mask = Bool[Array | np.ndarray, " n"]


class ScoreHistogram(NamedTuple):
    """Counts the examples of both classes in bins of their scores; `metrics.merge` adds the counts of parts."""

    positives: Int[Array, " bins"]
    negatives: Int[Array, " bins"]


class Area(NamedTuple):
    """Holds an area that is known up to an error: the exact one lies in `value - error` to `value + error`."""

    value: Float[Array, ""]
    error: Float[Array, ""]


def roc_auc(scores: Scores, labels: Classes, *, mask: Mask | None = None) -> Float[Array, ""]:
    """Computes the area under the receiver operating characteristic, `P(s_1 > s_0) + P(s_1 = s_0) / 2`.

    s_1 is the score of a random example of class 1, s_0 that of one of class 0. So it depends on the order of the
    scores only; 1/2 is what guessing has. It is NaN without examples of both classes, or if a score is NaN (Hanley and
    McNeil 1982).

    Args:
      scores: (n,).
      labels: 0 and 1, -1 and 1, or booleans, (n,).
      mask: True at the examples that count; all by default.

    Raises:
      ValueError: if the shapes differ, or NumPy labels are not of two classes.

    >>> float(roc_auc(jnp.array([0.1, 0.4, 0.4, 0.8]), jnp.array([0, 0, 1, 1])))  # (2 + 1.5) / 4
    0.875
    """
    ranked = _ranked(scores, labels, mask)
    below, up_to = (_count(ranked.scores, ranked.negatives, side) for side in ("left", "right"))
    return _mean_over_positives(ranked, (below + up_to) / (2 * ranked.negatives.sum()))


def binary_average_precision(scores: Scores, labels: Classes, *, mask: Mask | None = None) -> Float[Array, ""]:
    """Computes `sum_i (R_i - R_(i-1)) P_i` over the thresholds, from high to low, of recall R and precision P.

    It is the mean, over the examples of class 1, of the precision among all examples with a score at least as high. It
    is the area under the steps of the precision-recall curve, and not interpolated; guessing has the share of class 1.
    Arguments and errors are those of `roc_auc`. It is NaN without examples of class 1. (`average_precision` is the mean
    precision of each query, for retrieval.)

    Manning, Raghavan and Schuetze 2008, Introduction to information retrieval, 8.4.

    >>> round(float(binary_average_precision(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))), 4)
    0.8333
    """
    ranked = _ranked(scores, labels, mask)
    right, wrong = (x.sum() - _count(ranked.scores, x, "left") for x in (ranked.positives, ranked.negatives))
    return _mean_over_positives(ranked, right / jnp.maximum(right + wrong, 1))


def score_histogram(
    scores: Scores,
    labels: Classes,
    *,
    bins: int = 1000,
    low: float = 0.0,
    high: float = 1.0,
    mask: Mask | None = None,
) -> ScoreHistogram:
    """Counts the scores of both classes in bins of equal width between `low` and `high`.

    Scores beyond an end count in its bin, so the area stays right if they are few. Pass probabilities, or give the
    logits ends that few of them pass. A score that is NaN is not counted.

    Args:
      scores, labels, mask: those of `roc_auc`.
      bins: at least 1.
      low, high: the ends.

    Raises:
      ValueError: if the shapes differ, NumPy labels are not of two classes, `bins` is below 1, or the ends are not in
        order.

    >>> parts = [score_histogram(jnp.array([s]), jnp.array([y]), bins=4) for s, y in ((0.1, 0), (0.6, 1), (0.7, 0))]
    >>> from jaxnn.metrics import merge
    >>> [counts.tolist() for counts in merge(*parts)]
    [[0, 0, 1, 0], [1, 0, 1, 0]]
    """
    if bins < 1 or not low < high:
        raise ValueError(f"`bins` must be at least 1, and `low` below `high`; received {bins}, {low} and {high}.")
    positive, kept = _checked(scores, labels, mask)
    kept &= ~jnp.isnan(scores)
    place = jnp.clip(jnp.floor((scores.astype(jnp.float32) - low) * (bins / (high - low))), 0, bins - 1)
    place = jnp.where(kept, place, bins).astype(jnp.int32)  # beyond the end is dropped
    count = lambda of_class: jnp.zeros(bins, jnp.int32).at[place].add(of_class.astype(jnp.int32), mode="drop")
    return ScoreHistogram(count(positive), count(~positive))


def binned_roc_auc(histogram: ScoreHistogram) -> Area:
    """Computes the area of `roc_auc` from a histogram, with scores in one bin counted as equal.

    With the counts p and q of both classes in a bin, and P and Q in all, the value is
    `sum_i p_i (sum_(j<i) q_j + q_i / 2) / (P Q)`. Scores in one bin may be in any order, so the exact area is at most
    `sum_i p_i q_i / (2 P Q)` away. It is NaN without examples of both classes.

    >>> area = binned_roc_auc(ScoreHistogram(jnp.array([0, 1, 3]), jnp.array([2, 1, 1])))
    >>> float(area.value), float(area.error)
    (0.8125, 0.125)
    """
    p, q = (x.astype(jnp.float32) / x.sum() for x in histogram)  # 0/0 is NaN
    return Area(jnp.sum(p * (jnp.cumsum(q) - q / 2)), jnp.sum(p * q) / 2)


class _Ranked(NamedTuple):
    scores: Array
    """in ascending order, (n,)"""
    positives: Array
    """1 for a counted example of class 1, else 0; in the same order"""
    negatives: Array


def _ranked(scores, labels, mask):
    positive, kept = _checked(scores, labels, mask)
    order = jnp.argsort(scores)
    of_class = ((kept & members)[order].astype(jnp.int32) for members in (positive, ~positive))
    return _Ranked(scores[order], *of_class)


def _count(scores, members, side):
    """Returns how many members have a score below that of each example ("left"), or at most that score ("right")."""
    before = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(members, dtype=jnp.int32)])
    return before[jnp.searchsorted(scores, scores, side=side)]


def _mean_over_positives(ranked, values):
    total = jnp.sum(jnp.where(ranked.positives > 0, values, 0), dtype=jnp.float32)
    unordered = jnp.any((ranked.positives + ranked.negatives > 0) & jnp.isnan(ranked.scores))
    return jnp.where(unordered, jnp.nan, total / ranked.positives.sum()).astype(jnp.float32)


def _checked(scores, labels, mask):
    """Returns booleans: where the label is class 1, and where the example counts."""
    if scores.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(
            f"`scores` and `labels` must have one shape (n,); received {scores.shape} and {labels.shape}. Of two "
            "columns take scores[:, 1]."
        )
    if not are_binary(labels):
        raise ValueError(
            f"`labels` must be 0 or 1 (or -1 or 1); received numbers from {labels.min()} to {labels.max()}. For "
            "several classes compare each with the others: labels == k."
        )
    return jnp.asarray(labels) > 0, checked_mask("mask", mask, scores.shape)
