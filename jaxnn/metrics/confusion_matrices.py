"""The confusion matrix gives precision, recall, F-scores and overlaps, per class or averaged.

M[t, p] counts the examples of class t that were predicted as class p. Class k has M[k, k] hits. Row k counts the
examples whose true class is k (the support), and column k those that were predicted as k. A class that was never
predicted has precision 0/0, and a class without examples has recall 0/0. Both count as `zero_division`: as 0 by
default, also in the macro average; with NaN such a class is left out of the averages.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from jaxnn.losses.per_example import check_range
from jaxnn.naming import unknown

_AVERAGES = ("macro", "micro", "weighted")


def confusion_matrix(
    predicted: Integer[Array | np.ndarray, "..."], labels: Integer[Array | np.ndarray, "..."], *, classes: int
) -> Int[Array, "k k"]:
    """Counts the examples of each `[true class, predicted class]`; matrices of parts of the data add up.

    Args:
      predicted, labels: (n,) integers; if they are traced, those that name no class are not counted.
      classes: k.

    Raises:
      ValueError: if shapes or dtypes are wrong, an integer does not name a class, or `classes` is below 1.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    if classes < 1:
        raise ValueError(f"`classes` must be at least 1; received {classes}.")
    predicted, labels = (_checked(name, x, classes) for name, x in (("predicted", predicted), ("labels", labels)))
    if predicted.shape != labels.shape:
        raise ValueError(
            f"`predicted` and `labels` must be of one length; received {predicted.shape} and {labels.shape}."
        )
    counted = (jnp.minimum(predicted, labels) >= 0) & (jnp.maximum(predicted, labels) < classes)
    place = jnp.where(counted, labels * classes + predicted, classes**2)  # an index beyond the end is dropped
    return jnp.zeros(classes**2, jnp.int32).at[place].add(1, mode="drop").reshape(classes, classes)


def _checked(name, values, classes):
    """Returns the values as an int32 array (n,); checks their range unless they are traced."""
    values = values if isinstance(values, jax.core.Tracer) else np.asarray(values)
    if np.ndim(values) != 1 or not jnp.issubdtype(jnp.result_type(values), jnp.integer):
        raise ValueError(
            f"`{name}` must be integers of shape (n,); received {jnp.result_type(values)}{list(np.shape(values))}. "
            "Of logits take argmax(axis=-1), of an axis of length 1 the entry [:, 0]."
        )
    if not isinstance(values, jax.core.Tracer):
        check_range(name, values, 0, classes - 1, f"There are {classes} classes.")
    return jnp.asarray(values, jnp.int32)


def precision(
    matrix: Int[Array, "k k"], *, average: str | None = None, zero_division: float = 0.0
) -> Float[Array, " k"] | Float[Array, ""]:
    """Computes the share of the examples predicted as class k that are of class k: `M[k, k] / sum_t M[t, k]`.

    Args:
      matrix: the result of `confusion_matrix`: a row for each true class, a column for each predicted class.
      average: None for one number per class (of two classes use [1]); "macro" for the mean over classes; "weighted" for
        the mean weighted by the classes' true counts; "micro" for all hits by all predictions, which is the accuracy.
      zero_division: what 0/0 counts as, such as 0 or 1; NaN leaves the class out of an average, as in scikit-learn.

    Raises:
      ValueError: if `average` is unknown.

    >>> [round(float(p), 4) for p in precision(jnp.array([[8, 2], [4, 6]]))]
    [0.6667, 0.75]
    """
    return _averaged(matrix, matrix.sum(axis=0), average, zero_division)


