"""Scores of agreement are computed from a confusion matrix M, and do not reward the guess of the most frequent class.

M[t, p] counts the examples of class t that were predicted as class p; n is the sum of M. Matrices of parts of the data
add up, so the scores are exact over batches.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnn.metrics.confusion_matrices import ratio, recall
from jaxnn.naming import unknown

_WEIGHTS = ("linear", "quadratic")


def balanced_accuracy(matrix: Int[Array, "k k"], *, adjusted: bool = False) -> Float[Array, ""]:
    """Computes the mean recall of the classes that occur; it is NaN without examples.

    Args:
      matrix: the result of `confusion_matrix`.
      adjusted: whether to move and scale it so that guessing has 0 and perfection 1: `(b - 1/c) / (1 - 1/c)` for c
        classes that occur; it is 0 for a single one.

    Brodersen et al. 2010, The balanced accuracy and its posterior distribution.

    >>> round(float(balanced_accuracy(jnp.array([[8, 2], [4, 6]]))), 4)
    0.7
    """
    balanced = recall(matrix, average="macro", zero_division=math.nan)
    if not adjusted:
        return balanced
    guess = 1 / jnp.maximum(jnp.sum(matrix.sum(axis=1) > 0), 1)
    return ratio(balanced - guess, 1 - guess, 0.0)


def matthews_correlation(matrix: Int[Array, "k k"]) -> Float[Array, ""]:
    """Computes the Matthews correlation of true and predicted classes, in [-1, 1]; 0 is what guessing has.

    Of two classes it is `(TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))`. Of k classes, with the
    shares t of the true and p of the predicted classes, it is Gorodkin's R_K,

        sum_k (M[k, k] / n - t_k p_k) / sqrt((1 - sum_k t_k^2) (1 - sum_k p_k^2)).

    It counts as 0 where all examples are of one class, or predicted as one. The numerator is computed as the sum of
    `TP TN - FP FN` of each class against the others, which is exact where the shares would cancel (Matthews 1975;
    Gorodkin 2004).

    >>> round(float(matthews_correlation(jnp.array([[8, 2], [4, 6]]))), 4)
    0.4082
    """
    true, predicted, hits = matrix.sum(axis=1), matrix.sum(axis=0), jnp.diagonal(matrix)
    n = matrix.sum()
    tp, fp, fn, tn = (_shares(x, n) for x in (hits, predicted - hits, true - hits, n - true - predicted + hits))
    spread = lambda counts: jnp.sum(_shares(counts, n) * _shares(n - counts, n))
    # each root by itself: the product of two small spreads could be rounded to 0
    return ratio(jnp.sum(tp * tn - fp * fn), jnp.sqrt(spread(true)) * jnp.sqrt(spread(predicted)), 0.0)


def cohen_kappa(matrix: Int[Array, "k k"], *, weights: str | None = None) -> Float[Array, ""]:
    """Computes Cohen's kappa `1 - sum_tp w_tp M[t, p] / sum_tp w_tp E[t, p]`, with `E = row t * column p / n`.

    E counts what would be if both raters kept their habits and ignored the examples. Without weights (w = 1 off the
    diagonal) it is `(a - e) / (1 - e)`, with the share a of agreements and the expected share e. It counts as 0 where
    both raters know only one class.

    Args:
      matrix: the result of `confusion_matrix`.
      weights: None, "linear" for `w = |t - p|` or "quadratic" for `w = (t - p)^2`, of classes in an order.

    Raises:
      ValueError: if the weights are unknown.

    Cohen 1960, A coefficient of agreement for nominal scales; Cohen 1968 for the weights.

    >>> round(float(cohen_kappa(jnp.array([[8, 2], [4, 6]]))), 4)
    0.4
    """
    if weights not in (None, *_WEIGHTS):
        raise unknown("weights", weights, _WEIGHTS)
    apart = jnp.abs(jnp.arange(len(matrix))[:, None] - jnp.arange(len(matrix))[None])
    w = (apart > 0) if weights is None else apart if weights == "linear" else apart**2
    n = matrix.sum()
    expected = _shares(matrix.sum(axis=1), n)[:, None] * _shares(matrix.sum(axis=0), n)[None]
    chance = jnp.sum(w * expected)
    return ratio(chance - jnp.sum(w * _shares(matrix, n)), chance, 0.0)


def _shares(counts, n):
    return counts.astype(jnp.float32) / jnp.maximum(n, 1)
