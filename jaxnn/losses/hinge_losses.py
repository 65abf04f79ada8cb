"""Margin losses are 0 once the right answer leads by a margin; scores are any real numbers.

At a kink, where the margin is just reached, the gradient is 0. The perceptron criteria are the exception: their
gradient there is not 0, so that learning can begin at zero weights.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Num

from jaxnn.activations import relu
from jaxnn.losses.per_example import check_labels, check_range, check_same_shape, is_label, nan_unless, sum_features

_TWO_CLASSES = "The classes are -1 and 1; of labels 0 and 1 make 2 * labels - 1."


def hinge(
    scores: Float[Array, "batch ..."],
    signs: Num[Array | np.ndarray, "batch ..."],
    *,
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the support vector machine's loss `max(0, m - t z)` for two classes t = -1 and 1, summed over outputs.

    Gradient: `-t` while `t z < m`, then 0 (Cortes and Vapnik 1995).

    Args:
      scores: z, (batch,) or (batch, ...).
      signs: t, -1 or 1, of the same shape; any other number gives NaN.
      margin: m.

    Raises:
      ValueError: if the shapes differ, or NumPy signs are not -1 or 1.

    >>> hinge(jnp.array([3.0, 0.5, -1.0]), jnp.array([1, 1, 1])).tolist()
    [0.0, 0.5, 2.0]
    """
    t = _checked_signs(scores, signs)
    return _nan_unless_signs(signs, sum_features(relu(margin - t * scores)))


