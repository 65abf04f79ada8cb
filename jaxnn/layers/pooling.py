"""Max and average pooling have windows and strides of any size, and hand-written backward passes.

If the strides equal the window and nothing is padded, the windows share no input. `pooling_disjoint_windows` then does
the work on images, which is faster between convolutions. Otherwise `pooling_overlapping_windows` does it. The window
has as many sizes as x has axes of space: one for sequences, two for images, three for volumes.
"""

from collections.abc import Sequence
from functools import partial, reduce
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxnn.layers.pooling_disjoint_windows as pooling_disjoint_windows
import jaxnn.layers.pooling_overlapping_windows as pooling_overlapping_windows
from jaxnn.layers.hand_written import Layer, Static, differentiable, without_parameters
from jaxnn.layers.window_geometry import SPACE, axes_of, explicit_padding, extents, fitting_edges

Sizes = Sequence[int]
Padding = str | Sequence[tuple[int, int]]


class Windows(NamedTuple):
    """Describes how windows are placed on images; every field is for the axes of space, such as (height, width)."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    image: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    """Counts rows or columns to add before and after; a negative number cuts off those that no window reaches."""

    @property
    def are_disjoint(self) -> bool:
        """Is True if the windows touch but do not overlap, and lie within the image."""
        dense = len(self.size) == 2 and {*self.dilation} == {1}
        return dense and self.size == self.strides and all(low == 0 >= high for low, high in self.edges)

    @property
    def placed(self) -> dict[str, tuple[int, ...]]:
        """The arguments that the functions for overlapping windows take."""
        return {"window": self.size, "strides": self.strides, "dilation": self.dilation}


def max_forward(_, x, *, window, strides=None, padding="VALID", dilation=None):
    """Computes `y[n, i, j, c] = max_{a, b} x[n, i sy + a dy, j sx + b dx, c]`.

    x is padded with minus infinity, or with the least integer.
    """
    windows = _windows(x.shape, window, strides, padding, dilation)
    fitted = _fit(x, windows, _least(x.dtype))
    if windows.are_disjoint:
        y, residuals = pooling_disjoint_windows.max_forward(fitted, window=windows.size)
    else:
        y, residuals = pooling_overlapping_windows.max_forward(fitted, **windows.placed)
    return y, (residuals, Static(windows))


def max_backward(residuals, dy):
    """Computes `dx[n, h, w, c]`, the sum of `dy` over the windows whose first maximum is `x[n, h, w, c]`."""
    residuals, windows = residuals[0], residuals[1].value
    if windows.are_disjoint:
        dx = pooling_disjoint_windows.max_backward(residuals, dy, window=windows.size)
    else:
        dx = pooling_overlapping_windows.max_backward(residuals, dy, **windows.placed)
    return (), _unfit(dx, windows)


def average_forward(_, x, *, window, strides=None, padding="VALID", count_include_pad=True):
    """Computes `y[n, i, j, c] = sum_{a, b} x[n, i sy + a, j sx + b, c] / (wy wx)`, where x is padded with zeros.

    Without `count_include_pad`, the divisor is the number of inputs in the window that are not padding.
    """
    windows = _windows(x.shape, window, strides, padding)
    x = x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(float)  # a sum of bytes would overflow
    fitted = _fit(x, windows, 0.0)
    if windows.are_disjoint:
        return pooling_disjoint_windows.average_forward(fitted, window=windows.size), (Static(windows), None)
    y = pooling_overlapping_windows.average_forward(fitted, window=windows.size, strides=windows.strides)
    share = None if count_include_pad else jnp.asarray(_share_inside(windows), x.dtype)
    return y if share is None else y / share, (Static(windows), share)


def average_backward(residuals, dy):
    """Computes `dx[n, h, w, c]`, the sum of `dy / (wy wx)` over the windows that contain `x[n, h, w, c]`.

    Without `count_include_pad`, the divisor is the same as in `average_forward`.
    """
    windows, share = residuals[0].value, residuals[1]
    dy = dy if share is None else dy / share
    if windows.are_disjoint:
        dx = pooling_disjoint_windows.average_backward(dy, window=windows.size)
    else:
        fitted = [n + low + high for n, (low, high) in zip(windows.image, windows.edges, strict=True)]
        dx = pooling_overlapping_windows.average_backward(
            dy, window=windows.size, strides=windows.strides, image=fitted
        )
    return (), _unfit(dx, windows)


def max_pool(
    x,
    window: Sizes = (2, 2),
    *,
    strides: Sizes | None = None,
    padding: Padding = "VALID",
    dilation: Sizes | None = None,
):
    """Computes `y[n, i, j, c] = max_{a, b} x[n, i sy + a dy, j sx + b dx, c]` over windows that may overlap.

    The gradient goes to the first of equal maxima in row-major order. This is the rule of PyTorch and XLA, while
    `jnp.max` would share the gradient. Where windows overlap, their gradients are added.

    Args:
      x: (batch, height, width, channels); (batch, time, channels) for a window of one size, and (batch, depth, height,
        width, channels) for one of three. Integers have a maximum too, but no gradient.
      window: (height, width) of the window, wy and wx.
      strides: sy and sx; by default those of the window.
      padding: "VALID" (no padding: a far edge that fills no window is left out), "SAME", or two pairs: how many rows
        and how many columns to add before and after, fewer than the window has. The padding is minus infinity.
      dilation: dy and dx, the number of inputs from one input of a window to the next; by default 1.

    Raises:
      ValueError: x has another number of axes, the window is larger than the padded image, the padding is as large as
        the window, or a dilated window sees nothing but padding.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    >>> max_pool(jnp.arange(25.0).reshape(1, 5, 5, 1), (3, 3), strides=(2, 2))[0, :, :, 0].tolist()
    [[12.0, 14.0], [22.0, 24.0]]
    >>> max_pool(jnp.array([3, 1, 2, 5]).reshape(1, 4, 1), (2,), strides=(1,), dilation=(2,))[0, :, 0].tolist()
    [3, 5]
    """
    pool = MaxPool(window, strides=strides, padding=padding, dilation=dilation)
    return differentiable(pool.forward, pool.backward)((), x)


def average_pool(
    x,
    window: Sizes = (2, 2),
    *,
    strides: Sizes | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
):
    """Computes `y[n, i, j, c] = mean_{a, b} x[n, i sy + a, j sx + b, c]`.

    The gradient spreads `dy / (wy wx)` over the window. The arguments and errors are those of `max_pool`, but there is
    no dilation, the padding is zeros, and the mean of integers is a float. The zeros count in the mean, as in Flax and
    PyTorch; Keras and TensorFlow do not count them, which is `count_include_pad=False`.

    >>> average_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    >>> average_pool(jnp.ones((1, 3, 3, 1)), padding="SAME")[0, :, :, 0].tolist()
    [[1.0, 0.5], [0.5, 0.25]]
    """
    pool = AveragePool(window, strides=strides, padding=padding, count_include_pad=count_include_pad)
    return differentiable(pool.forward, pool.backward)((), x)


def MaxPool(
    window: Sizes = (2, 2),
    *,
    strides: Sizes | None = None,
    padding: Padding = "VALID",
    dilation: Sizes | None = None,
) -> Layer:
    """Returns a layer that computes `max_pool`."""
    forward = partial(max_forward, window=window, strides=strides, padding=padding, dilation=dilation)
    return Layer(without_parameters, forward, max_backward)


def AveragePool(
    window: Sizes = (2, 2),
    *,
    strides: Sizes | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> Layer:
    """Returns a layer that computes `average_pool`."""
    forward = partial(
        average_forward, window=window, strides=strides, padding=padding, count_include_pad=count_include_pad
    )
    return Layer(without_parameters, forward, average_backward)


def _windows(shape, size, strides, padding, dilation=None) -> Windows:
    size, image = tuple(size), tuple(shape[1:-1])
    strides = size if strides is None else tuple(strides)
    dilation = (1,) * len(size) if dilation is None else tuple(dilation)
    names = SPACE[axes_of(size)]
    if len(size) not in SPACE or not len(size) == len(strides) == len(dilation) or min(*size, *strides, *dilation) < 1:
        raise ValueError(
            f"`window` and `strides` must be pairs (height, width) of at least 1; received {size} and {strides} with "
            f"dilation {dilation}. Sequences take one size, and volumes three."
        )
    if len(shape) != len(size) + 2:
        raise ValueError(
            f"`x` must have shape (batch, {names}, channels); received {tuple(shape)}. Did you forget an axis?"
        )
    pads = explicit_padding(image, size, strides=strides, padding=padding, dilation=dilation)
    seen = extents(size, dilation)
    if len(pads) != len(size) or any(not 0 <= pad < k for pair, k in zip(pads, seen, strict=True) for pad in pair):
        raise ValueError(
            f"`padding` must be a pair for each of ({names}), of numbers from 0 to less than the window's {seen}; "
            f"received {pads}. A window that sees nothing but padding has no maximum and no mean."
        )
    if any(n + sum(pair) < k for n, pair, k in zip(image, pads, seen, strict=True)):
        raise ValueError(
            f"`x` must have shape (batch, {names}, channels) no smaller than the window {seen}; received "
            f"{tuple(shape)}. Take a smaller window or pad."
        )
    edges = fitting_edges(image, size, strides=strides, padding=pads, dilation=dilation)
    windows = Windows(size, strides, dilation, image, edges)
    if max(dilation) > 1 and not all((share > 0).all() for share in _shares(windows)):
        raise ValueError(
            f"`dilation` must let every window see the image; received {dilation} with padding {pads} for {image}. "
            "A window that sees nothing but padding has no maximum."
        )
    return windows


def _fit(x, windows, value):
    """Pads `x`, and cuts off the rows and columns at the far edges that no window reaches."""
    config = [(0, 0, 0), *((low, high, 0) for low, high in windows.edges), (0, 0, 0)]
    return lax.pad(x, jnp.array(value, x.dtype), config)


def _unfit(dx, windows):
    """Applies the transpose of `_fit`: drops the gradient of the padding, and puts zeros where no window reaches."""
    config = [(0, 0, 0), *((-low, -high, 0) for low, high in windows.edges), (0, 0, 0)]
    return lax.pad(dx, jnp.zeros((), dx.dtype), config)


def _least(dtype):
    """Returns what no number of the dtype is less than."""
    if jnp.issubdtype(dtype, jnp.bool_):
        return False
    return jnp.iinfo(dtype).min if jnp.issubdtype(dtype, jnp.integer) else -jnp.inf


def _share_inside(windows):
    """Returns the share of every window that is image and not padding: (1, rows, columns, 1)."""
    return reduce(np.multiply.outer, _shares(windows))[None, ..., None]


def _shares(windows):
    """Returns, for each axis of space, the share of every window's inputs that is image and not padding."""
    for n, k, s, d, (low, high) in zip(
        windows.image, windows.size, windows.strides, windows.dilation, windows.edges, strict=True
    ):
        first = np.arange(-low, n + high - (k - 1) * d, s)
        taps = first[:, None] + d * np.arange(k)
        yield ((taps >= 0) & (taps < n)).mean(axis=1)