def recall(
    matrix: Int[Array, "k k"], *, average: str | None = None, zero_division: float = 0.0
) -> Float[Array, " k"] | Float[Array, ""]:
    """Computes the share of the examples of class k that were found: `M[k, k] / sum_p M[k, p]`.

    Of two classes, [1] is the true positive rate. Arguments and errors are those of `precision`. The macro average is
    the balanced accuracy (if every class occurs, or with `zero_division=nan`); the weighted average is the accuracy.

    >>> [round(float(r), 4) for r in recall(jnp.array([[8, 2], [4, 6]]))]
    [0.8, 0.6]
    """
    return _averaged(matrix, matrix.sum(axis=1), average, zero_division)


def f1(
    matrix: Int[Array, "k k"], *, average: str | None = None, zero_division: float = 0.0
) -> Float[Array, " k"] | Float[Array, ""]:
    """Computes the harmonic mean of precision and recall: `2 M[k, k] / (row k + column k)`.

    It is 0/0 where both are empty. Arguments and errors are those of `precision`. Macro F1 is the mean of the classes'
    F1, as in scikit-learn. It is not the harmonic mean of macro precision and macro recall, which is at least as large
    (Opitz and Burst 2019, arXiv 1911.03347).

    >>> round(float(f1(jnp.array([[8, 2], [4, 6]]), average="macro")), 4)
    0.697
    """
    return f_beta(matrix, beta=1.0, average=average, zero_division=zero_division)


def f_beta(
    matrix: Int[Array, "k k"], *, beta: float, average: str | None = None, zero_division: float = 0.0
) -> Float[Array, " k"] | Float[Array, ""]:
    """Computes `(1 + b^2) P R / (b^2 P + R) = (1 + b^2) M[k, k] / (b^2 row k + column k)` of precision P and recall R.

    Recall counts b times as much as precision: F2 favours it, F0.5 favours precision. The other arguments and the
    errors are those of `precision` (van Rijsbergen 1979, Information retrieval, chapter 7).

    Raises:
      ValueError: if `average` is unknown, or beta is negative.

    >>> round(float(f_beta(jnp.array([[8, 2], [4, 6]]), beta=2.0)[1]), 4)  # 5 * 6 / (4 * 10 + 8)
    0.625
    """
    check_range("beta", beta, 0, math.inf)
    weighted = (beta**2 * matrix.sum(axis=1) + matrix.sum(axis=0)) / (1 + beta**2)
    return _averaged(matrix, weighted, average, zero_division)


def intersection_over_union(
    matrix: Int[Array, "k k"], *, average: str | None = None, zero_division: float = 0.0
) -> Float[Array, " k"] | Float[Array, ""]:
    """Computes the overlap of each class, `M[k, k] / (row k + column k - M[k, k])`, the Jaccard index.

    The macro average is the mean IoU of segmentation: count the pixels in the matrix. A class that is nowhere, neither
    true nor predicted, is 0/0; Keras' `MeanIoU` leaves it out, which is `zero_division=nan`. Arguments and errors are
    those of `precision`.

    >>> [round(float(u), 4) for u in intersection_over_union(jnp.array([[8, 2], [4, 6]]))]
    [0.5714, 0.5]
    """
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - jnp.diagonal(matrix)
    return _averaged(matrix, union, average, zero_division)


def _averaged(matrix, totals, average, zero_division):
    """Divides the hits by the totals, per class or averaged; NaN is left out of the averages."""
    hits, support = jnp.diagonal(matrix), matrix.sum(axis=1)
    each = ratio(hits, totals, zero_division)
    if average is None:
        return each
    if average == "micro":
        return ratio(hits.sum(), totals.sum(), zero_division)
    if average not in _AVERAGES:
        raise unknown("average", average, _AVERAGES)
    weights = support if average == "weighted" else jnp.ones_like(support)
    kept = jnp.where(jnp.isnan(each), 0, weights)
    return ratio(jnp.sum(jnp.where(kept > 0, kept * each, 0)), kept.sum(), zero_division)


def ratio(part, whole, zero_division):
    """Divides in float32; a quotient without a positive whole counts as `zero_division`."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), zero_division).astype(jnp.float32)
