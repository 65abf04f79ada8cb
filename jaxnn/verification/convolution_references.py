"""These rows compare the layers that convolve with their references."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from jaxnn import layers
from jaxnn.layers.convolution_layers import Convolution, LocallyConnected, TransposedConvolution
from jaxnn.layers.locally_connected_layer import connect_locally
from jaxnn.layers.padding_modes import MODES, Pad, pad
from jaxnn.layers.transposed_convolution import convolve_transposed
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, LayerRow

_lax_convolution = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
_odd_padding = [(1, 2), (0, 1)]


def _kernel_and_images(*kernel_shape, channels=3):
    """(kernel, images of 7 x 5): odd, so that tiles are single outputs and little is compiled; other tests do tiles."""
    return lambda rng, batch: (rng.normal(size=kernel_shape), rng.normal(size=(batch, 7, 5, channels)))


def _convolution(name, *, kernel_shape=(3, 2, 3, 4), channels=3, lowering=None, **sizes):
    sizes = {"window_strides": (1, 1), "padding": "SAME", **sizes}
    return FunctionRow(
        name,
        layers.convolve,
        lambda kernel, x: layers.convolve(x, kernel, **sizes, lowering=lowering),
        lambda kernel, x: _lax_convolution(x, kernel, **sizes),
        "jax.lax.conv_general_dilated",
        _kernel_and_images(*kernel_shape, channels=channels),
        differentiable_oracle=True,
    )


_strided = {"window_strides": (2, 1), "padding": _odd_padding}
_grouped = {
    "kernel_shape": (3, 2, 2, 6),
    "channels": 4,
    "feature_group_count": 2,
    "window_strides": (2, 1),
}
_dilated = {
    "rhs_dilation": (2, 3),
    "window_strides": (1, 2),
    "padding": [(2, 1), (3, 2)],
}

_transposed = {"strides": (2, 1), "padding": ((3, 2), (1, 4))}
_wide = ((2, 1), (0, 3))

CONVOLUTIONS = [
    _convolution("convolve", **_strided),
    _convolution("convolve, tiled", **_strided, lowering="tiled"),
    _convolution("convolve, canonical", **_strided, lowering="canonical"),
    _convolution("convolve, xla", **_strided, lowering="xla"),
    _convolution("convolve, same"),
    _convolution("convolve, groups", **_grouped),
    _convolution("convolve, groups canonical", **_grouped, lowering="canonical"),
    _convolution(
        "convolve, depthwise",
        kernel_shape=(3, 2, 1, 8),
        channels=4,
        feature_group_count=4,
    ),
    _convolution("convolve, dilation", **_dilated),
    _convolution("convolve, dilation tiled", **_dilated, lowering="tiled"),
    *(
        FunctionRow(
            f"convolve_transposed{variant}",
            convolve_transposed,
            lambda kernel, x, window=window, sizes=sizes: convolve_transposed(x, kernel, **sizes),
            lambda kernel, x, window=window, sizes=sizes: nn.ConvTranspose(
                4, window, **sizes, use_bias=False, dtype=x.dtype
            ).apply({"params": {"kernel": kernel}}, x),
            "flax.linen.ConvTranspose",
            _kernel_and_images(*window, 3, 4),
            differentiable_oracle=True,
        )
        for variant, window, sizes in [
            ("", (3, 3), {"strides": (1, 1), "padding": "SAME"}),
            (", strided", (4, 3), {"strides": (2, 3), "padding": "SAME"}),
            (", valid", (4, 2), {"strides": (2, 3), "padding": "VALID"}),
            (", padded", (3, 4), {"strides": (2, 1), "padding": ((2, 0), (1, 4))}),
        ]
    ),
    *(
        FunctionRow(
            f"convolve_transposed, {variant}",
            convolve_transposed,
            lambda kernel, x, ours=ours: convolve_transposed(x, kernel, **_transposed, **ours),
            lambda kernel, x, theirs=theirs: _lax_convolution(
                x, kernel, (1, 1), _transposed["padding"], lhs_dilation=_transposed["strides"], **theirs
            ),
            "jax.lax.conv_general_dilated",
            _kernel_and_images(3, 2, channels // groups, 6, channels=channels),
            differentiable_oracle=True,
        )
        for variant, channels, groups, ours, theirs in [
            ("dilation", 3, 1, {"dilation": (2, 3)}, {"rhs_dilation": (2, 3)}),
            ("groups", 4, 2, {"groups": 2}, {"feature_group_count": 2}),
            ("depthwise", 3, 3, {"groups": 3}, {"feature_group_count": 3}),
        ]
    ),
    *(
        FunctionRow(
            f"pad, {mode}",
            pad,
            partial(pad, widths=_wide, mode=mode),
            partial(jnp.pad, pad_width=((0, 0), *_wide, (0, 0)), mode="constant" if mode == "zeros" else mode),
            "jax.numpy.pad",
            normal(5, 4, 2),
            differentiable_oracle=True,
        )
        for mode in MODES
    ),
    *(
        FunctionRow(
            f"connect_locally{variant}",
            connect_locally,
            lambda kernel, x, sizes=sizes: connect_locally(x, kernel, window=(3, 2), **sizes),
            lambda kernel, x, sizes=sizes: nn.ConvLocal(4, (3, 2), **sizes, use_bias=False, dtype=x.dtype).apply(
                {"params": {"kernel": kernel}}, x
            ),
            "flax.linen.ConvLocal",
            _kernel_and_images(*out_size, 18, 4),
            differentiable_oracle=True,
        )
        for variant, out_size, sizes in [
            ("", (5, 4), {"strides": (1, 1), "padding": "VALID"}),
            (", strided", (4, 2), {"strides": (2, 3), "padding": "SAME"}),
            (", padded", (5, 5), {"strides": (2, 1), "padding": ((3, 1), (0, 1))}),
        ]
    ),
]

_of_volumes = Convolution(2, (2, 3, 2), strides=(1, 2, 1), padding="VALID")
_of_sequences = TransposedConvolution(3, (4,), strides=(2,), padding=((2, 3),))
_grouped_transposed = TransposedConvolution(6, (2, 3), strides=(2, 1), dilation=(1, 2), groups=2, use_bias=False)

CONVOLUTION_LAYERS = [
    LayerRow(name, public, layer, x_shape)
    for name, public, layer, x_shape in [
        ("Convolution", Convolution, Convolution(4, (3, 2), strides=(2, 1)), (5, 3, 3)),
        ("Convolution, dilation", Convolution, Convolution(3, (2, 2), padding="VALID", dilation=(2, 3)), (5, 6, 2)),
        ("Convolution, groups", Convolution, Convolution(6, (2, 2), groups=2, strides=(1, 2)), (3, 6, 4)),
        ("Convolution, sequences", Convolution, Convolution(4, (3,), strides=(2,), groups=2), (7, 4)),
        (
            "Convolution, volumes",
            Convolution,
            Convolution(2, (2, 3, 2), strides=(1, 2, 1), padding="VALID"),
            (3, 4, 4, 2),
        ),
        ("Convolution, wrapped", Convolution, Convolution(3, (3, 2), strides=(2, 1), padding_mode="wrap"), (5, 4, 2)),
        ("Convolution, no bias", Convolution, Convolution(3, (3, 2), use_bias=False), (5, 4, 2)),
        ("TransposedConvolution, groups", TransposedConvolution, _grouped_transposed, (3, 2, 4)),
        ("LocallyConnected, no bias", LocallyConnected, LocallyConnected(3, (2, 2), use_bias=False), (4, 3, 2)),
        ("TransposedConvolution, sequences", TransposedConvolution, _of_sequences, (4, 2)),
        ("TransposedConvolution, volumes", TransposedConvolution, TransposedConvolution(2, (2, 3, 2)), (2, 3, 2, 2)),
        *((f"Pad, {mode}", Pad, Pad(_wide, mode=mode), (3, 4, 2)) for mode in MODES),
        ("TransposedConvolution", TransposedConvolution, TransposedConvolution(3, (3, 2), strides=(2, 2)), (3, 3, 2)),
        ("LocallyConnected", LocallyConnected, LocallyConnected(3, (2, 2), strides=(2, 1)), (5, 4, 2)),
    ]
]
