"""These rows compare pooling with its references."""

from functools import partial

import flax.linen as nn

from jaxnn import layers
from jaxnn.layers.global_pooling import GlobalAveragePool, GlobalMaxPool, global_average_pool, global_max_pool
from jaxnn.layers.pooling import AveragePool, MaxPool
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, LayerRow


def _pooling_rows(public, oracle, against, *, names=()):
    """Variants of max or average pooling: windows that divide, that overlap, that leave gaps, that stick out."""
    variants = {
        "": {},
        "3 x 1": {"window": (3, 1)},
        "far edge left out": {"window": (4, 3)},
        "overlapping": {"window": (3, 3), "strides": (2, 2)},
        "overlapping, SAME": {"window": (3, 3), "strides": (2, 2), "padding": "SAME"},
        "stride 1, SAME": {"window": (3, 2), "strides": (1, 1), "padding": "SAME"},
        "gaps": {"window": (1, 2), "strides": (2, 3)},
        "padded": {"window": (3, 4), "strides": (2, 1), "padding": ((2, 1), (0, 3))},
    }
    for name in names or variants:
        keywords = variants[name]
        window = keywords.get("window", (2, 2))
        theirs = {"strides": window} | {k: v for k, v in keywords.items() if k != "window"}
        yield FunctionRow(
            ", ".join(filter(None, (public.__name__, name))),
            public,
            partial(public, **keywords),
            partial(oracle, window_shape=window, **theirs),
            against,
            normal(6, 8, 3),
            differentiable_oracle=True,
        )


POOLINGS = [
    *_pooling_rows(layers.max_pool, nn.max_pool, "flax.linen.max_pool"),
    *_pooling_rows(layers.average_pool, nn.avg_pool, "flax.linen.avg_pool", names=("", "overlapping", "padded")),
    FunctionRow(
        "average_pool, padding not counted",
        layers.average_pool,
        partial(layers.average_pool, window=(3, 3), strides=(2, 2), padding="SAME", count_include_pad=False),
        lambda x: nn.avg_pool(x, (3, 3), (2, 2), padding="SAME", count_include_pad=False),
        "flax.linen.avg_pool",
        normal(6, 8, 3),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "global_average_pool",
        global_average_pool,
        global_average_pool,
        lambda x: nn.avg_pool(x, x.shape[1:3])[:, 0, 0],
        "flax.linen.avg_pool",
        normal(4, 5, 3),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "global_max_pool",
        global_max_pool,
        global_max_pool,
        lambda x: nn.max_pool(x, x.shape[1:3])[:, 0, 0],
        "flax.linen.max_pool",
        normal(4, 5, 3),
        differentiable_oracle=True,
    ),
]

POOLING_LAYERS = [
    LayerRow("MaxPool", MaxPool, MaxPool(), (4, 6, 3)),
    LayerRow("MaxPool, far edge left out", MaxPool, MaxPool((2, 3)), (5, 7, 2)),
    LayerRow("MaxPool, overlapping", MaxPool, MaxPool((3, 3), strides=(2, 2), padding="SAME"), (6, 5, 2)),
    LayerRow("AveragePool", AveragePool, AveragePool(), (4, 6, 3)),
    LayerRow("AveragePool, overlapping", AveragePool, AveragePool((3, 3), strides=(2, 1)), (6, 5, 2)),
    LayerRow(
        "AveragePool, padding not counted",
        AveragePool,
        AveragePool((3, 2), strides=(2, 2), padding=((1, 2), (1, 0)), count_include_pad=False),
        (6, 5, 2),
    ),
    LayerRow("GlobalAveragePool", GlobalAveragePool, GlobalAveragePool(), (3, 4, 2)),
    LayerRow("GlobalMaxPool", GlobalMaxPool, GlobalMaxPool(), (3, 4, 2)),
]
