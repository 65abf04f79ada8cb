"""Max and average pooling, windows and strides of any size, with hand-written backward passes.

Where the stride is the window and nothing is padded, windows share no input and `disjoint_pooling` is the faster one
between convolutions. Else `overlapping_pooling`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxnn.layers.pooling_disjoint_windows as pooling_disjoint_windows
import jaxnn.layers.pooling_overlapping_windows as pooling_overlapping_windows
from jaxnn.layers.hand_written import Layer, Static, differentiable, without_parameters
from jaxnn.layers.window_geometry import explicit_padding, fitting_edges

Padding = str | Sequence[tuple[int, int]]


class Windows(NamedTuple):
    """How windows lie over images; every field is of (height, width)."""

    size: tuple[int, int]
    strides: tuple[int, int]
    image: tuple[int, int]
    edges: tuple[tuple[int, int], tuple[int, int]]
    """rows or columns to add before and after; negative after: what no stride reaches is cut off"""

    @property
    def are_disjoint(self) -> bool:
        """They touch but do not overlap, and lie within the image."""
        return self.size == self.strides and all(low == 0 >= high for low, high in self.edges)


def max_forward(_, x, *, window, strides=None, padding="VALID"):
    """`y[n, i, j, c] = max_{a, b} x[n, i sy + a, j sx + b, c]`, x padded with minus infinity."""
    windows = _windows(x.shape, window, strides, padding)
    fitted = _fit(x, windows, -jnp.inf)
    if windows.are_disjoint:
        y, residuals = pooling_disjoint_windows.max_forward(fitted, window=windows.size)
    else:
        y, residuals = pooling_overlapping_windows.max_forward(fitted, window=windows.size, strides=windows.strides)
    return y, (residuals, Static(windows))


def max_backward(residuals, dy):
    """`dx[n, h, w, c]` sums `dy` over the windows of which `x[n, h, w, c]` is the first maximum."""
    residuals, windows = residuals[0], residuals[1].value
    if windows.are_disjoint:
        dx = pooling_disjoint_windows.max_backward(residuals, dy, window=windows.size)
    else:
        dx = pooling_overlapping_windows.max_backward(residuals, dy, window=windows.size, strides=windows.strides)
    return (), _unfit(dx, windows)


def average_forward(_, x, *, window, strides=None, padding="VALID", count_include_pad=True):
    """`y[n, i, j, c] = sum_{a, b} x[n, i sy + a, j sx + b, c] / (wy wx)`, x padded with zeros."""
    windows = _windows(x.shape, window, strides, padding)
    fitted = _fit(x, windows, 0.0)
    if windows.are_disjoint:
        return pooling_disjoint_windows.average_forward(fitted, window=windows.size), (Static(windows), None)
    y = pooling_overlapping_windows.average_forward(fitted, window=windows.size, strides=windows.strides)
    share = None if count_include_pad else jnp.asarray(_share_inside(windows), x.dtype)
    return y if share is None else y / share, (Static(windows), share)


def average_backward(residuals, dy):
    """`dx[n, h, w, c]` sums `dy / (wy wx)` over the windows that see `x[n, h, w, c]`."""
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
    x, window: tuple[int, int] = (2, 2), *, strides: tuple[int, int] | None = None, padding: Padding = "VALID"
):
    """`y[n, i, j, c] = max_{a, b} x[n, i sy + a, j sx + b, c]`, in windows that may overlap.

    The gradient goes to the first of equal maxima in row-major order (PyTorch's and XLA's rule; `jnp.max` would share),
    and adds up where windows overlap.

    Args:
      x: (batch, height, width, channels).
      window: (height, width) of the window, wy and wx.
      strides: sy and sx; those of the window unless given.
      padding: "VALID" (none: a far edge that fills no window is left out), "SAME", or pairs of rows and of columns to
        put before and after, fewer than the window's. What is padded is minus infinity.

    Raises:
      ValueError: another number of axes, a window larger than the padded image, a padding as large as the window.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    >>> max_pool(jnp.arange(25.0).reshape(1, 5, 5, 1), (3, 3), strides=(2, 2))[0, :, :, 0].tolist()
    [[12.0, 14.0], [22.0, 24.0]]
    """
    pool = MaxPool(window, strides=strides, padding=padding)
    return differentiable(pool.forward, pool.backward)((), x)


def average_pool(
    x,
    window: tuple[int, int] = (2, 2),
    *,
    strides: tuple[int, int] | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
):
    """`y[n, i, j, c] = mean_{a, b} x[n, i sy + a, j sx + b, c]`; its gradient spreads `dy / (wy wx)` over the window.

    Arguments and errors as `max_pool`, but what is padded is zeros. They count in the mean, as Flax and PyTorch have it
    (Keras and TensorFlow do not count them: `count_include_pad=False`).

    >>> average_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    >>> average_pool(jnp.ones((1, 3, 3, 1)), padding="SAME")[0, :, :, 0].tolist()
    [[1.0, 0.5], [0.5, 0.25]]
    """
    pool = AveragePool(window, strides=strides, padding=padding, count_include_pad=count_include_pad)
    return differentiable(pool.forward, pool.backward)((), x)


def MaxPool(
    window: tuple[int, int] = (2, 2), *, strides: tuple[int, int] | None = None, padding: Padding = "VALID"
) -> Layer:
    """`max_pool` as a layer of a network."""
    forward = partial(max_forward, window=window, strides=strides, padding=padding)
    return Layer(without_parameters, forward, max_backward)


def AveragePool(
    window: tuple[int, int] = (2, 2),
    *,
    strides: tuple[int, int] | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> Layer:
    """`average_pool` as a layer of a network."""
    forward = partial(
        average_forward, window=window, strides=strides, padding=padding, count_include_pad=count_include_pad
    )
    return Layer(without_parameters, forward, average_backward)


def _windows(shape, size, strides, padding) -> Windows:
    if len(shape) != 4:
        raise ValueError(
            f"`x` must have shape (batch, height, width, channels); received {tuple(shape)}. Did you forget an axis?"
        )
    size, image = tuple(size), tuple(shape[1:3])
    strides = size if strides is None else tuple(strides)
    if len(size) != 2 or len(strides) != 2 or min(*size, *strides) < 1:
        raise ValueError(
            f"`window` and `strides` must be pairs (height, width) of at least 1; received {size} and {strides}."
        )
    pads = explicit_padding(image, size, strides=strides, padding=padding)
    if len(pads) != 2 or any(not 0 <= pad < k for pair, k in zip(pads, size, strict=False) for pad in pair):
        raise ValueError(
            f"`padding` must be two pairs of numbers from 0 to less than the window's {size}; received {pads}. "
            "A window that sees nothing but padding has no maximum and no mean."
        )
    if any(n + sum(pair) < k for n, pair, k in zip(image, pads, size, strict=True)):
        raise ValueError(
            f"`x` must have shape (batch, height, width, channels) no smaller than the window {size}; received "
            f"{tuple(shape)}. Take a smaller window or pad."
        )
    return Windows(size, strides, image, fitting_edges(image, size, strides=strides, padding=pads))


def _fit(x, windows, value):
    """`x` padded, without the rows and columns at the far edges that no stride reaches."""
    config = [(0, 0, 0), *((low, high, 0) for low, high in windows.edges), (0, 0, 0)]
    return lax.pad(x, jnp.array(value, x.dtype), config)


def _unfit(dx, windows):
    """The transpose of `_fit`: the padding's gradient dropped, zeros where no window came."""
    config = [(0, 0, 0), *((-low, -high, 0) for low, high in windows.edges), (0, 0, 0)]
    return lax.pad(dx, jnp.zeros((), dx.dtype), config)


def _share_inside(windows):
    """The share of every window that is image and not padding: (1, rows, columns, 1)."""
    shares = []
    for n, k, s, (low, high) in zip(windows.image, windows.size, windows.strides, windows.edges, strict=True):
        first = np.arange(-low, n + high - k + 1, s)
        shares.append((np.minimum(first + k, n) - np.maximum(first, 0)) / k)
    return np.outer(*shares)[None, :, :, None]
