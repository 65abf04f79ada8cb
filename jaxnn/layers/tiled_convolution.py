"""Convolution as one matrix product over tiles of outputs: the fast lowering on CPU.

A tile of `ty x tx` neighbouring outputs sees `(kh + (ty-1) sy) x (kw + (tx-1) sx)` inputs, its *taps*. Writing the
kernel once for each output of the tile, shifted and padded with zeros, gives a dense matrix `K` of shape
(ty tx out, taps in); gathering the taps of every tile gives `P` of shape (taps in, tiles batch). Then

    Y = K P,        dK = dY P^T,        dP = K^T dY,

three large matrix products, which CPUs do near their peak. A larger tile multiplies more zeros but copies every input
fewer times (a tap is shared by the tile), so `choose_tile` counts both. Everything is kept with the batch as the
fastest-varying axis: every copy is then a long contiguous run, which is where the speed comes from.
"""

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.layers.memory_layout import batch_minor

SECONDS_PER_MULTIPLY_ADD = 2e-11  # of the forward product, its share of the backward ones included
SECONDS_PER_BYTE = 1e-10  # of the taps, gathered and scattered; two AVX-512 cores, only the ratio matters


class Tiling(NamedTuple):
    """How outputs are grouped: each field is a (height, width) pair of counts."""

    tile: tuple[int, int]
    """outputs in a tile"""
    tiles: tuple[int, int]
    taps: tuple[int, int]
    """inputs that a tile sees"""
    step: tuple[int, int]
    """inputs from a tile to the next"""


def choose_tile(kernel_shape, strides, out_size):
    """The tile (ty, tx) of least predicted time, of sides 1, 2 or 4 that divide the output's (height, width).

    For an output pixel, a tile costs `taps in out` multiply-adds (the zeros included) and the copy of
    `taps in / (ty tx)` inputs.

    >>> choose_tile((5, 5, 1, 6), (1, 1), (28, 28))  # few channels: copying dominates
    (2, 2)
    >>> choose_tile((3, 3, 256, 256), (1, 1), (14, 14))  # many channels: arithmetic dominates
    (1, 1)
    """
    kh, kw, features_in, features_out = kernel_shape

    def seconds(tile):
        taps = (kh + (tile[0] - 1) * strides[0]) * (kw + (tile[1] - 1) * strides[1]) * features_in
        return taps * (features_out * SECONDS_PER_MULTIPLY_ADD + 4 / (tile[0] * tile[1]) * SECONDS_PER_BYTE)

    return min(itertools.product(*([t for t in (1, 2, 4) if size % t == 0] for size in out_size)), key=seconds)


def choose_tiling(kernel_shape, strides, out_size) -> Tiling:
    """The whole geometry that follows from `choose_tile`."""
    tile = choose_tile(kernel_shape, strides, out_size)
    return Tiling(
        tile=tile,
        tiles=(out_size[0] // tile[0], out_size[1] // tile[1]),
        taps=(kernel_shape[0] + (tile[0] - 1) * strides[0], kernel_shape[1] + (tile[1] - 1) * strides[1]),
        step=(tile[0] * strides[0], tile[1] * strides[1]),
    )


def forward(kernel, x, *, strides):
    """`y[n, i, j] = sum_{a, b} x[n, i sy + a, j sx + b] kernel[a, b]`; `x` has no row or column too many."""
    out_size = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:3], kernel.shape, strides, strict=False)]
    tiling = choose_tiling(kernel.shape, strides, out_size)
    taps = gather_taps(batch_minor(x).transpose(3, 1, 2, 0), tiling)
    y = spread_kernel(kernel, strides=strides, tile=tiling.tile) @ taps
    return _from_tiles(y, tiling, batch=x.shape[0]), (kernel, taps)


def backward(residuals, dy, *, strides):
    """Gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    kernel, taps = residuals
    tiling = choose_tiling(kernel.shape, strides, dy.shape[1:3])
    spread, spread_transpose = jax.vjp(partial(spread_kernel, strides=strides, tile=tiling.tile), kernel)
    batch, dy = dy.shape[0], _to_tiles(dy, tiling)
    (dkernel,) = spread_transpose(dy @ taps.T)
    dx = scatter_taps(spread.T @ dy, tiling, batch=batch)
    height, width = (step * (n - 1) + t for step, n, t in zip(tiling.step, tiling.tiles, tiling.taps, strict=True))
    return dkernel, batch_minor(dx[:, :height, :width].transpose(3, 1, 2, 0))


def spread_kernel(kernel, *, strides, tile):
    """The kernel once for each output of a tile: (ty tx out, taps in)."""
    (sy, sx), (ty, tx) = strides, tile
    shifted = [
        jnp.pad(kernel, ((i * sy, (ty - 1 - i) * sy), (j * sx, (tx - 1 - j) * sx), (0, 0), (0, 0)))
        for i, j in itertools.product(range(ty), range(tx))
    ]
    return jnp.stack(shifted).transpose(0, 4, 1, 2, 3).reshape(ty * tx * kernel.shape[3], -1)


def gather_taps(x, tiling: Tiling):
    """`x` (in, height, width, batch) -> (taps in, tiles batch); along the width first: fewer, longer copies."""
    (kh, kw), (ny, nx), (step_y, step_x) = tiling.taps, tiling.tiles, tiling.step
    columns = jnp.stack([x[:, :, j : j + step_x * (nx - 1) + 1 : step_x] for j in range(kw)])
    taps = jnp.stack([columns[:, :, i : i + step_y * (ny - 1) + 1 : step_y] for i in range(kh)])
    return taps.reshape(kh * kw * x.shape[0], -1)


def scatter_taps(taps, tiling: Tiling, *, batch: int):
    """The transpose of `gather_taps`: every tap is added to the input it came from, up to zeros at the far edges."""
    (kh, kw), (ny, nx), (step_y, step_x) = tiling.taps, tiling.tiles, tiling.step
    taps = taps.reshape(kh, kw, -1, ny, nx, batch)
    rows, columns = ny + (kh - 1) // step_y, nx + (kw - 1) // step_x
    wide = jnp.zeros((kh, taps.shape[2], ny, columns, step_x, batch), taps.dtype)
    for j in range(kw):
        b, q = divmod(j, step_x)
        wide = wide.at[:, :, :, b : b + nx, q].add(taps[:, j])
    x = jnp.zeros((taps.shape[2], rows, step_y, columns, step_x, batch), taps.dtype)
    for i in range(kh):
        a, p = divmod(i, step_y)
        x = x.at[:, a : a + ny, p].add(wide[i])
    return x.reshape(-1, rows * step_y, columns * step_x, batch)


def _from_tiles(y, tiling, *, batch):
    """(ty tx out, tiles batch) -> (batch, height, width, out)."""
    (ny, nx), (ty, tx) = tiling.tiles, tiling.tile
    y = y.reshape(ty, tx, -1, ny, nx, batch).transpose(5, 3, 0, 4, 1, 2)
    return y.reshape(batch, ny * ty, nx * tx, -1)


def _to_tiles(y, tiling):
    """(batch, height, width, out) -> (ty tx out, tiles batch)."""
    (ny, nx), (ty, tx) = tiling.tiles, tiling.tile
    y = y.reshape(-1, ny, ty, nx, tx, y.shape[3]).transpose(2, 4, 5, 1, 3, 0)
    return y.reshape(ty * tx * y.shape[2], -1)
