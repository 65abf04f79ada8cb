"""Losses of regression, summed over all but the batch axis; none is averaged or halved, save where it says so."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from jaxnn.losses.per_example import check_range, check_same_shape, sum_features


def squared_error(
    outputs: Float[Array, "batch ..."], targets: Float[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Squared error `sum_k (y_k - t_k)^2`: the mean is its minimum, Gaussian noise its model.

    Gradient: `2 (y_k - t_k)`. Without a 1/2 (Optax's `l2_loss` has one), and a sum over the features where PyTorch's
    `MSELoss` takes the mean over them too.

    Raises:
      ValueError: targets of another shape: (batch, 1) against (batch,) would broadcast to all pairs.

    >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [5.0]
    """
    check_same_shape(outputs=outputs, targets=targets)
    return sum_features((outputs - targets) ** 2)


def absolute_error(
    outputs: Float[Array, "batch ..."], targets: Float[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Absolute error `sum_k |y_k - t_k|`: the median is its minimum, so outliers count little.

    Gradient: `sign(y_k - t_k)`, 0 where both are equal.

    Raises:
      ValueError: targets of another shape.

    >>> absolute_error(jnp.array([[1.0, -2.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [3.0]
    """
    check_same_shape(outputs=outputs, targets=targets)
    e = outputs - targets
    return sum_features(e * jnp.sign(e))  # the derivative of jnp.abs at 0 is 1


def huber(
    outputs: Float[Array, "batch ..."],
    targets: Float[Array | np.ndarray, "batch ..."],
    *,
    delta: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Huber's loss of `e = y - t`: `e^2 / 2` while `|e| <= d`, then the tangent `d (|e| - d / 2)`; summed.

    Gradient: e, clipped to [-d, d]: that of half the squared error, and bounded (Huber 1964). Both pieces in one: with
    `c` the clipped e, `c (e - c / 2)`, which overflows for no e.

    Raises:
      ValueError: targets of another shape; delta < 0.

    >>> huber(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0])).tolist()
    [0.125, 2.5]
    """
    check_same_shape(outputs=outputs, targets=targets)
    check_range("delta", delta, 0, math.inf)
    e = outputs - targets
    c = jnp.clip(e, -delta, delta)
    return sum_features(c * (e - c / 2))
