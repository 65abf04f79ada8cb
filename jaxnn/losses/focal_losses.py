"""Focal losses weigh an example less, the surer its right class is already: `(1 - p_t)^g` times the cross-entropy.

They were made for detection, where easy examples of the background outnumber all others (Lin et al. 2017, arXiv
1708.02002, eq. 4 and 5). The weight is computed from log(1 - p_t), so that neither it nor its gradient is lost where
p_t is rounded to 1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num

from jaxnn.activations import log_softmax, softplus
from jaxnn.losses.per_example import (
    OF_SIGNS,
    check_class_weights,
    check_labels,
    check_range,
    check_same_shape,
    checked_shares,
    is_label,
    nan_unless,
    sum_features,
)


def focal(
    logits: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"],
    *,
    gamma: float | Num[Array, ""] = 2.0,
    class_weights: Float[Array | np.ndarray, " classes"] | None = None,
) -> Float[Array, " batch"]:
    """Computes the focal loss of several classes, `-w_y (1 - p_y)^g log p_y` with p the softmax of the logits.

    For g = 0 it is the cross-entropy. Gradient: the cross-entropy's `p_k - [k = y]` times
    `w_y (1 - p_y)^(g - 1) (1 - p_y - g p_y log p_y)`.

    Args:
      logits: (batch, classes).
      labels: y, (batch,) integers; one that is not a class gives NaN.
      gamma: g, at least 0.
      class_weights: w, (classes,), the paper's alpha; 1 by default.

    Raises:
      ValueError: if the shapes do not match, g < 0, or a NumPy array has integers that are not classes.

    >>> focal(jnp.zeros((1, 4)), jnp.array([2])).round(4)  # (3/4)^2 log 4
    Array([0.7798], dtype=float32)
    """
    check_labels(labels, logits)
    check_range("gamma", gamma, 0, np.inf)
    check_class_weights(class_weights, logits)
    hit, log_p = is_label(labels, logits), log_softmax(logits)
    log_p_y = jnp.sum(jnp.where(hit, log_p, 0), axis=-1)
    log_rest = jax.nn.logsumexp(jnp.where(hit, jnp.finfo(logits.dtype).min, log_p), axis=-1)  # log(1 - p_y)
    loss = -jnp.exp(gamma * log_rest) * log_p_y
    if class_weights is not None:
        loss *= jnp.sum(jnp.where(hit, jnp.asarray(class_weights, logits.dtype)[None], 0), axis=-1)
    return nan_unless(hit.any(axis=-1), loss)


def binary_focal(
    logits: Float[Array, "batch ..."],
    labels: Num[Array | np.ndarray, "batch ..."] | Bool[Array | np.ndarray, "batch ..."],
    *,
    gamma: float | Num[Array, ""] = 2.0,
    alpha: float | Num[Array, ""] | None = None,
) -> Float[Array, " batch"]:
    """Computes the focal loss of sigmoids, `-a_t (1 - p_t)^g log p_t`, summed over the labels of an example.

    With s the sigmoid, p_t is s(z) for the label 1 and 1 - s(z) for the label 0; a_t is a for the label 1 and 1 - a for
    the label 0. For g = 0 without alpha it is `binary_cross_entropy`. RetinaNet has g = 2 and a = 1/4. Gradient for the
    label 1: `a (1 - p)^g (g p log p - (1 - p))`; for the label 0 that of -z, negated.

    Args:
      logits: z, (batch,) or (batch, ...).
      labels: 0 and 1 or booleans, of the logits' shape; a number between them mixes both losses, others give NaN.
      gamma: g, at least 0.
      alpha: a in [0, 1], or None for a_t = 1.

    Raises:
      ValueError: if the shapes differ, g < 0, a is outside [0, 1], or NumPy labels are.

    >>> binary_focal(jnp.array([0.0, 0.0]), jnp.array([1, 0]), alpha=0.25).round(4)
    Array([0.0433, 0.13  ], dtype=float32)
    """
    check_same_shape(logits=logits, labels=labels)
    check_range("gamma", gamma, 0, np.inf)
    if alpha is not None:
        check_range("alpha", alpha, 0, 1)
    t, valid = checked_shares("labels", labels, logits, OF_SIGNS)
    of_1 = jnp.exp(-gamma * softplus(logits)) * softplus(-logits)
    of_0 = jnp.exp(-gamma * softplus(-logits)) * softplus(logits)
    a, b = (1, 1) if alpha is None else (alpha, 1 - alpha)
    return nan_unless(valid, sum_features(a * t * of_1 + b * (1 - t) * of_0))
