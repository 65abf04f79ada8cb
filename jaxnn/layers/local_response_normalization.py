"""Local response normalization (AlexNet) damps every activation by those of its neighbouring channels."""

from functools import partial, reduce

import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, Static, differentiable, without_parameters


def forward(_, x, *, size=5, k=2.0, alpha=1e-4, beta=0.75):
    """Computes `y = x s^-beta` with `s = k + alpha sum_neighbours x^2`."""
    s = k + alpha * _neighbours(x * x, size)
    return x * _damping(s, beta), (x, Static((size, k, alpha, beta)))


def backward(residuals, dy):
    """Computes `dx = s^-beta dy - 2 alpha beta x sum_neighbours (dy x s^(-beta - 1))`."""
    # computing s again is cheaper than saving it
    x, (size, k, alpha, beta) = residuals[0], residuals[1].value
    s = k + alpha * _neighbours(x * x, size)
    damped = dy * _damping(s, beta)
    return (), damped - 2 * alpha * beta * x * _neighbours(damped * x / s, size)


def local_response_norm(x, *, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75):
    """Computes `y_c = x_c / (k + alpha sum_j x_j^2)^beta`, where j runs over the `size` channels around c.

    At the first and the last channels, the sum is over the neighbours that exist. Gradient:
    `dx_c = s_c^-beta dy_c - 2 alpha beta x_c sum_j dy_j x_j s_j^(-beta - 1)`, where s is the expression in brackets.
    The defaults are AlexNet's. PyTorch divides alpha by `size`: its `alpha=5e-4, size=5` is our `alpha=1e-4`.

    Args:
      x: (..., channels).
      size: the paper's n, an odd number.
      k, alpha, beta: Python numbers.

    Raises:
      ValueError: `size` is even or less than 1.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.

    >>> local_response_norm(jnp.array([[3.0, 4.0, 0.0]]), size=3, k=0.0, alpha=1.0, beta=0.5).round(3)
    Array([[0.6, 0.8, 0. ]], dtype=float32)
    """
    layer = LocalResponseNorm(size=size, k=k, alpha=alpha, beta=beta)
    return differentiable(layer.forward, layer.backward)((), x)


def LocalResponseNorm(*, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> Layer:
    """Returns a layer that computes `local_response_norm`."""
    if size < 1 or size % 2 == 0:
        raise ValueError(
            f"`size` must be odd, as many channels before as after; received {size}. Take {size - 1} or {size + 1}."
        )
    return Layer(without_parameters, partial(forward, size=size, k=k, alpha=alpha, beta=beta), backward)


def _neighbours(x, size):
    """Sums over the `size` channels around each channel.

    It adds shifted copies, which is many times faster than a windowed reduction on CPU.
    """
    channels, half = x.shape[-1], size // 2
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * (x.ndim - 1) + [(half, half, 0)])
    return reduce(jnp.add, (lax.slice_in_dim(padded, i, i + channels, axis=x.ndim - 1) for i in range(size)))


def _damping(s, beta):
    """Computes `s^-beta`; for the paper's 3/4 by two square roots, which is three times as fast as a power."""
    if beta == 0.75:
        root = lax.rsqrt(s)
        return root * jnp.sqrt(root)
    return s**-beta
