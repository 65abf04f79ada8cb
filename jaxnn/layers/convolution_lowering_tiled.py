"""This lowering, the fast one on CPU, writes a convolution as one matrix product over tiles of outputs.

A tile of `ty x tx` neighbouring outputs reads `(kh + (ty-1) sy) x (kw + (tx-1) sx)` inputs, its *taps*. Writing the
kernel once for each output of the tile, shifted and padded with zeros, gives a dense matrix `K` of shape
(ty tx out, taps in). Gathering the taps of every tile gives `P` of shape (taps in, tiles batch). Then

    Y = K P,        dK = dY P^T,        dP = K^T dY.

These are three large matrix products, which CPUs compute near their peak speed. A larger tile multiplies more zeros but
copies every input fewer times, because the outputs of a tile share its taps; `choose_tile` counts both costs. If the
taps of the kernel are apart (dilation), neighbouring outputs share few of them, and a tile is one output. In all
copies the batch is the fastest-varying axis. Every copy is then a long contiguous run, and this makes them fast.
"""

import itertools
from typing import NamedTuple

import jax.numpy as jnp

from jaxnn.layers.hand_written import batch_minor
from jaxnn.layers.window_geometry import NO_EDGES, add_edges, extents, remove_edges

SECONDS_PER_MULTIPLY_ADD = 2e-11  # of the forward product, including its share of the backward products
SECONDS_PER_BYTE = 1e-10  # of the taps, gathered and scattered; on two AVX-512 cores; only the ratio matters


class Tiling(NamedTuple):
    """Describes how outputs are grouped into tiles; each field is a (height, width) pair of counts."""

    tile: tuple[int, int]
    """Counts the outputs in a tile."""
    tiles: tuple[int, int]
    taps: tuple[int, int]
    """Counts the inputs that a tile reads."""
    step: tuple[int, int]
    """Counts the inputs from one tile to the next."""
    apart: tuple[int, int] = (1, 1)
    """Counts the inputs from one tap to the next."""


