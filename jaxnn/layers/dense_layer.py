"""In a dense layer, every output is a weighted sum of all inputs."""

import jax.numpy as jnp

from jaxnn.initializers import fan_in_uniform
from jaxnn.layers.hand_written import Layer, differentiable


def forward(params, x):
    """Computes `y = x W + b`."""
    return x @ params["kernel"] + params["bias"][None], (params["kernel"], x)


def backward(residuals, dy):
    """Computes `dW = x^T dy`, `db = sum_n dy_n` and `dx = dy W^T`."""
    kernel, x = residuals
    return {"kernel": x.T @ dy, "bias": dy.sum(axis=0)}, dy @ kernel.T


uniform = fan_in_uniform()
_dense = differentiable(forward, backward)


def dense(params, x):
    """Computes `y = x W + b`; its hand-written gradient is `dW = x^T dy`, `db = sum_n dy_n`, `dx = dy W^T`.

    Args:
      params: `kernel` (in, out) and `bias` (out,).
      x: (batch, in).

    Raises:
      ValueError: the shapes do not fit.

    >>> dense({"kernel": jnp.ones((3, 2)), "bias": jnp.array([0.0, 1.0])}, jnp.ones((1, 3))).tolist()
    [[3.0, 4.0]]
    """
    kernel, bias = params["kernel"], params["bias"]
    if x.ndim != 2 or kernel.ndim != 2 or x.shape[1] != kernel.shape[0] or bias.shape != kernel.shape[1:]:
        raise ValueError(
            f"`x` must have shape (batch, in), `kernel` (in, out) and `bias` (out,); received {x.shape}, "
            f"{kernel.shape} and {bias.shape}. Put a Flatten before it?"
        )
    return _dense(params, x)


def Dense(features: int, *, kernel_init=uniform) -> Layer:
    """Returns a layer that computes `dense` with `features` outputs."""

    def init(key, x):
        return {"kernel": kernel_init(key, (x.shape[-1], features), x.dtype), "bias": jnp.zeros(features, x.dtype)}

    return Layer(init, forward, backward)
