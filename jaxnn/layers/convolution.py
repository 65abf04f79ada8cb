"""This 2-D convolution chooses its lowering and can replace `lax.conv_general_dilated` in Flax's `nn.Conv`.

    nn.Conv(features, (5, 5), conv_general_dilated=jaxnn.layers.convolve)

| lowering    | what it is                                           | chosen                                        |
| ----------- | ---------------------------------------------------- | --------------------------------------------- |
| `tiled`     | one matrix product over tiles, hand-written gradient | CPU; groups, or fewer than 16 channels        |
| `canonical` | XLA's convolution, gradients in its one fast layout  | CPU, otherwise, or if the taps exceed 1 GiB   |
| `xla`       | XLA's convolution and its automatic gradient         | GPU, TPU; input dilated, not 2-D, not NHWC    |

With groups, the hand-written lowerings compute one convolution for each group, by `jax.vmap`.
`python experiments/benchmarks/convolution_lowerings.py` prints the measurements behind the table. The two hand-written
lowerings refuse forward-mode differentiation: pass `lowering="xla"` for `jax.jvp` and `jax.hessian`.
"""

import math
from functools import partial

import jax
from jax import lax

import jaxnn.layers.convolution_lowering_canonical as convolution_lowering_canonical
import jaxnn.layers.convolution_lowering_tiled as convolution_lowering_tiled
from jaxnn.layers.hand_written import differentiable
from jaxnn.layers.window_geometry import fitting_edges, positions
from jaxnn.naming import unknown

FEW_CHANNELS = 16  # from this number on, XLA's own product over the channels is as fast as one over taps
LARGEST_TAPS = 2**30  # bytes
NHWC = ("NHWC", "HWIO", "NHWC")

_HAND_WRITTEN = {"tiled": convolution_lowering_tiled, "canonical": convolution_lowering_canonical}
LOWERINGS = (*_HAND_WRITTEN, "xla")


def convolve(
    lhs,
    rhs,
    window_strides=(1, 1),
    padding="SAME",
    lhs_dilation=None,
    rhs_dilation=None,
    dimension_numbers=NHWC,
    feature_group_count=1,
    batch_group_count=1,
    precision=None,
    *,
    lowering: str | None = None,
):
    """Convolves `lhs` (batch, height, width, in) with `rhs` (height, width, in, out), as `lax` defines it.

    The arguments are those of `lax.conv_general_dilated`; `lowering` forces one of `LOWERINGS`.

    Raises:
      ValueError: a stride is less than 1, `lowering` is unknown, or a hand-written lowering is forced on a convolution
        that it does not support. `lax` refuses all other arguments that do not fit.

    >>> import jax.numpy as jnp
    >>> convolve(jnp.ones((32, 8, 8, 3)), jnp.ones((3, 3, 3, 4)), padding="VALID").shape
    (32, 6, 6, 4)
    """
    if lowering is not None and lowering not in LOWERINGS:
        raise unknown("lowering", lowering, LOWERINGS)
    if min(window_strides) < 1:
        raise ValueError(f"`window_strides` must be at least 1; received {tuple(window_strides)}")
    sizes = {"strides": tuple(window_strides), "padding": padding, "dilation": tuple(rhs_dilation or (1, 1))}
    sizes["groups"] = feature_group_count
    plain = (
        lhs.ndim == 4
        and _is_nhwc(lhs.shape, rhs.shape, dimension_numbers)
        and {*(lhs_dilation or ())} <= {1}
        and batch_group_count == 1
        and precision is None
        and lhs.dtype == rhs.dtype
        and _fits(lhs.shape, rhs.shape, **sizes)  # otherwise lax reports what is wrong
    )
    if plain:
        lowering = lowering or choose_lowering(lhs.shape, rhs.shape, **sizes, itemsize=lhs.dtype.itemsize)
    elif lowering in _HAND_WRITTEN:
        raise ValueError(
            f"lowering {lowering!r} takes 2-D NHWC convolutions whose channels fit, without input dilation, batch "
            f"groups or chosen precision; received {lhs.shape} with {rhs.shape} in {feature_group_count} group(s). "
            "Leave `lowering` out, and one that fits is chosen."
        )
    if plain and lowering in _HAND_WRITTEN:
        return _convolve(rhs, lhs, **sizes, lowering=lowering)
    rest = (lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count, batch_group_count, precision)
    return lax.conv_general_dilated(lhs, rhs, window_strides, padding, *rest)


