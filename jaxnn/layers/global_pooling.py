"""Global pooling reduces an image of any size to one number for each channel."""

import math

import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, Static, differentiable, without_parameters


def average_forward(_, x):
    """Computes `y[n, c] = mean_{h, w} x[n, h, w, c]`."""
    _check(x)
    return x.mean(axis=_space(x.shape)), (Static(x.shape),)


def average_backward(residuals, dy):
    """Computes `dx[n, h, w, c] = dy[n, c] / (height width)`."""
    shape = residuals[0].value
    dx = lax.expand_dims(dy / math.prod(shape[1:-1]), _space(shape))
    return (), jnp.broadcast_to(dx, shape)


def max_forward(_, x):
    """Computes `y[n, c] = max_{h, w} x[n, h, w, c]`."""
    _check(x)
    pixels = x.reshape(len(x), -1, x.shape[-1])
    return pixels.max(axis=1), (pixels.argmax(axis=1), Static(x.shape))


def max_backward(residuals, dy):
    """Computes `dx[n, h, w, c] = dy[n, c]` at the first maximum in row-major order, else 0."""
    first, shape = residuals[0], residuals[1].value
    place = lax.broadcasted_iota(first.dtype, (shape[0], math.prod(shape[1:-1]), shape[-1]), 1)
    return (), jnp.where(place == first[:, None], dy[:, None], jnp.zeros((), dy.dtype)).reshape(shape)


_global_average_pool = differentiable(average_forward, average_backward)
_global_max_pool = differentiable(max_forward, max_backward)


def global_average_pool(x):
    """Computes `y[n, c] = mean_{h, w} x[n, h, w, c]`.

    Lin, Chen and Yan 2013 (arXiv 1312.4400) replaced dense layers by this mean. Gradient:
    `dx[n, h, w, c] = dy[n, c] / (height width)`.

    Args:
      x: (batch, ..., channels), with at least one axis between batch and channels.

    Raises:
      ValueError: x has fewer than three axes.

    >>> global_average_pool(jnp.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[3.0, 4.0]]
    """
    return _global_average_pool((), x)


def global_max_pool(x):
    """Computes `y[n, c] = max_{h, w} x[n, h, w, c]`.

    The gradient goes to the first of equal maxima, as in `max_pool`. The arguments and errors are those of
    `global_average_pool`.

    >>> global_max_pool(jnp.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[6.0, 7.0]]
    """
    return _global_max_pool((), x)


def GlobalAveragePool() -> Layer:
    """Returns a layer that computes `global_average_pool`."""
    return Layer(without_parameters, average_forward, average_backward)


def GlobalMaxPool() -> Layer:
    """Returns a layer that computes `global_max_pool`."""
    return Layer(without_parameters, max_forward, max_backward)


def _space(shape):
    return tuple(range(1, len(shape) - 1))


def _check(x):
    if x.ndim < 3:
        raise ValueError(
            f"`x` must have shape (batch, height, width, channels); received {x.shape}. Pool before the Flatten?"
        )
