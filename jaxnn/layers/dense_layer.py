"""In a dense layer, every output is a weighted sum of all inputs."""

import jax.numpy as jnp
from jax import lax

from jaxnn.initializers import fan_in_uniform
from jaxnn.layers.hand_written import Layer, differentiable


def forward(params, x):
    """Computes `y = x W + b`."""
    return x @ params["kernel"] + lax.expand_dims(params["bias"], range(x.ndim - 1)), (params["kernel"], x)


def backward(residuals, dy):
    """Computes `dW = x^T dy`, `db = sum_n dy_n` and `dx = dy W^T`, where n runs over the rows of all leading axes."""
    kernel, x = residuals
    rows, drows = (a.reshape(-1, a.shape[-1]) for a in (x, dy))
    return {"kernel": rows.T @ drows, "bias": drows.sum(axis=0)}, dy @ kernel.T


def unbiased_forward(params, x):
    """Computes `y = x W`."""
    return x @ params["kernel"], (params["kernel"], x)


def unbiased_backward(residuals, dy):
    """Computes `dW = x^T dy` and `dx = dy W^T`."""
    dparams, dx = backward(residuals, dy)
    return {"kernel": dparams["kernel"]}, dx


uniform = fan_in_uniform()
_pairs = {True: (forward, backward), False: (unbiased_forward, unbiased_backward)}
_dense = {use_bias: differentiable(*pair) for use_bias, pair in _pairs.items()}


def dense(params, x):
    """Computes `y = x W + b`; its hand-written gradient is `dW = x^T dy`, `db = sum_n dy_n`, `dx = dy W^T`.

    The layer acts on the last axis, so that x may have any number of leading axes: none, a batch, a batch of sequences.

    Args:
      params: `kernel` (in, out) and `bias` (out,), or `kernel` alone, which is `y = x W`.
      x: (..., in).

    Raises:
      ValueError: the shapes do not fit.

    >>> dense({"kernel": jnp.ones((3, 2)), "bias": jnp.array([0.0, 1.0])}, jnp.ones((1, 3))).tolist()
    [[3.0, 4.0]]
    """
    check(params, x)
    return _dense["bias" in params](params, x)


def Dense(features: int, *, use_bias: bool = True, kernel_init=uniform) -> Layer:
    """Returns a layer that computes `dense` with `features` outputs; without `use_bias`, it has no bias."""

    def init(key, x):
        kernel = kernel_init(key, (x.shape[-1], features), x.dtype)
        return {"kernel": kernel, "bias": jnp.zeros(features, x.dtype)} if use_bias else {"kernel": kernel}

    def checked(params, x):
        check(params, x)
        return _pairs[use_bias][0](params, x)

    return Layer(init, checked, _pairs[use_bias][1])


def check(params, x, *, out="out"):
    """Raises a ValueError if the features of `x`, the kernel and the bias do not fit."""
    kernel = params["kernel"].shape
    bias = params["bias"].shape if "bias" in params else kernel[1:]
    if x.ndim < 1 or len(kernel) != 2 or x.shape[-1] != kernel[0] or bias != kernel[1:]:
        raise ValueError(
            f"`x` must have shape (..., in), `kernel` (in, {out}) and `bias` ({out},); received {x.shape}, {kernel} "
            f"and {bias}. Put a Flatten before it?"
        )
