"""Losses of embeddings pull similar examples together and push different ones apart."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxnn.activations import relu, softplus
from jaxnn.losses.per_example import check_range, check_same_shape, checked_mask, sum_features

_OF_LABELS = "Write left_labels == right_labels."


def triplet(
    anchor: Float[Array, "batch features"],
    positive: Float[Array, "batch features"],
    *,
    negative: Float[Array, "batch features"],
    margin: float | Num[Array, ""] = 0.2,
) -> Float[Array, " batch"]:
    """Computes FaceNet's triplet loss `max(0, ||a - p||^2 - ||a - n||^2 + m)` with the margin m.

    The loss is 0 once the squared distance of the positive p from the anchor a is smaller than that of the negative n
    by at least m. Gradient, while the loss is positive: `2 (n - p)` in a, `2 (p - a)` in p, `2 (a - n)` in n; else 0.
    FaceNet normalizes the embeddings first. PyTorch's `TripletMarginLoss` does not square the distances; it is
    `triplet_margin` (Schroff et al. 2015, arXiv 1503.03832, eq. 3).

    Raises:
      ValueError: if the shapes differ.

    >>> triplet(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]), negative=jnp.array([[0.0, 2.0]]), margin=4.0).tolist()
    [1.0]
    """
    check_same_shape(anchor=anchor, positive=positive, negative=negative)
    return relu(sum_features((anchor - positive) ** 2) - sum_features((anchor - negative) ** 2) + margin)


def triplet_margin(
    anchor: Float[Array, "batch features"],
    positive: Float[Array, "batch features"],
    *,
    negative: Float[Array, "batch features"],
    margin: float | Num[Array, ""] = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> Float[Array, " batch"]:
    """Computes the triplet loss `max(0, D(a, p) - D(a, n) + m)` of distances that are not squared.

    `D(x, y) = (sum_k |x_k - y_k + eps|^p)^(1/p)`, as in PyTorch's `TripletMarginLoss`. With `swap`, D(p, n) replaces
    D(a, n) where it is smaller, so that the negative is pushed away from the nearer of the two. Gradient, while the
    loss is positive and for p = 2: the unit vector from p to a, minus that from n to a; 0 for a distance of 0
    (Balntas et al. 2016, BMVC, learning local feature descriptors with triplets).

    Args:
      anchor, positive, negative: (batch, features).
      margin: m.
      p: at least 1, may be `math.inf` for the largest difference.
      eps: is added to each difference.
      swap: whether to take the nearer distance to the negative.

    Raises:
      ValueError: if the shapes differ, or p < 1.

    >>> a, p, n = jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 3.0]])
    >>> triplet_margin(a, p, negative=n, margin=4.0).round(3)
    Array([2.], dtype=float32)
    """
    check_same_shape(anchor=anchor, positive=positive, negative=negative)
    check_range("p", p, 1, float("inf"))
    to_positive, to_negative = (_norm(anchor - other + eps, p) for other in (positive, negative))
    if swap:
        to_negative = jnp.minimum(to_negative, _norm(positive - negative + eps, p))
    return relu(to_positive - to_negative + margin)


def cosine_distance(
    left: Float[Array, "batch features"], right: Float[Array, "batch features"]
) -> Float[Array, " batch"]:
    """Computes `1 - cos(x, y) = 1 - x . y / (||x|| ||y||)`, which is 0 for one direction and 2 for opposite ones.

    A vector of zeros has the cosine 0 with all others, and no gradient. Gradient in x:
    `(cos x / ||x|| - y / ||y||) / ||x||`. Keras' `CosineSimilarity` is `-cos`, one less.

    Raises:
      ValueError: if the shapes differ.

    >>> cosine_distance(jnp.array([[3.0, 0.0], [1.0, 1.0]]), jnp.array([[0.0, 2.0], [-1.0, -1.0]])).round(4).tolist()
    [1.0, 2.0]
    """
    check_same_shape(left=left, right=right)
    return 1 - sum_features(_direction(left) * _direction(right))


def cosine_embedding(
    left: Float[Array, "batch features"],
    right: Float[Array, "batch features"],
    *,
    same: Bool[Array, " batch"],
    margin: float | Num[Array, ""] = 0.0,
) -> Float[Array, " batch"]:
    """Computes `1 - cos(x, y)` for pairs of the same class, else `max(0, cos(x, y) - m)`.

    PyTorch's `CosineEmbeddingLoss` has 1 and -1 in place of `same`.

    Raises:
      ValueError: if the shapes differ, or `same` is not boolean.

    >>> x, y = jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> cosine_embedding(x, y, same=jnp.array([True, False]), margin=0.25).tolist()
    [1.0, 0.75]
    """
    checked_mask("same", same, left.shape[:1], _OF_LABELS)
    distance = cosine_distance(left, right)
    return jnp.where(same, distance, relu(1 - distance - margin))


def contrastive(
    left: Float[Array, "batch features"],
    right: Float[Array, "batch features"],
    *,
    same: Bool[Array, " batch"],
    margin: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the loss of pairs at distance D: `D^2 / 2` if both have the same class, else `max(0, m - D)^2 / 2`.

    Gradient in `left`: `left - right` for the same class; else `-(m - D) (left - right) / D` while D < m. For different
    classes it is 0 at D = 0, where no direction is better than another (Hadsell, Chopra and LeCun 2006, eq. 4).

    Raises:
      ValueError: if the shapes differ, or `same` is not boolean.

    >>> contrastive(jnp.zeros((2, 2)), jnp.full((2, 2), 0.5), same=jnp.array([True, False]), margin=1.0).round(4)
    Array([0.25  , 0.0429], dtype=float32)
    """
    check_same_shape(left=left, right=right)
    checked_mask("same", same, left.shape[:1], _OF_LABELS)
    squared = sum_features((left - right) ** 2)
    apart = squared > 0
    distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)  # the square root has no derivative at 0
    return jnp.where(same, squared, relu(margin - distance) ** 2) / 2