def choose_tile(kernel_shape, strides, out_size):
    """Returns the tile (ty, tx) that is predicted to take the least time.

    The sides are 1, 2 or 4 and divide the output's (height, width). For each output pixel, a tile costs `taps in out`
    multiply-adds (including the zeros) and the copy of `taps in / (ty tx)` inputs.

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


def choose_tiling(kernel_shape, strides, out_size, *, dilation=(1, 1)) -> Tiling:
    """Returns the whole geometry that follows from `choose_tile`; with dilation, a tile is one output."""
    tile = choose_tile(kernel_shape, strides, out_size) if max(dilation) == 1 else (1, 1)
    return Tiling(
        tile=tile,
        tiles=(out_size[0] // tile[0], out_size[1] // tile[1]),
        taps=(kernel_shape[0] + (tile[0] - 1) * strides[0], kernel_shape[1] + (tile[1] - 1) * strides[1]),
        step=(tile[0] * strides[0], tile[1] * strides[1]),
        apart=dilation,
    )


def forward(kernel, x, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes `y[n, i, j] = sum_{a, b} x[n, i sy + a dy, j sx + b dx] kernel[a, b]`.

    With its edges added, `x` has exactly the size that the windows cover.
    """
    # The edges come first: afterwards every window lies inside x, and all slices of the taps have one shape.
    x = add_edges(x, edges)
    sizes = zip(x.shape[1:3], extents(kernel.shape[:2], dilation), strides, strict=True)
    tiling = choose_tiling(kernel.shape, strides, [(n - k) // s + 1 for n, k, s in sizes], dilation=dilation)
    # The transpose makes the batch the last axis, so that each copied run is contiguous over the batch.
    taps = gather_taps(batch_minor(x).transpose(3, 1, 2, 0), tiling)
    y = spread_kernel(kernel, strides=strides, tile=tiling.tile) @ taps
    # The residuals hold the taps and not x: the kernel gradient is then one product, without a second gathering.
    return _from_tiles(y, tiling, batch=x.shape[0]), (kernel, taps)


def backward(residuals, dy, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes the gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    sizes = {"strides": strides, "dilation": dilation, "edges": edges}
    return kernel_gradient(residuals, dy, **sizes), input_gradient(residuals[0], dy, **sizes)


def kernel_gradient(residuals, dy, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes `dK = dY P^T` and sums its copies of the kernel; the taps contain the edges already."""
    kernel, taps = residuals
    tiling = choose_tiling(kernel.shape, strides, dy.shape[1:3], dilation=dilation)
    return fold_kernel(_to_tiles(dy, tiling) @ taps.T, kernel.shape, strides=strides, tile=tiling.tile)


def input_gradient(kernel, dy, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes `dP = K^T dY` and adds its entries to the inputs that they came from."""
    tiling = choose_tiling(kernel.shape, strides, dy.shape[1:3], dilation=dilation)
    dtaps = spread_kernel(kernel, strides=strides, tile=tiling.tile).T @ _to_tiles(dy, tiling)
    dx = scatter_taps(dtaps, tiling, batch=dy.shape[0])
    # `scatter_taps` returns whole steps. Its extra rows and columns are cut off first, because `remove_edges` counts
    # from the far edge of the image with its edges.
    seen = extents(tiling.taps, dilation)
    height, width = (step * (n - 1) + t for step, n, t in zip(tiling.step, tiling.tiles, seen, strict=True))
    return remove_edges(batch_minor(dx[:, :height, :width].transpose(3, 1, 2, 0)), edges)


def spread_kernel(kernel, *, strides, tile):
    """Writes the kernel once for each output of a tile: (kh, kw, in, out) -> (ty tx out, taps in)."""
    (sy, sx), (ty, tx) = strides, tile
    # All outputs of a tile read the same taps, so the kernel of output (i, j) is shifted by i and j strides.
    shifted = [
        jnp.pad(kernel, ((i * sy, (ty - 1 - i) * sy), (j * sx, (tx - 1 - j) * sx), (0, 0), (0, 0)))
        for i, j in itertools.product(range(ty), range(tx))
    ]
    return jnp.stack(shifted).transpose(0, 4, 1, 2, 3).reshape(ty * tx * kernel.shape[3], -1)


def fold_kernel(spread, kernel_shape, *, strides, tile):
    """Applies the transpose of `spread_kernel`: (ty tx out, taps in) -> (kh, kw, in, out), the sum of all copies."""
    (kh, kw, features_in, features_out), (sy, sx), (ty, tx) = kernel_shape, strides, tile
    taps = (kh + (ty - 1) * sy, kw + (tx - 1) * sx)
    spread = spread.reshape(ty, tx, features_out, *taps, features_in)
    at = itertools.product(range(ty), range(tx))
    copies = [spread[i, j, :, i * sy : i * sy + kh, j * sx : j * sx + kw] for i, j in at]
    return sum(copies).transpose(1, 2, 3, 0)


def gather_taps(x, tiling: Tiling):
    """Gathers the taps of every tile from `x`: (in, height, width, batch) -> (taps in, tiles batch)."""
    (kh, kw), (ny, nx), (step_y, step_x), (dy, dx) = tiling.taps, tiling.tiles, tiling.step, tiling.apart
    # The width comes first: the copies along the height are then fewer and longer, since each moves all columns.
    columns = jnp.stack([x[:, :, j : j + step_x * (nx - 1) + 1 : step_x] for j in range(0, kw * dx, dx)])
    taps = jnp.stack([columns[:, :, i : i + step_y * (ny - 1) + 1 : step_y] for i in range(0, kh * dy, dy)])
    return taps.reshape(kh * kw * x.shape[0], -1)


def scatter_taps(taps, tiling: Tiling, *, batch: int):
    """Applies the transpose of `gather_taps`: it adds every tap to the input that the tap came from.

    The result may have additional rows and columns of zeros at the far edges.
    """
    (kh, kw), (ny, nx), (step_y, step_x), (dy, dx) = tiling.taps, tiling.tiles, tiling.step, tiling.apart
    taps = taps.reshape(kh, kw, -1, ny, nx, batch)
    rows, columns = ny + (kh - 1) * dy // step_y, nx + (kw - 1) * dx // step_x
    # An offset j dx is b whole steps and q inputs. With an axis for the steps and one for the inputs within a step, a
    # tap of all tiles is added to one slice that needs no stride.
    wide = jnp.zeros((kh, taps.shape[2], ny, columns, step_x, batch), taps.dtype)
    for j in range(kw):
        b, q = divmod(j * dx, step_x)
        wide = wide.at[:, :, :, b : b + nx, q].add(taps[:, j])
    x = jnp.zeros((taps.shape[2], rows, step_y, columns, step_x, batch), taps.dtype)
    for i in range(kh):
        a, p = divmod(i * dy, step_y)
        x = x.at[:, a : a + ny, p].add(wide[i])
    return x.reshape(-1, rows * step_y, columns * step_x, batch)


def _from_tiles(y, tiling, *, batch):
    """Reorders outputs: (ty tx out, tiles batch) -> (batch, height, width, out)."""
    (ny, nx), (ty, tx) = tiling.tiles, tiling.tile
    y = y.reshape(ty, tx, -1, ny, nx, batch).transpose(5, 3, 0, 4, 1, 2)
    return y.reshape(batch, ny * ty, nx * tx, -1)


def _to_tiles(y, tiling):
    """Reorders outputs: (batch, height, width, out) -> (ty tx out, tiles batch)."""
    (ny, nx), (ty, tx) = tiling.tiles, tiling.tile
    y = y.reshape(-1, ny, ty, nx, tx, y.shape[3]).transpose(2, 4, 5, 1, 3, 0)
    return y.reshape(ty * tx * y.shape[2], -1)
