"""Twins of the other layers."""

from functools import partial

import flax.linen as nn
import numpy as np

from jaxnn import layers
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, LayerRow

_bad_images = (
    (np.zeros((2, 9, 8, 3)),),
    r"`x` must have shape \(batch, height, width, channels\) .* received \(2, 9, 8, 3\)",
)

LAYERS = [
    FunctionRow(
        "dense",
        layers.dense,
        lambda kernel, bias, x: layers.dense({"kernel": kernel, "bias": bias}, x),
        lambda kernel, bias, x: nn.Dense(4, dtype=x.dtype).apply({"params": {"kernel": kernel, "bias": bias}}, x),
        "flax.linen.Dense",
        lambda rng, batch: (rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(batch, 3))),
        (False, False, True),
        twin_gradient=True,
        rejects=(
            (np.zeros((3, 4)), np.zeros(4), np.zeros((2, 5))),
            r"`x` must have shape \(batch, in\), .* received \(2, 5\), \(3, 4\)",
        ),
    ),
    FunctionRow(
        "max_pool",
        layers.max_pool,
        layers.max_pool,
        lambda x: nn.max_pool(x, (2, 2), (2, 2)),
        "flax.linen.max_pool",
        normal(6, 8, 3),
        (True,),
        twin_gradient=True,
        rejects=_bad_images,
    ),
    FunctionRow(
        "max_pool, 3 x 1",
        layers.max_pool,
        partial(layers.max_pool, window=(3, 1)),
        lambda x: nn.max_pool(x, (3, 1), (3, 1)),
        "flax.linen.max_pool",
        normal(6, 5, 3),
        (True,),
        twin_gradient=True,
        rejects=((np.zeros((2, 8, 9, 3)),), r"window \(3, 1\) dividing"),
    ),
    FunctionRow(
        "average_pool",
        layers.average_pool,
        layers.average_pool,
        lambda x: nn.avg_pool(x, (2, 2), (2, 2)),
        "flax.linen.avg_pool",
        normal(6, 8, 3),
        (True,),
        twin_gradient=True,
        rejects=_bad_images,
    ),
]

LAYER_LAYERS = [LayerRow("Dense", layers.Dense, layers.Dense(4), (3,))]
