"""Convolution run backwards: every input spreads a kernel over the outputs, which are more than the inputs.

A transposed (fractionally strided) convolution is the input gradient of an ordinary one, so that its own input gradient
is that ordinary convolution. With the mirrored kernel `K[a, b] = kernel[-1-a, -1-b]^T`,

    y = input_gradient_of_conv(K, x),    dx = conv(K, dy),    dK = kernel_gradient_of_conv(dy, x),

each in the lowering that `convolve` would take.
"""

import jax

from jaxnn.layers.convolution import hand_written
from jaxnn.layers.hand_written import differentiable
from jaxnn.layers.window_geometry import add_edges, check_padding, check_sizes, remove_edges

PADDINGS = ("SAME", "VALID")


def forward(kernel, x, *, strides, padding):
    """`full[n, i sy + a, j sx + b] += x[n, i, j] kernel[-1-a, -1-b]`; `y` is `full` with its edges cut or widened."""
    full = _lowering(kernel, x, strides).input_gradient(_mirror(kernel), x, strides=strides)
    return add_edges(full, _edges(kernel.shape[:2], strides, padding)), (kernel, x)


def backward(residuals, dy, *, strides, padding):
    """Gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    kernel, x = residuals
    dfull = remove_edges(dy, _edges(kernel.shape[:2], strides, padding))
    lowering = _lowering(kernel, x, strides)
    dx, residuals = lowering.forward(_mirror(kernel), dfull, strides=strides)
    return _mirror(lowering.kernel_gradient(residuals, x, strides=strides)), dx


_convolve_transposed = differentiable(forward, backward)


def convolve_transposed(x, kernel, *, strides=(1, 1), padding="SAME"):
    """The transposed convolution of `x` with `kernel`, as `lax.conv_transpose` and Flax's `nn.ConvTranspose` define it.

    `y[n, i sy + a - cy, j sx + b - cx] = sum x[n, i, j] kernel[kh-1-a, kw-1-b]`, c being what is cut. With K
    the kernel mirrored, `dx = conv(dy, K, strides)`, an ordinary convolution, and `dK` is that convolution's.

    Args:
      x: (batch, height, width, in).
      kernel: (height, width, in, out).
      strides: outputs from an input's window to the next one's.
      padding: "SAME", strides times as many outputs as inputs; "VALID", all that any input reaches; or two pairs, the
        zeros around the input with its strides - 1 zeros between neighbours. PyTorch's `padding=p, output_padding=o`
        with a window k is `(k - 1 - p, k - 1 - p + o)`: o adds rows at the far edge. Its kernel is the mirrored one.

    Raises:
      ValueError: shapes that do not fit, strides less than 1, unknown padding.

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
    """(kh, kw, in, out) turned by half a turn, as (kh, kw, out, in); its own inverse."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _lowering(kernel, x, strides):
    """That of the ordinary convolution, from the full output back to `x`."""
    size = [(n - 1) * s + k for n, s, k in zip(x.shape[1:3], strides, kernel.shape[:2], strict=True)]
    full = jax.ShapeDtypeStruct((x.shape[0], *size, kernel.shape[3]), x.dtype)
    kh, kw, features_in, features_out = kernel.shape
    return hand_written(full, (kh, kw, features_out, features_in), strides=strides, padding="VALID")


def _edges(window, strides, padding):
    """What to add to the `(n - 1) s + k` rows and columns of the full output, before and after; negative: to cut."""
    if padding == "SAME":  # n s of them
        lows = [-(max(k - s, 0) // 2) for k, s in zip(window, strides, strict=True)]
        return tuple((low, s - k - low) for low, k, s in zip(lows, window, strides, strict=True))
    if padding == "VALID":  # where the stride passes the window, the far edge is empty
        return tuple((0, max(s - k, 0)) for k, s in zip(window, strides, strict=True))
    return tuple((low - k + 1, high - k + 1) for k, (low, high) in zip(window, padding, strict=True))
