"""These functions pool over windows that do not overlap, forward and backward.

Each position in the window becomes a separate plane: `(wy wx) (channels, rows, columns, batch)`. The maximum is then an
elementwise maximum of planes, and its gradient is elementwise too. Compilers fuse both with the operations before and
after them.
"""

from functools import reduce

import jax.numpy as jnp

from jaxnn.layers.hand_written import batch_minor


def max_forward(x, *, window):
    """Computes `y = max_p plane_p`; the window divides the image."""
    planes = _planes(x, window)
    y = reduce(jnp.maximum, planes)
    return _unplane(y), (planes, y)


def max_backward(residuals, dy, *, window):
    """Computes `dplane_p = dy` where p is the first plane that equals y, else 0."""
    planes, y = residuals
    dy = batch_minor(dy).transpose(3, 1, 2, 0)
    taken, dplanes = jnp.zeros(y.shape, bool), []
    for plane in planes:
        is_first = (plane == y) & ~taken
        dplanes.append(jnp.where(is_first, dy, jnp.zeros((), dy.dtype)))
        taken |= is_first
    return _from_planes(dplanes, window)


def average_forward(x, *, window):
    """Computes `y = mean_p plane_p`; the window divides the image."""
    planes = _planes(x, window)
    return _unplane(sum(planes) / len(planes))


def average_backward(dy, *, window):
    """Computes `dplane_p = dy / (wy wx)`."""
    positions = window[0] * window[1]
    return _from_planes([dy.transpose(3, 1, 2, 0) / positions] * positions, window)


def _planes(x, window):
    """Splits (batch, height, width, channels) into a list of wy wx planes (channels, rows, columns, batch)."""
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
