"""Windows slide over images; these functions compute where windows are and which edges to add or to cut off."""

from numbers import Integral

import jax.numpy as jnp
from jax import lax

from jaxnn.naming import unknown

NO_EDGES = ((0, 0), (0, 0))
NAMED_PADDINGS = ("SAME", "SAME_LOWER", "VALID")
SPACE = {1: "time", 2: "height, width", 3: "depth, height, width"}
"""Names the axes between batch and channels, by their number."""


def extents(window, dilation=None) -> tuple[int, ...]:
    """Returns the number of rows and columns from the first tap of a window to its last; taps are `dilation` apart.

    >>> extents((3, 3), (2, 1))
    (5, 3)
    """
    return tuple((k - 1) * d + 1 for k, d in zip(window, dilation or [1] * len(window), strict=True))


def explicit_padding(x_size, window, *, strides, padding, dilation=None):
    """Returns the padding as two pairs (before, after); the argument may be such pairs or a name.

    >>> explicit_padding((8, 8), (3, 2), strides=(1, 2), padding="SAME")
    ((1, 1), (0, 0))
    """
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x_size, extents(window, dilation), strides, padding)
    return tuple((int(low), int(high)) for low, high in padding)


def positions(x_size, window, *, strides, padding, dilation=None) -> tuple[int, ...]:
    """Returns how many windows fit into a column and into a row of the padded image.

    >>> positions((9, 8), (3, 2), strides=(2, 1), padding="VALID")
    (4, 7)
    """
    padding = explicit_padding(x_size, window, strides=strides, padding=padding, dilation=dilation)
    sizes = zip(x_size, extents(window, dilation), strides, padding, strict=True)
    return tuple((n + sum(pads) - k) // s + 1 for n, k, s, pads in sizes)


def fitting_edges(x_size, window, *, strides, padding, dilation=None):
    """Returns the rows and columns to add before and after, so that the last window ends where the image ends.

    A negative number cuts them off. These edges are the padding without the rows and columns that no window reaches.

    >>> fitting_edges((8, 8), (3, 3), strides=(2, 1), padding="VALID")
    ((0, -1), (0, 0))
    """
    lows = [low for low, _ in explicit_padding(x_size, window, strides=strides, padding=padding, dilation=dilation)]
    counts = positions(x_size, window, strides=strides, padding=padding, dilation=dilation)
    ends = [(m - 1) * s + k for m, s, k in zip(counts, strides, extents(window, dilation), strict=True)]
    return tuple((low, end - n - low) for n, low, end in zip(x_size, lows, ends, strict=True))


def add_edges(x, edges):
    """Adds rows and columns of zeros before and after `x` (batch, height, width, channels).

    Where the number is negative, it cuts rows or columns off.
    """
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((low, high, 0) for low, high in edges), (0, 0, 0)])


def remove_edges(x, edges):
    """Applies the transpose of `add_edges`: it cuts off the added edges, and puts zeros where edges were cut off."""
    return add_edges(x, [(-low, -high) for low, high in edges])


def check_sizes(*, axes: int = 2, **sizes):
    """Raises a ValueError for an argument that is not a whole number of at least 1 for each axis of space.

    >>> check_sizes(strides=(2, 0))
    Traceback (most recent call last):
    ValueError: `strides` must be two whole numbers of at least 1, for height, width; received (2, 0)
    """
    count = {1: "one whole number", 2: "two whole numbers", 3: "three whole numbers"}[axes]
    for name, size in sizes.items():
        if not _has(axes, size) or not all(isinstance(n, Integral) and n >= 1 for n in size):
            meant = f". Did you mean {(size,) * axes}?" if isinstance(size, int) and size >= 1 else ""
            raise ValueError(f"`{name}` must be {count} of at least 1, for {SPACE[axes]}; received {size!r}{meant}")


def check_padding(padding, *, names=NAMED_PADDINGS, axes: int = 2):
    """Raises a ValueError if the padding is neither one of the names nor a pair for each axis of space."""
    if isinstance(padding, str):
        if padding not in names:
            raise unknown("padding", padding, names)
    elif not _has(axes, padding) or not all(_has(2, pair) for pair in padding):
        pairs = ", ".join(["(before, after)"] * axes)
        raise ValueError(
            f"`padding` must be one of {', '.join(names)} or ({pairs}) for {SPACE[axes]}; received {padding!r}"
        )


def axes_of(window) -> int:
    """Returns the number of axes of space that a window is for: 1, 2 or 3; 2 for what is no window.

    >>> axes_of((5,)), axes_of((3, 3, 3)), axes_of(3)
    (1, 3, 2)
    """
    return len(window) if isinstance(window, tuple | list) and len(window) in SPACE else 2


def _has(count, value):
    return isinstance(value, tuple | list) and len(value) == count
