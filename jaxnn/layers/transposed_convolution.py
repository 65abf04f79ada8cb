"""In a transposed convolution every input spreads a kernel over the outputs, so that strides enlarge the image.

A transposed (fractionally strided) convolution is the input gradient of an ordinary convolution. Its own input gradient
is therefore that ordinary convolution. With the mirrored kernel `K[a, b] = kernel[-1-a, -1-b]^T`,

    y = input_gradient_of_conv(K, x),    dx = conv(K, dy),    dK = kernel_gradient_of_conv(dy, x).

Each of these uses the hand-written lowering that is chosen for the shapes of the ordinary convolution.
"""

import jax

from jaxnn.layers.convolution import hand_written
from jaxnn.layers.hand_written import differentiable
from jaxnn.layers.window_geometry import add_edges, check_padding, check_sizes, remove_edges

PADDINGS = ("SAME", "VALID")


def forward(kernel, x, *, strides, padding):
    """Computes `full[n, i sy + a, j sx + b] += x[n, i, j] kernel[-1-a, -1-b]`.

    The output `y` is `full` with rows and columns cut off or added at its edges.
    """
    full = _lowering(kernel, x, strides).input_gradient(_mirror(kernel), x, strides=strides)
    return add_edges(full, _edges(kernel.shape[:2], strides, padding)), (kernel, x)


def backward(residuals, dy, *, strides, padding):
    """Computes the gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    kernel, x = residuals
    dfull = remove_edges(dy, _edges(kernel.shape[:2], strides, padding))
    lowering = _lowering(kernel, x, strides)
    dx, residuals = lowering.forward(_mirror(kernel), dfull, strides=strides)
    return _mirror(lowering.kernel_gradient(residuals, x, strides=strides)), dx


_convolve_transposed = differentiable(forward, backward)


def convolve_transposed(x, kernel, *, strides=(1, 1), padding="SAME"):
    """Computes the transposed convolution as `lax.conv_transpose` and Flax's `nn.ConvTranspose` define it.

    `y[n, i sy + a - cy, j sx + b - cx] = sum x[n, i, j] kernel[kh-1-a, kw-1-b]`, where cy rows and cx columns are cut
    off. If K is the mirrored kernel, `dx = conv(dy, K, strides)`, an ordinary convolution, and `dK` is the kernel
    gradient of that convolution.

    Args:
      x: (batch, height, width, in).
      kernel: (height, width, in, out).
      strides: the number of outputs from the window of one input to that of the next.
      padding: "SAME" gives strides times as many outputs as inputs. "VALID" gives all outputs that any input reaches.
        Two pairs give the zeros around the input, which has strides - 1 zeros between neighbours. PyTorch's
        `padding=p, output_padding=o` with a window k is `(k - 1 - p, k - 1 - p + o)`: o adds rows at the far edge.
        PyTorch's kernel is the mirrored one.

    Raises:
      ValueError: the shapes do not fit, the strides are less than 1, or the padding is unknown.

    >>> import jax.numpy as jnp
    >>> convolve_transposed(jnp.array([[[[1.0], [2.0]]]]), jnp.ones((1, 2, 1, 1)), strides=(1, 2))[0, 0, :, 0].tolist()
    [1.0, 1.0, 2.0, 2.0]

    Reference: Zeiler et al. 2010, Deconvolutional Networks; Dumoulin and Visin 2016, arXiv 1603.07285.
    """
    check_sizes(strides=strides)
    check_padding(padding, names=PADDINGS)
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        raise ValueError(
            f"`x` must have shape (batch, height, width, in) and `kernel` (height, width, in, out); received {x.shape} "
            f"and {kernel.shape}. Is the kernel mirrored, (height, width, out, in)?"
        )
    return _convolve_transposed(kernel, x, strides=tuple(strides), padding=padding)


def _mirror(kernel):
    """Rotates (kh, kw, in, out) by half a turn and returns (kh, kw, out, in); the function is its own inverse."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _lowering(kernel, x, strides):
    """Returns the lowering of the ordinary convolution from the full output back to `x`."""
    size = [(n - 1) * s + k for n, s, k in zip(x.shape[1:3], strides, kernel.shape[:2], strict=True)]
    full = jax.ShapeDtypeStruct((x.shape[0], *size, kernel.shape[3]), x.dtype)
    kh, kw, features_in, features_out = kernel.shape
    return hand_written(full, (kh, kw, features_out, features_in), strides=strides, padding="VALID")


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
