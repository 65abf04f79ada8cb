"""These rows compare the models with their references."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn import models
from jaxnn.verification.rows import ModelRow, exact

_convolve = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


class PlainLeNet(nn.Module):
    """The textbook order (ReLU, then pooling) with nothing but Flax."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(6, (5, 5), padding=2, name="conv1")(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(16, (5, 5), padding="VALID", name="conv2")(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = nn.relu(nn.Dense(120, name="dense1")(x))
        return nn.Dense(10, name="logits")(nn.relu(nn.Dense(84, name="dense2")(x)))


def plain_lenet5_of_1998(params, x):
    """LeNet-5 of 1998, its partial connections as a masked full convolution, in NumPy terms on top of lax."""
    act = lambda x: 1.7159 * jnp.tanh(2 / 3 * x)
    wide = lambda v: v.reshape(1, 1, 1, -1)
    conv = lambda x, kernel, bias: _convolve(x, kernel, (1, 1), "VALID") + wide(bias)
    halve = lambda x, p: nn.avg_pool(x, (2, 2), (2, 2)) * wide(p["gain"]) + wide(p["bias"])
    x = act(halve(act(conv(x, **params["C1"])), params["S2"]))
    seen = [[mark == "X" for mark in row] for row in models.lenet5_of_1998.C3_CONNECTIONS]
    kernel = np.zeros((5, 5, 6, 16))
    for n, (i, o) in enumerate(np.argwhere(seen)):
        kernel[:, :, i, o] = np.asarray(params["C3"]["kernel"])[:, :, n]
    x = act(halve(act(conv(x, jnp.asarray(kernel, x.dtype), params["C3"]["bias"])), params["S4"]))
    x = act(conv(x, **params["C5"]).reshape(len(x), 120))
    x = act(x @ params["F6"]["kernel"] + params["F6"]["bias"][None])
    return jnp.stack([-((x - w[None]) ** 2).sum(axis=1) for w in models.lenet5_of_1998.prototypes()], axis=1)


def plain_mlp(params, x):
    """ReLU between affine maps, in NumPy."""
    x = exact(x).reshape(len(x), -1)
    *hidden, last = [{name: exact(value) for name, value in params[layer].items()} for layer in sorted(params)]
    for layer in hidden:
        x = np.maximum(x @ layer["kernel"] + layer["bias"], 0)
    return x @ last["kernel"] + last["bias"]


MODELS = [
    ModelRow(
        "lenet5",
        models.LeNet5(),
        (28, 28, 1),
        61_706,
        {"conv1": 156, "conv2": 2_416, "dense1": 48_120, "dense2": 10_164, "logits": 850},
        lambda params, x: PlainLeNet().apply({"params": params}, x),
        "flax.linen",
        (24, 24, 1),
        "dense1",
    ),
    ModelRow(
        "lenet1998",
        models.LeNet1998(),
        (32, 32, 1),
        60_000,
        {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164},
        plain_lenet5_of_1998,
        "jax.lax",
        (28, 28, 1),
        r"`x` must have shape \(batch, 32, 32, channels\); received \(2, 28, 28, 1\)",
        half_logits="float32",  # distances to float32 prototypes
    ),
    ModelRow(
        "softmax_regression",
        models.SoftmaxRegression(),
        (28, 28, 1),
        7_850,
        {"logits": 7_850},
        plain_mlp,
        "NumPy",
        (9,),
        "shape",
    ),
    ModelRow(
        "mlp",
        models.MLP(),
        (28, 28, 1),
        101_770,
        {"hidden1": 100_480, "logits": 1_290},
        plain_mlp,
        "NumPy",
        (9,),
        "shape",
    ),
]
