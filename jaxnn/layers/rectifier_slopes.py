"""These rectifiers have slopes for negative inputs that are learned (PReLU) or drawn (RReLU)."""

import jax.numpy as jnp

from jaxnn import activations
from jaxnn.layers.hand_written import Layer, without_parameters


def prelu_forward(params, x):
    """Computes `y = x` where x > 0, else `y = a x`."""
    slope = params["negative_slope"]
    return activations.prelu(x, slope), (slope, x)


def prelu_backward(residuals, dy):
    """Computes `dx = dy` where x > 0, else `a dy`, and `da = sum min(x, 0) dy` over the inputs that share a."""
    slope, x = residuals
    shared = tuple(range(x.ndim - slope.ndim))
    da = (jnp.minimum(x, 0) * dy).sum(shared).astype(slope.dtype)
    return {"negative_slope": da}, jnp.where(x > 0, 1, jnp.broadcast_to(slope, x.shape)).astype(dy.dtype) * dy


def PReLU(*, per_feature: bool = False, initial_slope: float = 0.25) -> Layer:
    """Returns a layer that computes `activations.prelu` with a learned slope `negative_slope`, as Flax names it.

    `da = sum min(x, 0) dy` over all inputs that share the slope a. Weight decay should leave the slope out, because it
    would pull the slope towards 0, which is ReLU.

    Args:
      per_feature: learns one slope for each feature of the last axis, not one for all.
      initial_slope: where the slopes start.

    Source: He et al. 2015, arXiv 1502.01852.
    """

    def init(key, x):
        return {"negative_slope": jnp.full(x.shape[-1:] if per_feature else (), initial_slope, x.dtype)}

    return Layer(init, prelu_forward, prelu_backward)


def RReLU(*, lowest: float = 1 / 8, highest: float = 1 / 3) -> Layer:
    """Returns a layer that computes `activations.rrelu`: random slopes in training, and their mean in test mode.

    Derivative: 1 where x > 0, else the slope that was drawn, or the mean.

    Raises:
      ValueError: not `0 <= lowest <= highest`.

    Source: Xu et al. 2015, arXiv 1505.00853.
    """
    if not 0 <= lowest <= highest:
        raise ValueError(f"`lowest` must be from 0 to `highest`; received {lowest} and {highest}. Did they swap?")

    def forward(params, x, *, train, key):
        below = -activations.rrelu(-jnp.ones_like(x), key=key if train else None, lowest=lowest, highest=highest)
        slope = jnp.where(x > 0, 1, below)
        return slope * x, slope

    return Layer(without_parameters, forward, lambda slope, dy: ((), slope.astype(dy.dtype) * dy))
