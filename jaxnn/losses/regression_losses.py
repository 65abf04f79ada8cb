"""Regression losses sum over all axes but the batch; they average or halve only where their docstrings say so."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from jaxnn.losses.per_example import check_range, check_same_shape, sum_features


def squared_error(
    outputs: Float[Array, "batch ..."], targets: Float[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Computes the squared error `sum_k (y_k - t_k)^2`.

    The mean of the targets minimizes it, and it is the loss for Gaussian noise. Gradient: `2 (y_k - t_k)`. There is no
    factor 1/2 (Optax's `l2_loss` has one). The features are summed, while PyTorch's `MSELoss` also averages over them.

    Raises:
      ValueError: if the targets have another shape: (batch, 1) against (batch,) would broadcast to all pairs.

    >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [5.0]
    """
    check_same_shape(outputs=outputs, targets=targets)
    return sum_features((outputs - targets) ** 2)


def absolute_error(
    outputs: Float[Array, "batch ..."], targets: Float[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Computes the absolute error `sum_k |y_k - t_k|`.

    The median of the targets minimizes it, so outliers have little influence. Gradient: `sign(y_k - t_k)`, which is 0
    where both are equal.

    Raises:
      ValueError: if the targets have another shape.

    >>> absolute_error(jnp.array([[1.0, -2.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [3.0]
    """
    check_same_shape(outputs=outputs, targets=targets)
    e = outputs - targets
    return sum_features(e * jnp.sign(e))  # not jnp.abs(e), whose derivative at 0 is 1


def huber(
    outputs: Float[Array, "batch ..."],
    targets: Float[Array | np.ndarray, "batch ..."],
    *,
    delta: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes Huber's loss of `e = y - t`: `e^2 / 2` while `|e| <= d`, then its tangent `d (|e| - d / 2)`; summed.

    Gradient: e clipped to [-d, d]. It equals the gradient of half the squared error, but it is bounded (Huber 1964).
    With `c` the clipped e, the code computes both pieces as `c (e - c / 2)`, which does not overflow for any e.

    Raises:
      ValueError: if the targets have another shape, or delta < 0.

    >>> huber(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0])).tolist()
    [0.125, 2.5]
    """
    check_same_shape(outputs=outputs, targets=targets)
    check_range("delta", delta, 0, math.inf)
    e = outputs - targets
    c = jnp.clip(e, -delta, delta)
    return sum_features(c * (e - c / 2))
