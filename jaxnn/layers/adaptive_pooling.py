"""Adaptive pooling takes the size of its output, so that images of any size become features of one size.

Along an axis of n inputs and m outputs, output i is pooled from the inputs `floor(i n / m)` to
`ceil((i + 1) n / m) - 1`. Neighbouring windows may share an input, and differ in size by one at most. A table lists the
inputs of each window; the backward pass reads another one, which lists the windows of each input.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn.layers.hand_written import Layer, Static, differentiable, without_parameters
from jaxnn.layers.window_geometry import SPACE, axes_of, check_sizes


class Table(NamedTuple):
    """Lists in each row the entries that belong together; rows that are shorter repeat their last entry."""

    entries: np.ndarray
    inside: np.ndarray
    """Is False for the repetitions."""


def average_forward(_, x, *, size):
    """Computes `y[n, i] = sum_{j in window i} x[n, j] / |window i|` along each axis of space."""
    shape = x.shape
    for axis, windows, _ in _tables(shape, size):
        x = _sum(x.take(windows.entries, axis=axis), windows, axis) / _counts(windows, axis, x)
    return x, Static((shape, size))


def average_backward(residuals, dy):
    """Computes `dx[n, j]`, the sum of `dy[n, i] / |window i|` over the windows i that contain j."""
    for axis, windows, readers in reversed(_tables(*residuals.value)):
        dy = dy / _counts(windows, axis, dy)
        dy = _sum(dy.take(readers.entries, axis=axis), readers, axis)
    return (), dy


def max_forward(_, x, *, size):
    """Computes `y[n, i] = max_{j in window i} x[n, j]` along each axis of space, and the first j with this maximum."""
    shape, firsts = x.shape, []
    for axis, windows, _ in _tables(shape, size):
        taken = x.take(windows.entries, axis=axis)
        firsts.append(taken.argmax(axis + 1) + _along(windows.entries[:, 0], axis, x.ndim))
        x = taken.max(axis + 1)
    return x, (tuple(firsts), Static((shape, size)))


def max_backward(residuals, dy):
    """Computes `dx[n, j]`, the sum of `dy[n, i]` over the windows i whose first maximum is j."""
    firsts, sizes = residuals
    for (axis, _, readers), first in reversed([*zip(_tables(*sizes.value), firsts, strict=True)]):
        taken, winner = (a.take(readers.entries, axis=axis) for a in (dy, first))
        is_first = winner == lax.broadcasted_iota(winner.dtype, winner.shape, axis)
        dy = _sum(jnp.where(is_first, taken, jnp.zeros((), dy.dtype)), readers, axis)
    return (), dy


def adaptive_average_pool(x, size: tuple[int, ...]):
    """Computes the means of windows that are chosen for the size of the output, as PyTorch's `AdaptiveAvgPool2d`.

    `y[n, i, j, c] = mean x[n, floor(i H / h) : ceil((i + 1) H / h), floor(j W / w) : ceil((j + 1) W / w), c]` for
    images H x W and an output h x w. The gradient spreads dy evenly over each window.

    Args:
      x: (batch, height, width, channels), with as many axes of space as `size` has numbers.
      size: the (height, width) of the output. With (1, 1) it is the global average.

    Raises:
      ValueError: x has another number of axes or is empty, or a size is less than 1.

    >>> adaptive_average_pool(jnp.arange(5.0).reshape(1, 5, 1), (3,))[0, :, 0].tolist()
    [0.5, 2.0, 3.5]
    """
    pool = AdaptiveAveragePool(size)
    return differentiable(pool.forward, pool.backward)((), x)


def adaptive_max_pool(x, size: tuple[int, ...]):
    """Computes the maxima of windows that are chosen for the size of the output, as PyTorch's `AdaptiveMaxPool2d`.

    The windows, the arguments and the errors are those of `adaptive_average_pool`. The gradient goes to the first of
    equal maxima in row-major order, as in `max_pool`.

    >>> adaptive_max_pool(jnp.arange(5.0).reshape(1, 5, 1), (3,))[0, :, 0].tolist()
    [1.0, 3.0, 4.0]
    """
    pool = AdaptiveMaxPool(size)
    return differentiable(pool.forward, pool.backward)((), x)


def AdaptiveAveragePool(size: tuple[int, ...]) -> Layer:
    """Returns a layer that computes `adaptive_average_pool`."""
    return _layer(average_forward, average_backward, size)


def AdaptiveMaxPool(size: tuple[int, ...]) -> Layer:
    """Returns a layer that computes `adaptive_max_pool`."""
    return _layer(max_forward, max_backward, size)


def _layer(forward, backward, size):
    check_sizes(axes=axes_of(size), size=size)

    def checked(params, x):
        if x.ndim != len(size) + 2 or min(x.shape[1:-1]) < 1:
            raise ValueError(
                f"`x` must have shape (batch, {SPACE[len(size)]}, channels) and hold something to pool; received "
                f"{x.shape} for outputs of {tuple(size)}. Did you forget an axis?"
            )
        return partial(forward, size=tuple(size))(params, x)

    return Layer(without_parameters, checked, backward)


def _tables(shape, size):
    """Returns `(axis, inputs of each window, windows of each input)` from the last axis of space to the first."""
    tables = []
    for axis, n, m in zip(range(1, len(shape) - 1), shape[1:-1], size, strict=True):
        i = np.arange(m)
        starts, ends = i * n // m, -(-(i + 1) * n // m)
        j = np.arange(n)
        contains = (starts[None] <= j[:, None]) & (j[:, None] < ends[None])
        first = contains.argmax(axis=1)
        tables.append((axis, _table(starts, ends), _table(first, first + contains.sum(axis=1))))
    return tables[::-1]


def _table(starts, ends):
    entries = starts[:, None] + np.arange((ends - starts).max())[None]
    return Table(np.minimum(entries, ends[:, None] - 1).astype(np.int32), entries < ends[:, None])


def _along(values, axis, ndim):
    """Reshapes a vector, or the rows of a table, so that its first axis is `axis` of an array of `ndim` axes."""
    return values.reshape((1,) * axis + values.shape + (1,) * (ndim - axis - 1))


def _sum(taken, table, axis):
    inside = _along(table.inside, axis, taken.ndim - 1)
    return jnp.where(inside, taken, jnp.zeros((), taken.dtype)).sum(axis + 1)


def _counts(table, axis, x):
    return jnp.asarray(_along(table.inside.sum(axis=1), axis, x.ndim), jnp.result_type(x, 0.0))
