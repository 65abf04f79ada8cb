"""Twins of the layers that convolve."""

from functools import partial

import numpy as np
from jax import lax

from jaxnn import layers
from jaxnn.verification.rows import FunctionRow


def _kernel_and_images(rng, batch):
    return rng.normal(size=(3, 2, 3, 4)), rng.normal(size=(batch, 9, 8, 3))


def _convolution(convolve, **keywords):
    return lambda kernel, x: convolve(x, kernel, (2, 1), [(1, 2), (0, 1)], **keywords)


_lax_convolution = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))

_bad_kernel = (np.zeros((3, 3, 5, 4)), np.zeros((2, 9, 8, 3)))

CONVOLUTIONS = [
    *(
        FunctionRow(
            f"convolve, {lowering}",
            layers.convolve,
            _convolution(layers.convolve, lowering=lowering),
            _convolution(_lax_convolution),
            "jax.lax.conv_general_dilated",
            _kernel_and_images,
            (False, True),
            twin_gradient=True,
            rejects=(_bad_kernel, r"feature dimension" if lowering == "xla" else r"received \(2, 9, 8, 3\) with"),
        )
        for lowering in layers.LOWERINGS
    ),
    FunctionRow(
        "convolve",
        layers.convolve,
        _convolution(layers.convolve),
        _convolution(_lax_convolution),
        "jax.lax.conv_general_dilated",
        _kernel_and_images,
        (False, True),
        twin_gradient=True,
        rejects=(_bad_kernel, "feature dimension"),
    ),
]

CONVOLUTION_LAYERS = []