def choose_lowering(
    x_shape,
    kernel_shape,
    strides,
    padding,
    *,
    dilation=(1, 1),
    groups: int = 1,
    itemsize: int = 4,
    platform: str | None = None,
) -> str:
    """Returns the name of the fastest lowering for the shapes on the platform (default: `jax.default_backend()`).

    >>> choose_lowering((128, 28, 28, 1), (5, 5, 1, 6), (1, 1), ((2, 2), (2, 2)), platform="cpu")
    'tiled'
    >>> choose_lowering((128, 16, 16, 32), (3, 3, 32, 32), (1, 1), ((1, 1), (1, 1)), platform="cpu")
    'canonical'
    >>> choose_lowering((1, 28, 28, 8), (5, 5, 1, 8), (1, 1), ((2, 2), (2, 2)), groups=8, platform="cpu")
    'tiled'
    >>> choose_lowering((128, 28, 28, 1), (5, 5, 1, 6), (1, 1), ((2, 2), (2, 2)), platform="gpu")
    'xla'
    """
    if (platform or jax.default_backend()) != "cpu":
        return "xla"
    out_size = positions(x_shape[1:3], kernel_shape[:2], strides=strides, padding=padding, dilation=dilation)
    if min(*x_shape, *kernel_shape, *out_size) < 1:
        return "xla"  # the result is empty: lax handles it or reports the error
    taps = x_shape[0] * math.prod(out_size) * math.prod(kernel_shape[:3]) * groups * itemsize
    few = kernel_shape[2] < FEW_CHANNELS or groups > 1
    return "tiled" if few and taps <= LARGEST_TAPS else "canonical"


def forward(kernel, x, *, strides, padding, dilation=(1, 1), groups=1, lowering=None):
    """Computes `y[n, i, j] = sum_{a, b} x[n, i sy + a dy - py, j sx + b dx - px] kernel[a, b]`.

    x is zero outside the image. Volumes (batch, depth, height, width, in) have one more axis.
    """
    sizes = {"strides": strides, "padding": padding, "dilation": dilation}
    way = hand_written(x, kernel.shape, **sizes, groups=groups, lowering=lowering)
    edges = fitting_edges(x.shape[1:-1], kernel.shape[:-2], **sizes)
    of_group = partial(way.forward, strides=strides, dilation=dilation, edges=edges)
    y, residuals = forward_in_groups(of_group, kernel, x, groups)
    return y, (kernel, x[:0], residuals)  # x[:0] keeps the shape and has no elements


def backward(residuals, dy, *, strides, padding, dilation=(1, 1), groups=1, lowering=None):
    """Computes the gradients of `sum(y * dy)` with respect to the kernel and to `x`."""
    kernel, no_x, residuals = residuals
    x = jax.ShapeDtypeStruct((dy.shape[0], *no_x.shape[1:]), no_x.dtype)
    sizes = {"strides": strides, "padding": padding, "dilation": dilation}
    way = hand_written(x, kernel.shape, **sizes, groups=groups, lowering=lowering)
    edges = fitting_edges(x.shape[1:-1], kernel.shape[:-2], **sizes)
    of_group = partial(way.backward, strides=strides, dilation=dilation, edges=edges)
    return backward_in_groups(of_group, residuals, dy, groups)


def hand_written(x, kernel_shape, *, lowering=None, **sizes):
    """Returns the module of a hand-written lowering: the one that is named, or the fastest one for the shapes.

    If XLA's own lowering is the fastest, the result is `canonical`, which is most like it. It is the one for volumes.
    """
    if len(x.shape) != 4:
        return convolution_lowering_canonical
    name = lowering or choose_lowering(x.shape, kernel_shape, **sizes, itemsize=x.dtype.itemsize)
    return _HAND_WRITTEN.get(name, convolution_lowering_canonical)


_convolve = differentiable(forward, backward)


def forward_in_groups(forward, kernel, x, groups):
    """Computes `forward(kernel, x)` for every group: group g of the outputs reads only group g of the inputs."""
    if groups == 1:
        return forward(kernel, x)
    axis = x.ndim - 1
    y, residuals = jax.vmap(forward, axis, (axis, 0))(_split(kernel, groups), _split(x, groups))
    return _merge(y), residuals


def backward_in_groups(backward, residuals, dy, groups):
    """Computes `backward(residuals, dy)` for every group, with the residuals of `forward_in_groups`."""
    if groups == 1:
        return backward(residuals, dy)
    axis = dy.ndim - 1
    dkernel, dx = jax.vmap(backward, (0, axis), axis)(residuals, _split(dy, groups))
    return _merge(dkernel), _merge(dx)


def _split(x, groups):
    """Splits the last axis into (groups, features of a group)."""
    return x.reshape(*x.shape[:-1], groups, -1)


def _merge(x):
    return x.reshape(*x.shape[:-2], -1)


def _is_nhwc(x_shape, kernel_shape, dimension_numbers):
    numbers = lax.conv_dimension_numbers(x_shape, kernel_shape, dimension_numbers)
    return numbers == lax.conv_dimension_numbers(x_shape, kernel_shape, NHWC)


def _fits(x_shape, kernel_shape, *, strides, padding, dilation, groups):
    pairs = (strides, dilation) if isinstance(padding, str) else (strides, dilation, padding)
    return (
        all(len(pair) == 2 for pair in pairs)
        and min(*strides, *dilation, groups) >= 1
        and x_shape[3] == kernel_shape[2] * groups
        and kernel_shape[3] % groups == 0
    )
