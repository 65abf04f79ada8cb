"""The head of a classifier: softmax and cross-entropy in one, whose gradient is `softmax - target`."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnn.layers.hand_written import differentiable
from jaxnn.losses.per_example import is_label, nan_unless


def forward(labels, logits):
    """`p = exp(z - max z) / sum exp(z - max z)`, `loss = -sum_k t_k log p_k`."""
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
    """`dz_k = (p_k - t_k) dloss`; of soft targets `dt_k = -log p_k dloss`, and p is multiplied by their sum."""
    t, p, log_p = residuals
    if t.ndim == 1:
        return None, (p - is_label(t, p).astype(p.dtype)) * dloss[:, None]
    return -log_p * dloss[:, None], (p * t.sum(axis=1, keepdims=True) - t) * dloss[:, None]


_softmax_cross_entropy = differentiable(forward, backward)


def softmax_cross_entropy(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"] | Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """`-sum_k t_k log softmax(z)_k` in nats, as `losses.cross_entropy`, with the lecture's gradient written out.

    Gradient: `dz_k = softmax(z)_k - t_k`, the probabilities saved by the forward pass.

    Args:
      logits: (batch, classes).
      labels: (batch,) integers, of which one that is no class gives NaN, or (batch, classes) probabilities.

    Raises:
      ValueError: labels of another shape.

    >>> softmax_cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 7])).round(4)
    Array([2.3026, 2.3026], dtype=float32)
    """
    if labels.shape not in (logits.shape, logits.shape[:1]):
        raise ValueError(
            f"`labels` must have shape {logits.shape[:1]}, or that of the logits, {logits.shape}; received "
            f"{labels.shape}. Are they integers with an axis too many? Then pass labels[:, 0]."
        )
    return _softmax_cross_entropy(labels, logits)
