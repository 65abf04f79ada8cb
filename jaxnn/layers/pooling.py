"""Pooling over windows that do not overlap, with hand-written backward passes.

The window's positions are separate planes, `(wy wx) (channels, rows, columns, batch)`: the maximum is then an
elementwise maximum of planes, and so is its gradient, which compilers fuse with what stands before and after.
"""

from functools import reduce

import jax.numpy as jnp

from jaxnn.layers.hand_written import differentiable
from jaxnn.layers.memory_layout import batch_minor


def max_pool(x, window: tuple[int, int] = (2, 2)):
    """`y[n, i, j, c] = max_{a, b} x[n, i wy + a, j wx + b, c]`, the stride being the window.

    The gradient goes to the first of equal maxima in row-major order (PyTorch's and XLA's rule; `jnp.max` would share).

    Args:
      x: (batch, height, width, channels); height and width multiples of the window's.

    Raises:
      ValueError: the window does not divide the image.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    _check(x, window)
    return _max_pool((), x, window=tuple(window))


def average_pool(x, window: tuple[int, int] = (2, 2)):
    """`y[n, i, j, c] = mean_{a, b} x[n, i wy + a, j wx + b, c]`, the stride being the window; arguments as `max_pool`.

    >>> average_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    _check(x, window)
    planes = _planes(x, tuple(window))
    return _unplane(sum(planes) / len(planes))


def _forward(_, x, *, window):
    planes = _planes(x, window)
    y = reduce(jnp.maximum, planes)
    return _unplane(y), (planes, y)


def _backward(residuals, dy, *, window):
    planes, y = residuals
    dy = batch_minor(dy).transpose(3, 1, 2, 0)
    taken, dplanes = jnp.zeros(y.shape, bool), []
    for plane in planes:
        is_first = (plane == y) & ~taken
        dplanes.append(jnp.where(is_first, dy, jnp.zeros((), dy.dtype)))
        taken |= is_first
    return (), _from_planes(dplanes, window)


_max_pool = differentiable(_forward, _backward)


def _planes(x, window):
    """(batch, height, width, channels) -> a list of wy wx planes (channels, rows, columns, batch)."""
    batch, height, width, channels = x.shape
    wy, wx = window
    x = x.reshape(batch, height // wy, wy, width // wx, wx, channels).transpose(2, 4, 5, 1, 3, 0)
    return list(x.reshape(wy * wx, *x.shape[2:]))


def _from_planes(planes, window):
    channels, rows, columns, batch = planes[0].shape
    x = jnp.stack(planes).reshape(*window, channels, rows, columns, batch).transpose(5, 3, 0, 4, 1, 2)
    return x.reshape(batch, rows * window[0], columns * window[1], channels)


def _unplane(y):
    return y.transpose(3, 1, 2, 0)


def _check(x, window):
    if x.ndim != 4 or x.shape[1] % window[0] or x.shape[2] % window[1]:
        raise ValueError(
            f"`x` must have shape (batch, height, width, channels) with the window {tuple(window)} dividing height and "
            f"width; received {x.shape}. Crop or pad it first."
        )
