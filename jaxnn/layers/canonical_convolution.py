"""Convolution whose gradients are written as convolutions in the one layout that XLA runs fast on CPU.

Automatic differentiation leaves the two gradient convolutions in layouts that XLA's CPU backend rewrites at top level
but not inside a loop body, where they are ten to forty times slower (jax#12868). Written out in NHWC / HWIO with
explicit transposes they are fast in both places. With strides s,

    dx = conv(dilate(dy, s), flip(kernel)^T),      dkernel = conv(x^T, dilate(dy, s)^T)^T.
"""

from jax import lax

_convolve = lambda x, kernel, strides, padding, **dilation: lax.conv_general_dilated(  # noqa: E731
    x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **dilation
)


def forward(kernel, x, *, strides):
    """`y[n, i, j] = sum_{a, b} x[n, i sy + a, j sx + b] kernel[a, b]`; `x` has no row or column too many."""
    return _convolve(x, kernel, strides, "VALID"), (kernel, x)


def backward(residuals, dy, *, strides):
    """Gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    kernel, x = residuals
    full = [(k - 1, k - 1) for k in kernel.shape[:2]]
    dx = _convolve(dy, kernel[::-1, ::-1].swapaxes(2, 3), (1, 1), full, lhs_dilation=strides)
    x_transposed, dy_transposed = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
    dkernel = _convolve(x_transposed, dy_transposed, (1, 1), "VALID", rhs_dilation=strides)
    return dkernel.transpose(1, 2, 0, 3), dx
