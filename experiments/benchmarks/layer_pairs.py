"""The layers that `hand_written_passes.py` measures: by hand and as a user would write them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnn import activations, layers, losses
from jaxnn.layers import differentiable


class Pair(NamedTuple):
    """`by_hand(*arguments)` and `automatic(*arguments)` give the same array."""

    name: str
    by_hand: Callable
    automatic: Callable
    shapes: tuple[tuple[int, ...], ...]
    """of the floating arguments"""
    extra: Callable = lambda key: ()
    """`key -> arguments` that follow, without gradients: labels, indices, keys"""

    @property
    def sizes(self) -> str:
        """The shapes, as the table shows them."""
        return ", ".join(" x ".join(map(str, shape)) for shape in self.shapes)

    def arguments(self, key) -> list:
        """Standard normal arrays, and what `extra` adds."""
        keys = jax.random.split(key, len(self.shapes))
        return [*(jax.random.normal(k, shape) for k, shape in zip(keys, self.shapes, strict=True)), *self.extra(key)]


def convolution(strides=(1, 1), padding="SAME", dilation=(1, 1), groups=1):
    """Ours and `lax`'s, of (image, kernel)."""
    options = {"rhs_dilation": dilation, "feature_group_count": groups}
    plain = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return tuple(lambda x, kernel, f=f: f(x, kernel, strides, padding, **options) for f in (layers.convolve, plain))


def normalize(x, scale, bias, axes, shape):
    """The textbook's formula: mean 0 and variance 1 over the axes, then an affine map."""
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale.reshape(shape) + bias.reshape(shape)


def over_the_batch(x, scale, bias):
    """Batch norm, plainly."""
    return normalize(x, scale, bias, tuple(range(x.ndim - 1)), (1,) * (x.ndim - 1) + (-1,))


def over_the_features(x, scale, bias):
    """Layer norm, plainly."""
    return normalize(x, scale, bias, -1, (1,) * (x.ndim - 1) + (-1,))


def over_groups(x, scale, bias, groups=8):
    """Group norm, plainly."""
    grouped = x.reshape(*x.shape[:3], groups, -1)
    return normalize(grouped, scale, bias, (1, 2, 4), (1, 1, 1, groups, -1)).reshape(x.shape)


def over_neighbours(x):
    """AlexNet's local response normalization, plainly."""
    around = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, 5), (1, 1, 1, 1), "SAME")
    return x / (2 + 1e-4 * around) ** 0.75


def root_mean_square(x, scale):
    """RMS norm, plainly."""
    return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * scale


def elementwise(layer: layers.Layer):
    """A layer without parameters as a function that its own backward pass differentiates."""
    f = differentiable(layer.forward, layer.backward)
    return lambda x: f((), x)


def with_params(f, *names, **static):
    """`f(params, x)` as a function of x and the parameters one by one."""
    return lambda x, *values: f(dict(zip(names, values, strict=True)), x, **static)


