"""Losses that are content with a margin: 0 once the right answer leads by enough. Scores are any real numbers.

At a kink, where the margin is just kept, the gradient is 0, save that the perceptron's is not: it begins at 0.
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
    """The support vector machine's loss `max(0, m - t z)` between two classes, t = -1 or 1; summed over outputs.

    Gradient: `-t` while `t z < m`, then 0 (Cortes and Vapnik 1995).

    Args:
      scores: z, (batch,) or (batch, ...).
      signs: t, -1 or 1, of the same shape; another number gives NaN.
      margin: m.

    Raises:
      ValueError: other shapes; NumPy signs other than -1 and 1.

    >>> hinge(jnp.array([3.0, 0.5, -1.0]), jnp.array([1, 1, 1])).tolist()
    [0.0, 0.5, 2.0]
    """
    t = _checked_signs(scores, signs)
    return _nan_unless_signs(signs, sum_features(relu(margin - t * scores)))


def perceptron_criterion(
    scores: Float[Array, "batch ..."], signs: Num[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Rosenblatt's criterion `max(0, -t z)` between two classes, t = -1 or 1; summed over outputs.

    Gradient: `-t` while `t z <= 0`, at z = 0 too, so that learning can begin at zero weights; then 0. One example a
    step, with rate 1, it is the perceptron's rule `w += t x` on mistakes (Rosenblatt 1958).

    Raises:
      ValueError: other shapes; NumPy signs other than -1 and 1 (elsewhere they give NaN).

    >>> perceptron_criterion(jnp.array([3.0, -0.5]), jnp.array([1, 1])).tolist()
    [0.0, 0.5]
    """
    t = _checked_signs(scores, signs)
    return _nan_unless_signs(signs, sum_features(jnp.where(t * scores > 0, 0, -t * scores)))


def multiclass_perceptron_criterion(
    scores: Float[Array, "batch classes"], labels: Integer[Array | np.ndarray, " batch"]
) -> Float[Array, " batch"]:
    """The perceptron among many classes: `max_j z_j - z_y`, by how much the right class y is behind.

    Gradient: 1 for the class that leads, -1 for the right one, 0 if they are the same; classes that tie for the lead
    share the 1 (Collins 2002).

    Raises:
      ValueError: other shapes; NumPy labels that are no class (elsewhere they give NaN).

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
    """The multi-class hinge loss of the lectures, `sum_(j != y) max(0, m + z_j - z_y)`: every class that is too near.

    Gradient: 1 for each class j with `z_j > z_y - m`, minus their number for y. PyTorch's `MultiMarginLoss` divides by
    the number of classes; a loss at first about (classes - 1) m, for small weights, shows that all is well (Weston and
    Watkins 1999; CS231n).

    Raises:
      ValueError: other shapes; NumPy labels that are no class (elsewhere they give NaN).

    >>> weston_watkins(jnp.array([[3.25, 5.125, -1.75]]), jnp.array([0])).tolist()
    [2.875]
    """
    hit, z_y = _right_class(scores, labels)
    behind = relu(margin + scores - z_y[:, None])
    return nan_unless(hit.any(axis=-1), jnp.sum(jnp.where(hit, 0, behind), axis=-1))


def crammer_singer(
    scores: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"],
    *,
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """The multi-class hinge loss with one rival, `max(0, m + max_(j != y) z_j - z_y)`; Optax's.

    Gradient: 1 for the nearest rival, -1 for y, while the margin is not kept, else 0; rivals that tie share the 1
    (Crammer and Singer 2001).

    Raises:
      ValueError: other shapes; NumPy labels that are no class (elsewhere they give NaN).

    >>> crammer_singer(jnp.array([[3.25, 5.125, -1.75]]), jnp.array([0])).tolist()
    [2.875]
    """
    hit, z_y = _right_class(scores, labels)
    rival = jnp.max(jnp.where(hit, -jnp.inf, scores), axis=-1)
    return nan_unless(hit.any(axis=-1), relu(margin + rival - z_y))


def _right_class(scores, labels):
    """Which entry is the right class's, (batch, classes), and its score, (batch,)."""
    check_labels(labels, scores)
    hit = is_label(labels, scores)
    return hit, jnp.sum(jnp.where(hit, scores, 0), axis=-1)


def _checked_signs(scores, signs):
    check_same_shape(scores=scores, signs=signs)
    check_range("abs(signs)", abs(signs), 1, 1, _TWO_CLASSES)
    return jnp.asarray(signs, scores.dtype)


def _nan_unless_signs(signs, loss):
    return nan_unless(sum_features(abs(signs) != 1) == 0, loss)
