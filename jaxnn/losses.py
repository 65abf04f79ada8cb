"""Losses: `loss(outputs, targets, *, ...) -> per-example array`; who calls it reduces, with the batch's mask."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"] | Float[Array, "batch classes"],
    *,
    label_smoothing: float | Num[Array, ""] = 0.0,
) -> Float[Array, " batch"]:
    """Categorical cross-entropy `-sum_k t_k log softmax(z)_k` in nats, stable for any logits.

    Gradient: `d/dz_k = softmax(z)_k - t_k`. With smoothing s over K classes, `t` becomes `(1 - s) t + s / K`
    (Szegedy et al. 2015, arXiv 1512.00567); s may be traced.

    Args:
      logits: (batch, classes).
      labels: (batch,) integers, or (batch, classes) probabilities.
      label_smoothing: s in [0, 1].

    Raises:
      ValueError: labels of another shape.

    >>> cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 7])).round(4)
    Array([2.3026, 2.3026], dtype=float32)
    """
    if labels.ndim != 1 and labels.shape != logits.shape:
        raise ValueError(
            f"`labels` must have shape {logits.shape[:1]}, or that of the logits, {logits.shape}; received "
            f"{labels.shape}. Are they integers with an axis too many? Then pass labels[:, 0]."
        )
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype) if labels.ndim == 1 else labels
    log_probabilities = jax.nn.log_softmax(logits)
    smoothed = (1 - label_smoothing) * targets + label_smoothing / logits.shape[-1]
    return -jnp.sum(smoothed * log_probabilities, axis=-1)


def cross_entropy_with_rejection(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"], *, rejection_logit: float = -1.0
) -> Float[Array, " batch"]:
    """LeNet-5's maximum a posteriori criterion: `-z_t + log(exp(r) + sum_k exp(z_k))`.

    With `z_k = -distance to class k's prototype`, it pulls the right prototype nearer and pushes the others away, until
    they are farther than a constant "rubbish" class of logit r (LeCun et al. 1998, eq. 9, where `r = -j`).

    >>> cross_entropy_with_rejection(jnp.array([[0.0, -50.0]]), jnp.array([0]), rejection_logit=-50.0).tolist()
    [0.0]
    """
    target_logit = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    with_rejection = jnp.concatenate([logits, jnp.full_like(logits[:, :1], rejection_logit)], axis=1)
    return jax.nn.logsumexp(with_rejection, axis=1) - target_logit
