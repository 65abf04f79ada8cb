"""Losses of embeddings pull similar examples together and push different ones apart."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxnn.activations import relu, softplus
from jaxnn.losses.per_example import check_same_shape, sum_features


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
    FaceNet normalizes the embeddings first. PyTorch's `TripletMarginLoss` does not square the distances (Schroff et al.
    2015, arXiv 1503.03832, eq. 3).

    Raises:
      ValueError: if the shapes differ.

    >>> triplet(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]), negative=jnp.array([[0.0, 2.0]]), margin=4.0).tolist()
    [1.0]
    """
    check_same_shape(anchor=anchor, positive=positive, negative=negative)
    return relu(sum_features((anchor - positive) ** 2) - sum_features((anchor - negative) ** 2) + margin)


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
    if same.shape != left.shape[:1] or same.dtype != bool:
        raise ValueError(
            f"`same` must be boolean, of shape {left.shape[:1]}; received {same.dtype} of shape {same.shape}. Write "
            "left_labels == right_labels."
        )
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
