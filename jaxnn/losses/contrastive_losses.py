"""Losses of embeddings: like things near one another, unlike ones apart."""

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
    """FaceNet's loss `max(0, ||a - p||^2 - ||a - n||^2 + m)`: the positive nearer than the negative by a margin m.

    Gradient, while it is positive: `2 (n - p)` in a, `2 (p - a)` in p, `2 (a - n)` in n; else 0. The distances are
    squared, of embeddings that FaceNet normalizes; PyTorch's `TripletMarginLoss` does not square (Schroff et al. 2015,
    arXiv 1503.03832, eq. 3).

    Raises:
      ValueError: other shapes.

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
    """Loss of pairs: `D^2 / 2` for two of the same class, else `max(0, m - D)^2 / 2`, with the distance D.

    Gradient in `left`: `left - right` for the same; else `-(m - D) (left - right) / D` while D < m, and 0 at D = 0,
    where no direction leads apart (Hadsell, Chopra and LeCun 2006, eq. 4).

    Raises:
      ValueError: other shapes; `same` not boolean.

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
    distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)  # the root has no derivative at 0
    return jnp.where(same, squared, relu(margin - distance) ** 2) / 2


def negative_sampling(
    positive_logits: Float[Array, " batch"], negative_logits: Float[Array, "batch k"]
) -> Float[Array, " batch"]:
    """word2vec's loss `-log s(u_o . v) - sum_k log s(-u_k . v)`: the word that came, against k words drawn at random.

    The logits are the products of the vector v of the centre word with the vectors u of context words; s is the
    sigmoid. Gradient: `s(z) - 1` for the word that came, `s(z)` for the others (Mikolov et al. 2013, arXiv 1310.4546,
    eq. 4, of which this is the negative).

    Raises:
      ValueError: other shapes.

    >>> negative_sampling(jnp.array([1e4]), jnp.array([[-1e4, -1e4]])).tolist()
    [0.0]
    """
    if negative_logits.ndim != 2 or positive_logits.shape != negative_logits.shape[:1]:
        raise ValueError(
            "`positive_logits` must have shape (batch,) and `negative_logits` (batch, k); received "
            f"{positive_logits.shape} and {negative_logits.shape}."
        )
    return softplus(-positive_logits) + sum_features(softplus(negative_logits))