NORM = ("scale", "bias")
HIDDEN, IMAGES = (128, 512), (64, 32, 32, 16)
PAIRS = (
    Pair(
        "dense",
        with_params(layers.dense, "kernel", "bias"),
        lambda x, w, b: x @ w + b,
        ((128, 784), (784, 128), (128,)),
    ),
    Pair("convolution, LeNet-5 conv1", *convolution(), ((128, 28, 28, 1), (5, 5, 1, 6))),
    Pair("convolution, LeNet-5 conv2", *convolution(padding="VALID"), ((128, 14, 14, 6), (5, 5, 6, 16))),
    Pair("convolution, ResNet-20", *convolution(), (IMAGES, (3, 3, 16, 16))),
    Pair("convolution, strided", *convolution((2, 2)), (IMAGES, (3, 3, 16, 32))),
    Pair("convolution, dilated", *convolution(dilation=(2, 2)), ((64, 16, 16, 32), (3, 3, 32, 32))),
    Pair("convolution, depthwise", *convolution(groups=32), ((64, 16, 16, 32), (3, 3, 1, 32))),
    Pair(
        "transposed convolution",
        partial(layers.convolve_transposed, strides=(2, 2)),
        lambda x, kernel: lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
        ((64, 7, 7, 32), (4, 4, 32, 16)),
    ),
    Pair(
        "locally connected",
        partial(layers.connect_locally, window=(3, 3)),
        lambda x, kernel: lax.conv_general_dilated_local(
            x, kernel, (1, 1), "VALID", (3, 3), dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        ((64, 14, 14, 8), (12, 12, 72, 16)),
    ),
    Pair("max pool 2 x 2", layers.max_pool, lambda x: nn.max_pool(x, (2, 2), (2, 2)), ((128, 28, 28, 6),)),
    Pair(
        "max pool 3 x 3 / 2",
        partial(layers.max_pool, window=(3, 3), strides=(2, 2)),
        lambda x: nn.max_pool(x, (3, 3), (2, 2)),
        ((32, 27, 27, 64),),
    ),
    Pair("average pool 2 x 2", layers.average_pool, lambda x: nn.avg_pool(x, (2, 2), (2, 2)), ((128, 28, 28, 6),)),
    Pair(
        "average pool 3 x 3 / 2",
        partial(layers.average_pool, window=(3, 3), strides=(2, 2)),
        lambda x: nn.avg_pool(x, (3, 3), (2, 2)),
        ((32, 27, 27, 64),),
    ),
    Pair("global average pool", layers.global_average_pool, lambda x: x.mean((1, 2)), ((64, 8, 8, 64),)),
    Pair("global max pool", layers.global_max_pool, lambda x: x.max((1, 2)), ((64, 8, 8, 64),)),
    Pair(
        "batch norm, dense",
        with_params(lambda params, x: layers.batch_norm(params, x)[0], *NORM),
        over_the_batch,
        (HIDDEN, (512,), (512,)),
    ),
    Pair(
        "batch norm, images",
        with_params(lambda params, x: layers.batch_norm(params, x)[0], *NORM),
        over_the_batch,
        (IMAGES, (16,), (16,)),
    ),
    Pair("layer norm", with_params(layers.layer_norm, *NORM), over_the_features, ((32, 64, 256), (256,), (256,))),
    Pair("group norm", with_params(layers.group_norm, *NORM, groups=8), over_groups, ((32, 16, 16, 64), (64,), (64,))),
    Pair("RMS norm", with_params(layers.rms_norm, "scale"), root_mean_square, ((32, 64, 256), (256,))),
    Pair("local response norm", layers.local_response_norm, over_neighbours, ((16, 27, 27, 96),)),
    Pair(
        "dropout",
        lambda x, key: layers.dropout(key, x, rate=0.5),
        lambda x, key: nn.Dropout(0.5).apply({}, x, deterministic=False, rngs={"dropout": key}),
        ((128, 1024),),
        extra=lambda key: (key,),
    ),
    Pair(
        "embedding",
        layers.embed,
        lambda table, ids: table[ids],
        ((2000, 128),),
        extra=lambda key: (jax.random.randint(key, (64, 32), 0, 2000),),
    ),
    Pair(
        "maxout",
        with_params(layers.maxout_dense, "kernel", "bias", pieces=4),
        lambda x, w, b: (x @ w + b).reshape(len(x), -1, 4).max(-1),
        ((128, 256), (256, 512), (512,)),
    ),
    Pair("ReLU", elementwise(layers.ReLU()), activations.relu, (HIDDEN,)),
    Pair("tanh", elementwise(layers.Tanh()), jnp.tanh, (HIDDEN,)),
    Pair("sigmoid", elementwise(layers.Sigmoid()), jax.nn.sigmoid, (HIDDEN,)),
    Pair("GELU", elementwise(layers.GELU()), partial(jax.nn.gelu, approximate=False), (HIDDEN,)),
    *(
        Pair(
            f"softmax and cross-entropy, {classes} classes",
            layers.softmax_cross_entropy,
            losses.cross_entropy,
            ((128, classes),),
            extra=lambda key, classes=classes: (jax.random.randint(key, (128,), 0, classes),),
        )
        for classes in (10, 1000)
    ),
)
