"""This head of a classifier computes softmax and cross-entropy together; their gradient is `softmax - target`."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnn.layers.hand_written import differentiable
from jaxnn.losses.per_example import is_label, nan_unless


def forward(labels, logits):
    """Computes `loss = -sum_k t_k log p_k` with `p = exp(z - max z) / sum exp(z - max z)`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = jnp.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    if labels.ndim == 1:
        hit = is_label(labels, logits)
        target = jnp.sum(jnp.where(hit, shifted, 0), axis=1)
        return nan_unless(hit.any(axis=1), jnp.log(total)[:, 0] - target), (labels, exponentials / total, None)
    log_p = shifted - jnp.log(total)
    return -jnp.sum(labels * log_p, axis=1), (labels, exponentials / total, log_p)


def backward(residuals, dloss):
    """Computes `dz_k = (p_k - t_k) dloss`.

    For soft targets, p_k is multiplied by the sum of the targets, and the targets get `dt_k = -log p_k dloss`.
    """
    t, p, log_p = residuals
    if t.ndim == 1:
        return None, (p - is_label(t, p).astype(p.dtype)) * dloss[:, None]
    return -log_p * dloss[:, None], (p * t.sum(axis=1, keepdims=True) - t) * dloss[:, None]


_softmax_cross_entropy = differentiable(forward, backward)


def softmax_cross_entropy(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"] | Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """Computes `-sum_k t_k log softmax(z)_k` in nats, like `losses.cross_entropy`, with the lecture's gradient by hand.

    Gradient: `dz_k = softmax(z)_k - t_k`. The forward pass saves the probabilities for it.

    Args:
      logits: (batch, classes).
      labels: (batch,) integers, or (batch, classes) probabilities. An integer that is not a class gives NaN.

    Raises:
      ValueError: the labels have another shape.

    >>> softmax_cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 7])).round(4)
    Array([2.3026, 2.3026], dtype=float32)
    """
    if labels.shape not in (logits.shape, logits.shape[:1]):
        raise ValueError(
            f"`labels` must have shape {logits.shape[:1]}, or that of the logits, {logits.shape}; received "
            f"{labels.shape}. Are they integers with an axis too many? Then pass labels[:, 0]."
        )
    return _softmax_cross_entropy(labels, logits)
