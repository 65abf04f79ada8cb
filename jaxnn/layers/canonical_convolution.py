"""Convolution whose gradients are written as convolutions in the one layout that XLA runs fast on CPU.

Automatic differentiation leaves the two gradient convolutions in layouts that XLA's CPU backend rewrites at top level
but not inside a loop body, where they are ten to forty times slower (jax#12868). Written out in NHWC / HWIO with
explicit transposes they are fast in both places. With strides s and the taps of the kernel d apart,

    y       = conv(x, dilate(kernel, d), stride s),
    dx      = conv(dilate(dy, s), dilate(flip(kernel)^T, d)),
    dkernel = conv(x^T, dilate(dy, s)^T, stride d)^T:

stride and dilation change places between `y` and `dkernel`, and the stride dilates in both gradients.
"""

from jax import lax

_convolve = lambda x, kernel, strides, padding, **dilation: lax.conv_general_dilated(  # noqa: E731
    x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **dilation
)


def forward(kernel, x, *, strides, dilation=(1, 1)):
    """`y[n, i, j] = sum_{a, b} x[n, i sy + a dy, j sx + b dx] kernel[a, b]`; `x` has no row or column too many."""
    return _convolve(x, kernel, strides, "VALID", rhs_dilation=dilation), (kernel, x)


def backward(residuals, dy, *, strides, dilation=(1, 1)):
    """Gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    dkernel = kernel_gradient(residuals, dy, strides=strides, dilation=dilation)
    return dkernel, input_gradient(residuals[0], dy, strides=strides, dilation=dilation)


def kernel_gradient(residuals, dy, *, strides, dilation=(1, 1)):
    """`dkernel[a, b] = sum_{n, i, j} x[n, i sy + a dy, j sx + b dx]^T dy[n, i, j]`, a convolution over the batch."""
    x, dy = residuals[1].transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
    return _convolve(x, dy, dilation, "VALID", rhs_dilation=strides).transpose(1, 2, 0, 3)


def input_gradient(kernel, dy, *, strides, dilation=(1, 1)):
    """`dx[n, p, q] = sum dy[n, i, j] kernel[a, b]^T` over all with `p = i sy + a dy` and `q = j sx + b dx`."""
    full = [((k - 1) * d,) * 2 for k, d in zip(kernel.shape[:2], dilation, strict=True)]
    kernel = kernel[::-1, ::-1].swapaxes(2, 3)
    return _convolve(dy, kernel, (1, 1), full, lhs_dilation=strides, rhs_dilation=dilation)
