"""The coefficient of determination compares a regression with the constant that is the mean of the targets."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxnn.losses.per_example import check_same_shape, checked_mask


class RegressionSums(NamedTuple):
    """Holds the sums of which R^2 is made, for each output; `metrics.merge` adds the sums of parts."""

    residuals: Float[Array, "..."]
    """Sums `(t - y)^2`."""
    targets: Float[Array, "..."]
    """Sums `t - c`, with the centre c."""
    squares: Float[Array, "..."]
    """Sums `(t - c)^2`."""
    count: Float[Array, ""]


def regression_sums(
    outputs: Float[Array, "batch ..."],
    targets: Float[Array | np.ndarray, "batch ..."],
    *,
    centre: float | Float[Array | np.ndarray, "..."] = 0.0,
    mask: Bool[Array | np.ndarray, " batch"] | None = None,
) -> RegressionSums:
    """Sums over the batch what `r_squared` needs, for each output by itself, in float32.

    Args:
      outputs: (batch, ...).
      targets: of the same shape.
      centre: c, a number or one for each output, the same for all parts. The score does not depend on it, but its
        rounding does: give about the mean of the targets if it is many times their standard deviation.
      mask: True at the examples that count; all by default.

    Raises:
      ValueError: if the shapes differ.

    >>> regression_sums(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])).residuals.tolist()
    4.0
    """
    check_same_shape(outputs=outputs, targets=targets)
    kept = checked_mask("mask", mask, outputs.shape[:1])
    if jnp.shape(centre) not in ((), outputs.shape[1:]):
        raise ValueError(f"`centre` must be a number or have shape {outputs.shape[1:]}; received {jnp.shape(centre)}.")
    wide = kept.reshape(-1, *[1] * (outputs.ndim - 1))
    y, t = (jnp.where(wide, x, 0).astype(jnp.float32) for x in (outputs, targets))
    d = jnp.where(wide, t - jnp.broadcast_to(jnp.asarray(centre, jnp.float32), t.shape), 0)
    return RegressionSums(
        *(jnp.sum(x, axis=0) for x in ((t - y) ** 2, d, d**2)), count=jnp.sum(kept, dtype=jnp.float32)
    )


def r_squared(sums: RegressionSums) -> Float[Array, "..."]:
    """Computes `R^2 = 1 - sum_i (t_i - y_i)^2 / sum_i (t_i - mean t)^2` of each output; their mean is scikit-learn's.

    It is 1 for a perfect regression, 0 for the mean of the targets, and below 0 for worse ones. If all targets are
    equal it counts as 1 for perfect outputs, else as 0.

    >>> round(float(r_squared(regression_sums(jnp.array([2.5, 0.0, 2.0, 8.0]), jnp.array([3.0, -0.5, 2.0, 7.0])))), 4)
    0.9486
    """
    spread = jnp.maximum(sums.squares - sums.targets**2 / sums.count, 0)
    varied = spread > 0
    ratio = sums.residuals / jnp.where(varied, spread, 1)
    return jnp.where(varied, 1 - ratio, jnp.where(sums.residuals > 0, 0, 1)).astype(jnp.float32)
