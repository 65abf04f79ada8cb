"""These rows compare the normalizations with their references."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn.layers.batch_normalization import (
    BatchNorm,
    BatchStatistics,
    CountedStatistics,
    batch_norm,
    batch_norm_inference,
    cumulative_average,
    moving_average,
)
from jaxnn.layers.layer_normalization import GroupNorm, LayerNorm, RMSNorm, group_norm, layer_norm, rms_norm
from jaxnn.layers.local_response_normalization import LocalResponseNorm, local_response_norm
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, LayerRow


def _scaled(f, *constants):
    """Of (scale, bias, x)."""
    return lambda scale, bias, x: f({"scale": scale, "bias": bias}, x, *constants)


def _scaled_arguments(*shape, features=6):
    return lambda rng, batch: (rng.normal(size=features), rng.normal(size=features), rng.normal(size=(batch, *shape)))


def _flax(module):
    """A Flax normalization of (scale, bias, x), in the dtype of x."""

    def oracle(scale, bias, x):
        statistics = {"mean": jnp.zeros_like(scale), "var": jnp.ones_like(scale)}
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": statistics}
        mutable = ["batch_stats"] if isinstance(module, nn.BatchNorm) and not module.use_running_average else False
        y = module.clone(dtype=x.dtype).apply(variables, x, mutable=mutable)
        return y[0] if mutable else y

    return oracle


_flax_batch_norm = _flax(nn.BatchNorm(use_running_average=False, epsilon=1e-5, use_fast_variance=False))
_running = BatchStatistics(np.linspace(-1, 1, 6), np.linspace(0.5, 2, 6))


def _running_like(x):
    return BatchStatistics(*(jnp.asarray(s, x.dtype) for s in _running))


def _flax_inference(scale, bias, x):
    variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": _running_like(x)._asdict()}
    return nn.BatchNorm(use_running_average=True, epsilon=1e-5, dtype=x.dtype).apply(variables, x)


def _cumulative(x):
    """The average of the statistics x[:, 0], x[:, 1], ..., of which mean and variance are the same here."""
    average = CountedStatistics(jnp.zeros_like(x[:, 0]), jnp.ones_like(x[:, 0]), jnp.zeros((), x.dtype))
    for i in range(x.shape[1]):
        average = cumulative_average(average, BatchStatistics(x[:, i], x[:, i]))
    return average.mean + average.var


def _looped_response_norm(x, *, size, k, alpha, beta):
    channels, half, columns = x.shape[-1], size // 2, []
    for c in range(channels):
        near = x[..., max(0, c - half) : min(channels, c + half + 1)]
        columns.append(x[..., c] / (k + alpha * jnp.sum(near**2, axis=-1)) ** beta)
    return jnp.stack(columns, axis=-1)


NORMALIZATIONS = [
    *(
        FunctionRow(
            f"batch_norm{variant}",
            batch_norm,
            lambda scale, bias, x: batch_norm({"scale": scale, "bias": bias}, x)[0],
            _flax_batch_norm,
            "flax.linen.BatchNorm",
            _scaled_arguments(*shape),
            differentiable_oracle=True,
        )
        for variant, shape in ((", dense", (6,)), ("", (3, 4, 6)), (", sequences", (7, 6)))
    ),
    FunctionRow(
        "batch_norm, images of a large batch",
        batch_norm,
        lambda scale, bias, x: batch_norm({"scale": scale, "bias": bias}, x)[0],
        _flax_batch_norm,
        "flax.linen.BatchNorm",
        lambda rng, batch: _scaled_arguments(2, 3, 6)(rng, 4 * batch),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "batch_norm_inference",
        batch_norm_inference,
        lambda scale, bias, x: batch_norm_inference({"scale": scale, "bias": bias}, x, statistics=_running_like(x)),
        _flax_inference,
        "flax.linen.BatchNorm",
        _scaled_arguments(3, 4, 6),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "moving_average",
        moving_average,
        partial(moving_average, decay=0.8),
        lambda old, new: optax.incremental_update(new, old, 0.2),
        "optax.incremental_update",
        lambda rng, batch: (rng.normal(size=(batch, 3)), rng.normal(size=(batch, 3))),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "cumulative_average",
        cumulative_average,
        _cumulative,
        lambda x: 2 * x.mean(axis=1),
        "jax.numpy.mean",
        normal(4, 3),
        differentiable_oracle=True,
    ),
    *(
        FunctionRow(
            f"layer_norm{variant}",
            layer_norm,
            _scaled(layer_norm),
            _flax(nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)),
            "flax.linen.LayerNorm",
            _scaled_arguments(*shape),
            differentiable_oracle=True,
        )
        for variant, shape in (("", (6,)), (", sequences", (5, 6)))
    ),
    *(
        FunctionRow(
            f"group_norm, {groups} groups",
            group_norm,
            _scaled(partial(group_norm, groups=groups)),
            _flax(nn.GroupNorm(groups, epsilon=1e-5, use_fast_variance=False)),
            "flax.linen.GroupNorm",
            _scaled_arguments(3, 4, 6),
            differentiable_oracle=True,
        )
        for groups in (1, 2, 6)
    ),
    FunctionRow(
        "rms_norm",
        rms_norm,
        lambda scale, x: rms_norm({"scale": scale}, x),
        lambda scale, x: nn.RMSNorm(epsilon=1e-5, dtype=x.dtype).apply({"params": {"scale": scale}}, x),
        "flax.linen.RMSNorm",
        lambda rng, batch: (rng.normal(size=6), rng.normal(size=(batch, 5, 6))),
        differentiable_oracle=True,
    ),
    *(
        FunctionRow(
            f"local_response_norm{variant}",
            local_response_norm,
            partial(local_response_norm, **keywords),
            partial(_looped_response_norm, **keywords),
            "jax.numpy",
            normal(2, 3, 7),
            differentiable_oracle=True,
        )
        for variant, keywords in (
            ("", {"size": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75}),
            (", strong", {"size": 5, "k": 1.0, "alpha": 0.5, "beta": 0.75}),
            (", narrow", {"size": 3, "k": 0.5, "alpha": 0.3, "beta": 0.6}),
            (", wider than the channels", {"size": 17, "k": 1.0, "alpha": 0.3, "beta": 1.0}),
        )
    ),
]

NORMALIZATION_LAYERS = [
    LayerRow("BatchNorm", BatchNorm, BatchNorm(), (2, 3, 4)),
    LayerRow("BatchNorm, dense", BatchNorm, BatchNorm(decay=0.5, eps=1e-3), (4,)),
    LayerRow("BatchNorm, cumulative", BatchNorm, BatchNorm(decay=None, unbiased=True), (3, 4)),
    LayerRow("LayerNorm", LayerNorm, LayerNorm(), (5,)),
    LayerRow("GroupNorm", GroupNorm, GroupNorm(2), (2, 3, 4)),
    LayerRow("RMSNorm", RMSNorm, RMSNorm(), (5,)),
    LayerRow("LocalResponseNorm", LocalResponseNorm, LocalResponseNorm(alpha=0.2), (2, 3, 7)),
]
