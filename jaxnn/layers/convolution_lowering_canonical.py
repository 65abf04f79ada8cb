"""This lowering writes both gradients as convolutions in the one layout that XLA runs fast on CPU.

Automatic differentiation leaves the two gradient convolutions in layouts that XLA's CPU backend rewrites at top level
but not inside a loop body, where they are ten to forty times slower (jax#12868). Written out in NHWC / HWIO with
explicit transposes, the gradients are fast in both places. With strides s and the taps of the kernel d apart,

    y       = conv(x, dilate(kernel, d), stride s),
    dx      = conv(dilate(dy, s), dilate(flip(kernel)^T, d)),
    dkernel = conv(x^T, dilate(dy, s)^T, stride d)^T.

Stride and dilation change places between `y` and `dkernel`, and the stride dilates dy in both gradients. The edges (the
rows and columns to add to the image, or to cut off where negative) are passed to the convolutions as their padding. If
the image were padded beforehand, `dkernel` would be a convolution without padding, which is three to ten times slower
(see `_never_unpadded`).

The formulas are the same for any number of axes of space, so that volumes are convolved here too.
"""

import jax.numpy as jnp
from jax import lax

from jaxnn.layers.window_geometry import NO_EDGES

LAYOUTS = {2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}

_convolve = lambda x, kernel, strides, padding, **dilation: lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=LAYOUTS[len(strides)], **dilation
)


def forward(kernel, x, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes `y[n, i, j] = sum_{a, b} x[n, i sy + a dy, j sx + b dx] kernel[a, b]`.

    With its edges added, `x` has exactly the size that the windows cover.
    """
    return _convolve(x, kernel, strides, edges, rhs_dilation=dilation), (kernel, x)


def backward(residuals, dy, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes the gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    sizes = {"strides": strides, "dilation": dilation, "edges": edges}
    return kernel_gradient(residuals, dy, **sizes), input_gradient(residuals[0], dy, **sizes)


def kernel_gradient(residuals, dy, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes `dkernel[a, b] = sum_{n, i, j} x[n, i sy + a dy, j sx + b dx]^T dy[n, i, j]`.

    This is a convolution that sums over the batch as over channels.
    """
    kernel, x = residuals
    x, dy = x.swapaxes(0, -1), jnp.moveaxis(dy, 0, -2)
    dkernel = _convolve(x, dy, dilation, _never_unpadded(edges, dilation), rhs_dilation=strides)
    return jnp.moveaxis(dkernel[..., : kernel.shape[-3], :], 0, -2)


def input_gradient(kernel, dy, *, strides, dilation=(1, 1), edges=NO_EDGES):
    """Computes `dx[n, p, q] = sum dy[n, i, j] kernel[a, b]^T`.

    The sum is over all i, j, a, b with `p = i sy + a dy` and `q = j sx + b dx`.
    """
    reach = [(k - 1) * d for k, d in zip(kernel.shape[:-2], dilation, strict=True)]
    padding = [(full - low, full - high) for full, (low, high) in zip(reach, edges, strict=True)]
    kernel = lax.rev(kernel, range(len(strides))).swapaxes(-1, -2)
    return _convolve(dy, kernel, (1,) * len(strides), padding, lhs_dilation=strides, rhs_dilation=dilation)


def _never_unpadded(edges, dilation):
    """Returns the edges; if all are zero, it adds a column that is not needed, because XLA is slow without padding."""
    return edges if any(map(any, edges)) else (*edges[:-1], (0, dilation[-1]))
