"""A locally connected layer is a convolution without shared weights: every position learns its own features."""

import jax.numpy as jnp

from jaxnn.layers.convolution_lowering_tiled import Tiling, gather_taps, scatter_taps
from jaxnn.layers.hand_written import batch_minor, differentiable
from jaxnn.layers.window_geometry import (
    add_edges,
    check_padding,
    check_sizes,
    fitting_edges,
    positions,
    remove_edges,
)


def forward(kernel, x, *, window, strides, padding):
    """Computes `Y_ij = P_ij K_ij`, one matrix product a position, where P_ij are the inputs in the window at (i, j)."""
    fitted = add_edges(x, fitting_edges(x.shape[1:3], window, strides=strides, padding=padding))
    taps = _windows_of(fitted, _tiling(kernel, window, strides))
    return jnp.einsum("ijpo,ijpn->nijo", kernel, taps), (kernel, x[:0], taps)


def backward(residuals, dy, *, window, strides, padding):
    """Computes `dK_ij = P_ij^T dY_ij` and `dP_ij = dY_ij K_ij^T`.

    The entries of dP_ij are added to the inputs that they came from.
    """
    kernel, no_x, taps = residuals
    dkernel = jnp.einsum("ijpn,nijo->ijpo", taps, dy)
    dtaps = jnp.einsum("ijpo,nijo->ijpn", kernel, dy)
    dx = _sum_of_windows(dtaps, _tiling(kernel, window, strides), no_x.shape[3])
    return dkernel, remove_edges(dx, fitting_edges(no_x.shape[1:3], window, strides=strides, padding=padding))


_connect_locally = differentiable(forward, backward)


def connect_locally(x, kernel, *, window, strides=(1, 1), padding="VALID"):
    """Computes a convolution whose kernel differs at each position, with the kernel layout of Flax's `nn.ConvLocal`.

    `y[n, i, j] = sum_{c, a, b} x[n, i sy + a - py, j sx + b - px, c] kernel[i, j, (c, a, b)]`, where x is zero outside
    the image. The gradient of every position is that of a dense layer: `dK = P^T dY`, `dP = dY K^T`.

    Args:
      x: (batch, height, width, in).
      kernel: (out height, out width, in * window height * window width, out), with the inputs in this order.
      window: height and width of the window that a position reads.
      strides: the number of inputs from one window to the next.
      padding: "SAME", "SAME_LOWER", "VALID", or two pairs (zeros before, zeros after).

    Raises:
      ValueError: the shapes do not fit, a size is less than 1, or the padding is unknown.

    >>> connect_locally(jnp.ones((5, 8, 8, 3)), jnp.ones((3, 3, 3 * 4 * 4, 6)), window=(4, 4), strides=(2, 2)).shape
    (5, 3, 3, 6)

    Reference: LeCun 1989, Generalization and Network Design Strategies; Taigman et al. 2014 (DeepFace).
    """
    check_sizes(window=window, strides=strides)
    check_padding(padding)
    expected = kernel_shape(x.shape, kernel.shape[-1], window=window, strides=strides, padding=padding)
    if kernel.shape != expected:
        raise ValueError(
            f"`kernel` must have shape (out height, out width, in * window height * window width, out), {expected} "
            f"for images {x.shape}; received {kernel.shape}. Do the window {tuple(window)} and the padding {padding!r} "
            "belong to it?"
        )
    return _connect_locally(kernel, x, window=tuple(window), strides=tuple(strides), padding=padding)


def kernel_shape(x_shape, features: int, *, window, strides, padding):
    """Returns the shape of the kernel of `connect_locally` for images (batch, height, width, in)."""
    if len(x_shape) != 4:
        raise ValueError(f"`x` must have shape (batch, height, width, in); received {x_shape}. Is an axis missing?")
    out_size = positions(x_shape[1:3], window, strides=strides, padding=padding)
    if min(out_size) < 1:
        raise ValueError(
            f"`window` must fit into the image; received {tuple(window)} for {x_shape[1:3]} with padding {padding!r}"
        )
    return (*out_size, x_shape[3] * window[0] * window[1], features)


def _tiling(kernel, window, strides):
    return Tiling(tile=(1, 1), tiles=kernel.shape[:2], taps=window, step=strides)


def _windows_of(x, tiling):
    """Gathers the windows: (batch, height, width, in) -> (rows, columns, in kh kw, batch)."""
    batch, _, _, features = x.shape
    taps = gather_taps(batch_minor(x).transpose(3, 1, 2, 0), tiling)
    taps = taps.reshape(*tiling.taps, features, *tiling.tiles, batch).transpose(3, 4, 2, 0, 1, 5)
    return taps.reshape(*tiling.tiles, -1, batch)


def _sum_of_windows(taps, tiling, features):
    """Applies the transpose of `_windows_of`."""
    (ny, nx, _, batch), (kh, kw), (sy, sx) = taps.shape, tiling.taps, tiling.step
    taps = taps.reshape(ny, nx, features, kh, kw, batch).transpose(3, 4, 2, 0, 1, 5)
    x = scatter_taps(taps.reshape(kh * kw * features, -1), tiling, batch=batch)
    return batch_minor(x[:, : (ny - 1) * sy + kh, : (nx - 1) * sx + kw].transpose(3, 1, 2, 0))
