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


def smooth_l1(
    outputs: Float[Array, "batch ..."],
    targets: Float[Array | np.ndarray, "batch ..."],
    *,
    beta: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes PyTorch's `SmoothL1Loss` of `e = y - t`: `e^2 / (2 b)` while `|e| < b`, then `|e| - b / 2`; summed.

    It is Huber's loss with delta = b, divided by b. So its slope far away is always 1, and for b = 0 it is the absolute
    error. Gradient: `e / b` clipped to [-1, 1] (Girshick 2015, arXiv 1504.08083, eq. 3).

    Raises:
      ValueError: if the targets have another shape, or beta < 0.

    >>> smooth_l1(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0]), beta=2.0).tolist()
    [0.0625, 2.0]
    """
    check_same_shape(outputs=outputs, targets=targets)
    check_range("beta", beta, 0, math.inf)
    e = outputs - targets
    r = jnp.clip(e / jnp.maximum(beta, jnp.finfo(e.dtype).tiny), -1, 1)
    return sum_features(r * (e - beta * r / 2))


def log_cosh(
    outputs: Float[Array, "batch ..."], targets: Float[Array | np.ndarray, "batch ..."]
) -> Float[Array, " batch"]:
    """Computes `sum_k log cosh(e_k)` of `e = y - t`: about `e^2 / 2` near 0, and `|e| - log 2` far away.

    Gradient: `tanh(e)`. Near 0 the code computes `log1p(2 sinh(e / 2)^2)`, which keeps small errors that
    `log((exp(e) + exp(-e)) / 2)` would round to 0; far away nothing overflows.

    Raises:
      ValueError: if the targets have another shape.

    >>> [round(float(loss), 3) for loss in log_cosh(jnp.array([1.0, 100.0]), jnp.array([0.0, 0.0]))]
    [0.434, 99.307]
    """
    check_same_shape(outputs=outputs, targets=targets)
    e = outputs - targets
    near = jnp.log1p(2 * jnp.sinh(jnp.clip(e, -1, 1) / 2) ** 2)
    size = e * jnp.sign(e)
    far = size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2)
    return sum_features(jnp.where(size < 1, near, far))


def pinball(
    outputs: Float[Array, "batch ..."],
    targets: Float[Array | np.ndarray, "batch ..."],
    *,
    quantile: float | Num[Array | np.ndarray, ""] | Num[Array | np.ndarray, " features"],
) -> Float[Array, " batch"]:
    """Computes the quantile loss `sum_k max(q (t_k - y_k), (q - 1) (t_k - y_k))`, also called pinball loss.

    The q-quantile of the targets minimizes it; for q = 1/2 it is half the absolute error. Gradient: `-q` while the
    output y is below the target t, `1 - q` above it, and 0 where both are equal (Koenker and Bassett 1978).

    Args:
      outputs: y, (batch, ...).
      targets: t, of the same shape. For several quantiles of one target repeat it along the last axis.
      quantile: q in [0, 1], a number, or one number for each output of the last axis.

    Raises:
      ValueError: if the targets have another shape, or the quantiles another shape or a value outside [0, 1].

    >>> pinball(jnp.array([0.0, 4.0]), jnp.array([2.0, 2.0]), quantile=0.75).tolist()
    [1.5, 0.5]
    """
    check_same_shape(outputs=outputs, targets=targets)
    check_range("quantile", quantile, 0, 1, "The median is 0.5.")
    if jnp.shape(quantile) not in ((), outputs.shape[1:][-1:]):
        raise ValueError(
            f"`quantile` must be a number or have shape {outputs.shape[1:][-1:]}, one for each output; received "
            f"{jnp.shape(quantile)}."
        )
    e = targets - outputs
    q = jnp.broadcast_to(jnp.asarray(quantile, e.dtype), e.shape)
    return sum_features(e * jnp.where(e > 0, q, jnp.where(e < 0, q - 1, 0)))
