"""In a transposed convolution every input spreads a kernel over the outputs, so that strides enlarge the image.

A transposed (fractionally strided) convolution is the input gradient of an ordinary convolution. Its own input gradient
is therefore that ordinary convolution. With the mirrored kernel `K[a, b] = kernel[-1-a, -1-b]^T`,

    y = input_gradient_of_conv(K, x),    dx = conv(K, dy),    dK = kernel_gradient_of_conv(dy, x).

Each of these uses the hand-written lowering that is chosen for the shapes of the ordinary convolution. With groups,
each group is such a transposed convolution of its own.
"""

from functools import partial

import jax
from jax import lax

from jaxnn.layers.convolution import backward_in_groups, forward_in_groups, hand_written
from jaxnn.layers.hand_written import differentiable
from jaxnn.layers.window_geometry import add_edges, check_padding, check_sizes, extents, remove_edges

PADDINGS = ("SAME", "VALID")


def forward(kernel, x, *, strides, padding, dilation=(1, 1), groups=1):
    """Computes `full[n, i sy + a dy, j sx + b dx] += x[n, i, j] kernel[-1-a, -1-b]`.

    The output `y` is `full` with rows and columns cut off or added at its edges.
    """
    of_group = partial(_forward_of_group, strides=strides, padding=padding, dilation=dilation)
    return forward_in_groups(of_group, kernel, x, groups)


def backward(residuals, dy, *, strides, padding, dilation=(1, 1), groups=1):
    """Computes the gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    of_group = partial(_backward_of_group, strides=strides, padding=padding, dilation=dilation)
    return backward_in_groups(of_group, residuals, dy, groups)


def _forward_of_group(kernel, x, *, strides, padding, dilation):
    sizes = {"strides": strides, "dilation": dilation}
    full = _lowering(kernel, x, **sizes).input_gradient(_mirror(kernel), x, **sizes, edges=_no_edges(strides))
    return add_edges(full, _edges(extents(kernel.shape[:-2], dilation), strides, padding)), (kernel, x)


def _backward_of_group(residuals, dy, *, strides, padding, dilation):
    kernel, x = residuals
    sizes = {"strides": strides, "dilation": dilation}
    dfull = remove_edges(dy, _edges(extents(kernel.shape[:-2], dilation), strides, padding))
    lowering = _lowering(kernel, x, **sizes)
    sizes["edges"] = _no_edges(strides)
    dx, residuals = lowering.forward(_mirror(kernel), dfull, **sizes)
    return _mirror(lowering.kernel_gradient(residuals, x, **sizes)), dx


_convolve_transposed = differentiable(forward, backward)


def convolve_transposed(x, kernel, *, strides=(1, 1), padding="SAME", dilation=(1, 1), groups: int = 1):
    """Computes the transposed convolution as `lax.conv_transpose` and Flax's `nn.ConvTranspose` define it.

    `y[n, i sy + a dy - cy, j sx + b dx - cx] = sum x[n, i, j] kernel[kh-1-a, kw-1-b]`, where cy rows and cx columns are
    cut off. If K is the mirrored kernel, `dx = conv(dy, K, strides)`, an ordinary convolution, and `dK` is the kernel
    gradient of that convolution.

    Args:
      x: (batch, height, width, in).
      kernel: (height, width, in / groups, out).
      strides: the number of outputs from the window of one input to that of the next.
      padding: "SAME" gives strides times as many outputs as inputs. "VALID" gives all outputs that any input reaches.
        Two pairs give the zeros around the input, which has strides - 1 zeros between neighbours. PyTorch's
        `padding=p, output_padding=o` with a window k is `(k - 1 - p, k - 1 - p + o)`: o adds rows at the far edge.
        PyTorch's kernel is the mirrored one. With dilation, k is the extent (k - 1) d + 1 of the window.
      dilation: the number of outputs from one tap of the kernel to the next.
      groups: divides the inputs' channels and the outputs'. Group g of the outputs reads only group g of the inputs.

    Raises:
      ValueError: the shapes do not fit, the strides or the dilation are less than 1, or the padding is unknown.

    >>> import jax.numpy as jnp
    >>> convolve_transposed(jnp.array([[[[1.0], [2.0]]]]), jnp.ones((1, 2, 1, 1)), strides=(1, 2))[0, 0, :, 0].tolist()
    [1.0, 1.0, 2.0, 2.0]

    Reference: Zeiler et al. 2010, Deconvolutional Networks; Dumoulin and Visin 2016, arXiv 1603.07285.
    """
    check_sizes(strides=strides, dilation=dilation)
    check_padding(padding, names=PADDINGS)
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2] * groups or kernel.shape[3] % groups:
        raise ValueError(
            f"`x` must have shape (batch, height, width, in) and `kernel` (height, width, in / groups, out); received "
            f"{x.shape} and {kernel.shape} in {groups} group(s). Is the kernel mirrored, (height, width, out, in)?"
        )
    sizes = {"strides": tuple(strides), "padding": padding, "dilation": tuple(dilation), "groups": groups}
    return _convolve_transposed(kernel, x, **sizes)


def _mirror(kernel):
    """Rotates (kh, kw, in, out) by half a turn and returns (kh, kw, out, in); the function is its own inverse."""
    return lax.rev(kernel, range(kernel.ndim - 2)).swapaxes(-2, -1)


def _lowering(kernel, x, *, strides, dilation):
    """Returns the lowering of the ordinary convolution from the full output back to `x`."""
    *window, features_in, features_out = kernel.shape
    sizes = zip(x.shape[1:-1], strides, extents(window, dilation), strict=True)
    full = jax.ShapeDtypeStruct((x.shape[0], *((n - 1) * s + k for n, s, k in sizes), features_out), x.dtype)
    shape = (*window, features_out, features_in)
    return hand_written(full, shape, strides=strides, padding="VALID", dilation=dilation)


def _no_edges(strides):
    return ((0, 0),) * len(strides)


def _edges(window, strides, padding):
    """Returns how many rows and columns to add before and after the `(n - 1) s + k` of the full output.

    A negative number cuts them off.
    """
    if padding == "SAME":  # n s rows or columns remain
        lows = [-(max(k - s, 0) // 2) for k, s in zip(window, strides, strict=True)]
        return tuple((low, s - k - low) for low, k, s in zip(lows, window, strides, strict=True))
    if padding == "VALID":  # if the stride exceeds the window, the far edge is filled with zeros
        return tuple((0, max(s - k, 0)) for k, s in zip(window, strides, strict=True))
    return tuple((low - k + 1, high - k + 1) for k, (low, high) in zip(window, padding, strict=True))