def squared_hinge(
    scores: Float[Array, "batch ..."],
    signs: Num[Array | np.ndarray, "batch ..."],
    *,
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the squared hinge loss `max(0, m - t z)^2` for two classes t = -1 and 1, summed over outputs.

    Gradient: `-2 t max(0, m - t z)`, which has no jump. Keras' `SquaredHinge` is its mean over the outputs. Arguments
    and errors are those of `hinge` (Tang 2013, arXiv 1306.0239).

    >>> squared_hinge(jnp.array([3.0, 0.5, -1.0]), jnp.array([1, 1, 1])).tolist()
    [0.0, 0.25, 4.0]
    """
    t = _checked_signs(scores, signs)
    return _nan_unless_signs(signs, sum_features(relu(margin - t * scores) ** 2))


def margin_ranking(
    left_scores: Float[Array, " batch"],
    right_scores: Float[Array, " batch"],
    *,
    signs: Num[Array | np.ndarray, " batch"],
    margin: float | Num[Array, ""] = 0.0,
) -> Float[Array, " batch"]:
    """Computes the ranking loss `max(0, m - t (z_1 - z_2))`: t = 1 wants the left score higher, t = -1 the right one.

    It is the hinge loss of the difference of the scores, and PyTorch's `MarginRankingLoss`. Gradient: `-t` in z_1 and
    `t` in z_2 while the margin is not reached, then 0.

    Raises:
      ValueError: if the shapes differ, or NumPy signs are not -1 or 1 (in a JAX array they give NaN).

    >>> margin_ranking(jnp.array([1.0, 1.0]), jnp.array([3.0, 3.0]), signs=jnp.array([1, -1]), margin=0.5).tolist()
    [2.5, 0.0]
    """
    check_same_shape(left_scores=left_scores, right_scores=right_scores)
    return hinge(left_scores - right_scores, signs, margin=margin)


def perceptron_criterion(
    scores: Float[Array, "batch ..."], signs: Num[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Computes Rosenblatt's criterion `max(0, -t z)` for two classes t = -1 and 1, summed over outputs.

    Gradient: `-t` while `t z <= 0`, also at z = 0, so that learning can begin at zero weights; then 0. With one example
    in each step and learning rate 1, descent on this loss is the perceptron's rule `w += t x` on mistakes (Rosenblatt
    1958).

    Raises:
      ValueError: if the shapes differ, or NumPy signs are not -1 or 1 (in a JAX array they give NaN).

    >>> perceptron_criterion(jnp.array([3.0, -0.5]), jnp.array([1, 1])).tolist()
    [0.0, 0.5]
    """
    t = _checked_signs(scores, signs)
    return _nan_unless_signs(signs, sum_features(jnp.where(t * scores > 0, 0, -t * scores)))


def multiclass_perceptron_criterion(
    scores: Float[Array, "batch classes"], labels: Integer[Array | np.ndarray, " batch"]
) -> Float[Array, " batch"]:
    """Computes the multi-class perceptron's loss `max_j z_j - z_y`, by which the right class y is behind.

    Gradient: 1 for the class with the largest score, -1 for the right class, and 0 if they are the same. Classes that
    tie for the largest score share the 1 (Collins 2002).

    Raises:
      ValueError: if the shapes do not match, or NumPy labels are not classes (in a JAX array they give NaN).

    >>> multiclass_perceptron_criterion(jnp.array([[1.0, 3.0]]), jnp.array([0])).tolist()
    [2.0]
    """
    hit, z_y = _right_class(scores, labels)
    return nan_unless(hit.any(axis=-1), jnp.max(scores, axis=-1) - z_y)


def weston_watkins(
    scores: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"],
    *,
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the multi-class hinge loss `sum_(j != y) max(0, m + z_j - z_y)` over all wrong classes j.

    Gradient: 1 for each class j with `z_j > z_y - m`, and minus the number of these classes for y. PyTorch's
    `MultiMarginLoss` divides by the number of classes. With small initial weights, the first loss should be about
    (classes - 1) m (Weston and Watkins 1999; taught in CS231n).

    Raises:
      ValueError: if the shapes do not match, or NumPy labels are not classes (in a JAX array they give NaN).

    >>> weston_watkins(jnp.array([[3.25, 5.125, -1.75]]), jnp.array([0])).tolist()
    [2.875]
    """
    named, behind = _behind(scores, labels, margin)
    return nan_unless(named, jnp.sum(behind, axis=-1))


def squared_weston_watkins(
    scores: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"],
    *,
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the squared multi-class hinge loss `sum_(j != y) max(0, m + z_j - z_y)^2` over all wrong classes j.

    Gradient: `2 max(0, m + z_j - z_y)` for each wrong class j, and minus their sum for y. PyTorch's
    `MultiMarginLoss(p=2)` divides by the number of classes (taught in CS231n as the L2-SVM).

    Raises:
      ValueError: if the shapes do not match, or NumPy labels are not classes (in a JAX array they give NaN).

    >>> squared_weston_watkins(jnp.array([[3.25, 5.125, -1.75]]), jnp.array([0])).tolist()
    [8.265625]
    """
    named, behind = _behind(scores, labels, margin)
    return nan_unless(named, jnp.sum(behind**2, axis=-1))


def crammer_singer(
    scores: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"],
    *,
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the multi-class hinge loss against the best wrong class, `max(0, m + max_(j != y) z_j - z_y)`.

    Optax has the same loss. Gradient: 1 for the best wrong class and -1 for y while the margin is not reached, else 0.
    Wrong classes that tie share the 1 (Crammer and Singer 2001).

    Raises:
      ValueError: if the shapes do not match, or NumPy labels are not classes (in a JAX array they give NaN).

    >>> crammer_singer(jnp.array([[3.25, 5.125, -1.75]]), jnp.array([0])).tolist()
    [2.875]
    """
    hit, z_y = _right_class(scores, labels)
    rival = jnp.max(jnp.where(hit, -jnp.inf, scores), axis=-1)
    return nan_unless(hit.any(axis=-1), relu(margin + rival - z_y))


def _right_class(scores, labels):
    """Returns a mask of the right class, (batch, classes), and its score, (batch,)."""
    check_labels(labels, scores)
    hit = is_label(labels, scores)
    return hit, jnp.sum(jnp.where(hit, scores, 0), axis=-1)


def _behind(scores, labels, margin):
    """Returns where the label names a class, and by how much each wrong class is too near, (batch, classes)."""
    hit, z_y = _right_class(scores, labels)
    return hit.any(axis=-1), jnp.where(hit, 0, relu(margin + scores - z_y[:, None]))


def _checked_signs(scores, signs):
    check_same_shape(scores=scores, signs=signs)
    check_range("abs(signs)", abs(signs), 1, 1, _TWO_CLASSES)
    return jnp.asarray(signs, scores.dtype)


def _nan_unless_signs(signs, loss):
    return nan_unless(sum_features(abs(signs) != 1) == 0, loss)