def negative_sampling(
    positive_logits: Float[Array, " batch"], negative_logits: Float[Array, "batch k"]
) -> Float[Array, " batch"]:
    """Computes word2vec's loss `-log s(u_o . v) - sum_k log s(-u_k . v)`, with s the sigmoid.

    It compares the observed context word o with k words that are drawn at random. The logits z are the products of the
    vector v of the centre word with the vectors u of these words. Gradient: `s(z) - 1` for the observed word, `s(z)`
    for the others (Mikolov et al. 2013, arXiv 1310.4546; the loss is the negative of eq. 4).

    Raises:
      ValueError: if the shapes do not match.

    >>> negative_sampling(jnp.array([1e4]), jnp.array([[-1e4, -1e4]])).tolist()
    [0.0]
    """
    if negative_logits.ndim != 2 or positive_logits.shape != negative_logits.shape[:1]:
        raise ValueError(
            "`positive_logits` must have shape (batch,) and `negative_logits` (batch, k); received "
            f"{positive_logits.shape} and {negative_logits.shape}."
        )
    return softplus(-positive_logits) + sum_features(softplus(negative_logits))


def _norm(x, p):
    """Computes the p-norms (batch,) of the rows; the gradient is 0 at 0, and nothing overflows."""
    size = x * jnp.sign(x)  # not jnp.abs(x), whose derivative at 0 is 1
    if p == float("inf"):
        return jnp.max(size, axis=1)
    scale = _scale(x)  # the norm of x / scale times scale is that of x, and so are the gradients
    powers = jnp.sum((size / scale[:, None]) ** p, axis=1)
    apart = powers > 0
    return jnp.where(apart, scale * jnp.where(apart, powers, 1) ** (1 / p), 0)


def _direction(x):
    """Divides the rows by their lengths; a row of zeros stays."""
    scaled = x / _scale(x)[:, None]  # the direction of both is one, and so are the gradients
    length = _norm(scaled, 2.0)
    return scaled / jnp.where(length > 0, length, 1)[:, None]


def _scale(x):
    """Returns the largest magnitude of each row, (batch,), as a constant; 1 for a row of zeros."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=1))
    return jnp.where(largest > 0, largest, 1)
