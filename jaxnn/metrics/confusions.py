"""The confusion matrix, and what is read off it: precision, recall and F1, per class or averaged.

With M[t, p] the count of examples of class t that were taken for p, class k has M[k, k] hits, row k is what it really
was (the support), column k what was predicted. A class that nobody predicted has precision 0/0, one without examples
recall 0/0: both count as 0, in the macro average too.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnn.naming import unknown

_AVERAGES = ("macro", "micro", "weighted")


def confusion_matrix(predicted: Int[Array, " n"], labels: Int[Array, " n"], *, classes: int) -> Int[Array, "k k"]:
    """Counts `[true class, predicted class]`; matrices of parts of the data add up.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    return jnp.zeros((classes, classes), jnp.int32).at[labels, predicted].add(1)


def precision(matrix: Int[Array, "k k"], *, average: str | None = None) -> Float[Array, " k"] | Float[Array, ""]:
    """The part of what was predicted as class k that is of class k: `M[k, k] / sum_t M[t, k]`, 0/0 = 0.

    Args:
      matrix: `confusion_matrix`, true classes down, predicted ones across.
      average: None, per class (of a binary one take [1]); "macro", the mean over classes; "weighted", by the classes'
        true counts; "micro", all hits by all predictions, which is the accuracy.

    Raises:
      ValueError: an unknown average.

    >>> [round(float(p), 4) for p in precision(jnp.array([[8, 2], [4, 6]]))]
    [0.6667, 0.75]
    """
    return _averaged(matrix, matrix.sum(axis=0), average)


def recall(matrix: Int[Array, "k k"], *, average: str | None = None) -> Float[Array, " k"] | Float[Array, ""]:
    """The part of class k that was found: `M[k, k] / sum_p M[k, p]`, 0/0 = 0; the true positive rate of a binary one.

    Args and errors as of `precision`. The macro average is the balanced accuracy (if every class occurs), the
    weighted one the accuracy.

    >>> [round(float(r), 4) for r in recall(jnp.array([[8, 2], [4, 6]]))]
    [0.8, 0.6]
    """
    return _averaged(matrix, matrix.sum(axis=1), average)


def f1(matrix: Int[Array, "k k"], *, average: str | None = None) -> Float[Array, " k"] | Float[Array, ""]:
    """The harmonic mean of precision and recall: `2 M[k, k] / (row k + column k)`, 0 where both are empty.

    Args and errors as of `precision`. Macro F1 is the mean of the classes' F1 (as scikit-learn's), not the harmonic
    mean of macro precision and macro recall, which is at least as large (Opitz and Burst 2019, arXiv 1911.03347).

    >>> round(float(f1(jnp.array([[8, 2], [4, 6]]), average="macro")), 4)
    0.697
    """
    return _averaged(matrix, (matrix.sum(axis=0) + matrix.sum(axis=1)) / 2, average)


def _averaged(matrix, totals, average):
    """Hits by totals."""
    hits, support = jnp.diagonal(matrix), matrix.sum(axis=1)
    if average is None:
        return _ratio(hits, totals)
    if average == "macro":
        return jnp.mean(_ratio(hits, totals))
    if average == "micro":
        return _ratio(hits.sum(), totals.sum())
    if average == "weighted":
        return _ratio(jnp.sum(support * _ratio(hits, totals)), support.sum())
    raise unknown("average", average, _AVERAGES)


def _ratio(part, whole):
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0).astype(jnp.float32)
