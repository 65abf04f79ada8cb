"""2-D convolution that picks its lowering: a drop-in for `lax.conv_general_dilated` in Flax's `nn.Conv`.

    nn.Conv(features, (5, 5), conv_general_dilated=jaxnn.layers.convolve)

| lowering    | what it is                                             | chosen                                        |
| ----------- | ------------------------------------------------------ | --------------------------------------------- |
| `tiled`     | one matrix product over tiles, hand-written gradient   | CPU, batch >= 16, the taps fit in 1 GiB       |
| `canonical` | XLA's convolution, gradients in its one fast layout    | CPU, otherwise                                |
| `xla`       | XLA's convolution and its automatic gradient           | GPU, TPU; dilated, grouped, not 2-D, not NHWC |

`python experiments/benchmarks/convolution_lowerings.py` prints the measurements behind the table. The two hand-written
lowerings refuse forward-mode differentiation: pass `lowering="xla"` for `jax.jvp` and `jax.hessian`.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.layers import canonical_convolution, tiled_convolution
from jaxnn.layers.hand_written import differentiable
from jaxnn.naming import unknown

SMALLEST_TILED_BATCH = 16  # a vector register of float32
LARGEST_TAPS = 2**30  # bytes
NHWC = ("NHWC", "HWIO", "NHWC")

_HAND_WRITTEN = {
    "tiled": differentiable(tiled_convolution.forward, tiled_convolution.backward),
    "canonical": differentiable(canonical_convolution.forward, canonical_convolution.backward),
}
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
    """The convolution of `lhs` (batch, height, width, in) with `rhs` (height, width, in, out), as `lax` defines it.

    The arguments are those of `lax.conv_general_dilated`; `lowering` forces one of `LOWERINGS`.

    Raises:
      ValueError: `lowering` is unknown, or a hand-written one is forced on a convolution that it does not do.

    >>> convolve(jnp.ones((32, 8, 8, 3)), jnp.ones((3, 3, 3, 4)), padding="VALID").shape
    (32, 6, 6, 4)
    """
    if lowering is not None and lowering not in LOWERINGS:
        raise unknown("lowering", lowering, LOWERINGS)
    plain = (
        lhs.ndim == 4
        and _is_nhwc(lhs.shape, rhs.shape, dimension_numbers)
        and {*(lhs_dilation or ()), *(rhs_dilation or ())} <= {1}
        and lhs.shape[3] == rhs.shape[2]  # else lax says what is wrong
        and feature_group_count == batch_group_count == 1
        and precision is None
    )
    if plain:
        strides, pads = tuple(window_strides), _explicit_padding(lhs.shape, rhs.shape, window_strides, padding)
        lowering = lowering or choose_lowering(lhs.shape, rhs.shape, strides, pads, itemsize=lhs.dtype.itemsize)
    elif lowering in _HAND_WRITTEN:
        raise ValueError(
            f"lowering {lowering!r} takes 2-D NHWC convolutions without dilation, groups or chosen precision; received "
            f"{lhs.shape} with {rhs.shape}. Leave `lowering` out, and one that fits is chosen."
        )
    if plain and lowering in _HAND_WRITTEN:
        return _HAND_WRITTEN[lowering](rhs, _fit(lhs, rhs.shape, strides, pads), strides=strides)
    return lax.conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        dimension_numbers,
        feature_group_count,
        batch_group_count,
        precision,
    )


def choose_lowering(x_shape, kernel_shape, strides, padding, *, itemsize: int = 4, platform: str | None = None) -> str:
    """The fastest lowering for the shapes on the platform (`jax.default_backend()` unless given).

    >>> choose_lowering((128, 28, 28, 1), (5, 5, 1, 6), (1, 1), ((2, 2), (2, 2)), platform="cpu")
    'tiled'
    >>> choose_lowering((1, 28, 28, 1), (5, 5, 1, 6), (1, 1), ((2, 2), (2, 2)), platform="cpu")
    'canonical'
    >>> choose_lowering((128, 28, 28, 1), (5, 5, 1, 6), (1, 1), ((2, 2), (2, 2)), platform="gpu")
    'xla'
    """
    if (platform or jax.default_backend()) != "cpu":
        return "xla"
    out_size = _out_size(x_shape, kernel_shape, strides, padding)
    if min(out_size) < 1:
        return "xla"  # an empty result: lax knows what to say
    taps = x_shape[0] * math.prod(out_size) * math.prod(kernel_shape[:3]) * itemsize
    return "tiled" if x_shape[0] >= SMALLEST_TILED_BATCH and taps <= LARGEST_TAPS else "canonical"


def _is_nhwc(x_shape, kernel_shape, dimension_numbers):
    numbers = lax.conv_dimension_numbers(x_shape, kernel_shape, dimension_numbers)
    return numbers == lax.conv_dimension_numbers(x_shape, kernel_shape, NHWC)


def _explicit_padding(x_shape, kernel_shape, strides, padding):
    if isinstance(padding, str):
        return tuple(lax.padtype_to_pads(x_shape[1:3], kernel_shape[:2], strides, padding))
    return tuple(padding)


def _out_size(x_shape, kernel_shape, strides, padding):
    sizes = zip(x_shape[1:3], kernel_shape, strides, padding, strict=False)
    return tuple((n + sum(pads) - k) // s + 1 for n, k, s, pads in sizes)


def _fit(x, kernel_shape, strides, padding):
    """`x` padded, without the rows and columns at the far edges that no stride reaches."""
    out = _out_size(x.shape, kernel_shape, strides, padding)
    used = [(m - 1) * s + k for m, s, k in zip(out, strides, kernel_shape, strict=False)]
    config = [(lo, u - n - lo, 0) for n, (lo, _), u in zip(x.shape[1:3], padding, used, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])
