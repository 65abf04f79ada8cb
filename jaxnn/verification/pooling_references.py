"""These rows compare pooling with its references."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from jaxnn import layers
from jaxnn.layers.adaptive_pooling import (
    AdaptiveAveragePool,
    AdaptiveMaxPool,
    adaptive_average_pool,
    adaptive_max_pool,
)
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


def _dilated_maxima(x):
    """Windows of 3 x 2 inputs that are (2, 3) apart, at strides (1, 2), of images padded by 2 rows and 1 column."""
    wide = jnp.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), constant_values=-jnp.inf)
    rows, columns = wide.shape[1] - 4, wide.shape[2] - 3
    return jnp.stack([wide[:, a : a + rows, b : b + columns : 2] for a in (0, 2, 4) for b in (0, 3)]).max(axis=0)


def _adaptive(reduce, size):
    """The windows one by one, each cut out and reduced."""

    def oracle(x):
        height, width = (
            [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(x.shape[1:3], size, strict=True)
        )
        pooled = [[reduce(x[:, top:end, left:right], axis=(1, 2)) for left, right in width] for top, end in height]
        return jnp.stack([jnp.stack(row, axis=1) for row in pooled], axis=1)

    return oracle


def _of_other_axes(public, oracle, against):
    for name, shape, window, strides in (("sequences", (9, 3), (3,), (2,)), ("volumes", (4, 5, 6, 2), (2, 3, 2), None)):
        yield FunctionRow(
            f"{public.__name__}, {name}",
            public,
            partial(public, window=window, strides=strides, padding="SAME"),
            partial(oracle, window_shape=window, strides=strides or window, padding="SAME"),
            against,
            normal(*shape),
            differentiable_oracle=True,
        )


POOLINGS = [
    *_pooling_rows(layers.max_pool, nn.max_pool, "flax.linen.max_pool"),
    *_pooling_rows(layers.average_pool, nn.avg_pool, "flax.linen.avg_pool", names=("", "overlapping", "padded")),
    *_of_other_axes(layers.max_pool, nn.max_pool, "flax.linen.max_pool"),
    *_of_other_axes(layers.average_pool, nn.avg_pool, "flax.linen.avg_pool"),
    FunctionRow(
        "max_pool, dilation",
        layers.max_pool,
        partial(layers.max_pool, window=(3, 2), strides=(1, 2), padding=((2, 2), (1, 1)), dilation=(2, 3)),
        _dilated_maxima,
        "jax.numpy",
        normal(6, 8, 3),
        differentiable_oracle=True,
    ),
    *(
        FunctionRow(
            f"{public.__name__}{variant}",
            public,
            partial(public, size=size),
            _adaptive(reduce, size),
            "jax.numpy",
            normal(7, 5, 3),
            differentiable_oracle=True,
        )
        for public, reduce in ((adaptive_average_pool, jnp.mean), (adaptive_max_pool, jnp.max))
        for variant, size in (("", (3, 2)), (", larger than the image", (9, 5)))
    ),
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
    LayerRow("MaxPool, dilation", MaxPool, MaxPool((2, 3), strides=(1, 2), dilation=(3, 2), padding="SAME"), (6, 7, 2)),
    LayerRow("MaxPool, sequences", MaxPool, MaxPool((3,), strides=(2,)), (8, 2)),
    LayerRow("MaxPool, volumes", MaxPool, MaxPool((2, 2, 3)), (4, 5, 6, 2)),
    LayerRow("AveragePool, sequences", AveragePool, AveragePool((3,), strides=(2,), padding="SAME"), (8, 2)),
    LayerRow("AveragePool, volumes", AveragePool, AveragePool((2, 2, 3), strides=(1, 2, 1)), (4, 5, 6, 2)),
    LayerRow("AdaptiveAveragePool", AdaptiveAveragePool, AdaptiveAveragePool((3, 2)), (7, 5, 2)),
    LayerRow("AdaptiveMaxPool", AdaptiveMaxPool, AdaptiveMaxPool((3, 4)), (7, 5, 2)),
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
