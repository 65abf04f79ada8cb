"""Padding continues an image beyond its edges: by zeros, by its mirror image, by its edge or by the image again.

Along an axis, every added row is a copy of a row of the image. The gradient of a row is therefore its own gradient and
that of its copies.
"""

import jax.numpy as jnp
import numpy as np

from jaxnn.layers.hand_written import Layer, Static, differentiable, without_parameters
from jaxnn.layers.window_geometry import add_edges, remove_edges
from jaxnn.naming import unknown

MODES = ("zeros", "reflect", "edge", "wrap", "symmetric")


def forward(_, x, *, widths, mode):
    """Computes `y[n, i] = x[n, source(i)]` along every axis of space, or 0 outside of the image."""
    if mode == "zeros":
        return add_edges(x, widths), Static((widths, mode))
    for axis, pair in enumerate(widths, start=1):
        before, after = (x.take(rows, axis=axis) for rows in _sources(x.shape[axis], pair, mode))
        x = jnp.concatenate([before, x, after], axis)
    return x, Static((widths, mode))


def backward(residuals, dy):
    """Computes `dx[n, j]`, the sum of `dy[n, i]` over all i with `source(i) = j`, from the last axis to the first."""
    widths, mode = residuals.value
    if mode == "zeros":
        return (), remove_edges(dy, widths)
    for axis, (low, high) in [*enumerate(widths, start=1)][::-1]:
        size = dy.shape[axis] - low - high
        before, dx, after = jnp.split(dy, (low, low + size), axis)
        for rows, copies in zip(_sources(size, (low, high), mode), (before, after), strict=True):
            dx = dx.at[(slice(None),) * axis + (rows,)].add(copies)
        dy = dx
    return (), dy


def pad(x, widths, *, mode: str = "zeros"):
    """Adds `widths` rows before and after every axis of space; `mode` says what they are.

    The modes are "zeros" and those of `np.pad`: "reflect" (the mirror image, without the edge itself), "symmetric" (the
    mirror image with the edge), "edge" (the edge repeated, PyTorch's "replicate") and "wrap" (the image again,
    "circular"). The gradient of a row is the sum of its own and those of its copies.

    Args:
      x: (batch, ..., channels), such as (batch, height, width, channels).
      widths: a pair (before, after) for each axis between batch and channels.
      mode: one of the above.

    Raises:
      ValueError: the mode is unknown, the widths are not such pairs, or a side of the image is empty.

    >>> pad(jnp.array([[[1], [2], [3]]]), [(2, 1)], mode="reflect")[0, :, 0].tolist()
    [3, 2, 1, 2, 3, 2]
    """
    layer = Pad(widths, mode=mode)
    return differentiable(layer.forward, layer.backward)((), x)


def Pad(widths, *, mode: str = "zeros") -> Layer:
    """Returns a layer that computes `pad`."""
    check_mode(mode)
    return Layer(without_parameters, lambda _, x: forward((), x, **_checked(x.shape, widths, mode)), backward)


def check_mode(mode):
    """Raises a ValueError for a mode that does not exist."""
    if mode not in MODES:
        raise unknown("padding mode", mode, MODES)


def _checked(shape, widths, mode):
    check_mode(mode)
    widths = tuple(tuple(pair) for pair in widths)
    if len(widths) != len(shape) - 2 or any(len(pair) != 2 or min(pair) < 0 for pair in widths):
        raise ValueError(
            f"`widths` must be a pair (before, after) of at least 0 for each axis between batch and channels; received "
            f"{widths} for {tuple(shape)}. Are the channels last?"
        )
    if mode != "zeros" and min(shape[1:-1]) < 1:
        raise ValueError(f"`x` must have something to copy; received {tuple(shape)}. Take zeros?")
    return {"widths": widths, "mode": mode}


def _sources(size, pair, mode):
    """Returns the rows that are copied before the image, and those that are copied after it."""
    rows = np.pad(np.arange(size, dtype=np.int32), pair, mode)
    return rows[: pair[0]], rows[pair[0] + size :]
