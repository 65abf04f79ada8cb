"""A row for everything that has a twin: the properties in `test_every_*.py` run over all rows.

To add a function, an optimizer, a schedule, an initializer or a model, add its row, with an oracle by someone else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from jaxnn import activations, initializers, layers, losses, metrics, models, optimizers, preprocessing, schedules


def over(rows):
    """Parametrizes a test over rows, named after them."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


def exact(x):
    """An argument as the NumPy oracles take it: float64, integers left alone."""
    x = np.asarray(x)
    return x if x.dtype.kind in "iub" else x.astype(np.float64)


# --------------------------------------------------------------------------------------- functions of arrays


class FunctionRow(NamedTuple):
    """`ours(*arguments)` is an array (batch, ...), and so is what the oracle returns."""

    name: str
    public: Callable
    """what the package exports: has the docstring and counts in `test_catalog.py`"""
    ours: Callable
    oracle: Callable
    arguments: Callable
    """`(rng, batch) -> tuple of NumPy arrays`; floats are cast to the dtype under test"""
    batched: tuple[bool, ...]
    """which arguments have a batch axis"""
    keeps_dtype: bool = True
    """the result has the dtype of the floats; else float32"""
    rejects: tuple[tuple, str] | None = None
    """arguments of a bad shape, and what the message says"""


def _normal(*shape, batched=True):
    return lambda rng, batch: (rng.normal(size=(batch, *shape)),)


def _logits_and_labels(rng, batch, classes=7):
    return rng.normal(size=(batch, classes)) * 3, rng.integers(classes, size=batch)


def _logits_and_probabilities(rng, batch, classes=7):
    return rng.normal(size=(batch, classes)), rng.dirichlet(np.ones(classes), size=batch)


def _optax_smoothed(logits, labels, smoothing):
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing))


def _numpy_rejection(logits, labels, rejection_logit=-1.0):
    z = exact(logits)
    return np.log(np.exp(rejection_logit) + np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]


def _numpy_top_k(logits, labels, k):
    return (np.argsort(-exact(logits), axis=1)[:, :k] == np.asarray(labels)[:, None]).any(axis=1)


def _kernel_and_images(rng, batch):
    return rng.normal(size=(3, 2, 3, 4)), rng.normal(size=(batch, 9, 8, 3))


def _convolution(convolve, **keywords):
    return lambda kernel, x: convolve(x, kernel, (2, 1), [(1, 2), (0, 1)], **keywords)


_lax_convolution = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
_bad_labels = ((np.zeros((4, 7)), np.zeros((4, 1), np.int32)), "labels")
_bad_images = (
    (np.zeros((2, 9, 8, 3)),),
    r"`x` must have shape \(batch, height, width, channels\) .* received \(2, 9, 8, 3\)",
)
_bad_kernel = (np.zeros((3, 3, 5, 4)), np.zeros((2, 9, 8, 3)))

ACTIVATIONS = [
    FunctionRow(
        "scaled_tanh",
        activations.scaled_tanh,
        activations.scaled_tanh,
        lambda x: 1.7159 * np.tanh(exact(x) * 2 / 3),
        _normal(3, 5),
        (True,),
    ),
]

LOSSES = [
    FunctionRow(
        "cross_entropy",
        losses.cross_entropy,
        losses.cross_entropy,
        optax.softmax_cross_entropy_with_integer_labels,
        _logits_and_labels,
        (True, True),
        rejects=_bad_labels,
    ),
    FunctionRow(
        "cross_entropy of probabilities",
        losses.cross_entropy,
        losses.cross_entropy,
        optax.softmax_cross_entropy,
        _logits_and_probabilities,
        (True, True),
        rejects=((np.zeros((4, 7)), np.zeros((4, 6))), "labels"),
    ),
    FunctionRow(
        "cross_entropy, smoothed",
        losses.cross_entropy,
        partial(losses.cross_entropy, label_smoothing=0.1),
        partial(_optax_smoothed, smoothing=0.1),
        _logits_and_labels,
        (True, True),
        rejects=_bad_labels,
    ),
    FunctionRow(
        "cross_entropy_with_rejection",
        losses.cross_entropy_with_rejection,
        losses.cross_entropy_with_rejection,
        _numpy_rejection,
        _logits_and_labels,
        (True, True),
        rejects=_bad_labels,
    ),
]

METRICS = [
    FunctionRow(
        "accuracy",
        metrics.accuracy,
        metrics.accuracy,
        partial(_numpy_top_k, k=1),
        _logits_and_labels,
        (True, True),
        keeps_dtype=False,
        rejects=_bad_labels,
    ),
    *(
        FunctionRow(
            f"top_k({k})",
            metrics.top_k,
            metrics.top_k(k),
            partial(_numpy_top_k, k=k),
            _logits_and_labels,
            (True, True),
            keeps_dtype=False,
            rejects=_bad_labels,
        )
        for k in (1, 3, 7)
    ),
]

PREPROCESSING = [
    FunctionRow(
        "Standardize",
        preprocessing.Standardize,
        preprocessing.Standardize((0.3, 0.4, 0.5), (0.1, 0.2, 0.3)),
        lambda x: (exact(x) - [0.3, 0.4, 0.5]) / [0.1, 0.2, 0.3],
        _normal(4, 5, 3),
        (True,),
        keeps_dtype=False,
    ),
    FunctionRow(
        "Standardize of bytes",
        preprocessing.Standardize,
        preprocessing.Standardize((0.3, 0.4, 0.5), (0.1, 0.2, 0.3)),
        lambda x: (exact(x) / 255.0 - [0.3, 0.4, 0.5]) / [0.1, 0.2, 0.3],
        lambda rng, batch: (rng.integers(256, size=(batch, 4, 5, 3)).astype(np.uint8),),
        (True,),
        keeps_dtype=False,
    ),
    FunctionRow("as_float", preprocessing.as_float, preprocessing.as_float, exact, _normal(4, 5, 3), (True,)),
    FunctionRow(
        "as_float of bytes",
        preprocessing.as_float,
        preprocessing.as_float,
        lambda x: exact(x) / 255.0,
        lambda rng, batch: (rng.integers(256, size=(batch, 4, 5, 3)).astype(np.uint8),),
        (True,),
        keeps_dtype=False,
    ),
    FunctionRow(
        "PaddedRange",
        preprocessing.PaddedRange,
        preprocessing.PaddedRange(2, -0.1, 1.175),
        lambda x: np.pad(-0.1 + 1.275 * exact(x), ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-0.1),
        _normal(4, 5, 3),
        (True,),
    ),
]

LAYERS = [
    *(
        FunctionRow(
            f"convolve, {lowering}",
            layers.convolve,
            _convolution(layers.convolve, lowering=lowering),
            _convolution(_lax_convolution),
            _kernel_and_images,
            (False, True),
            rejects=(_bad_kernel, r"feature dimension" if lowering == "xla" else r"received \(2, 9, 8, 3\) with"),
        )
        for lowering in layers.LOWERINGS
    ),
    FunctionRow(
        "convolve",
        layers.convolve,
        _convolution(layers.convolve),
        _convolution(_lax_convolution),
        _kernel_and_images,
        (False, True),
        rejects=(_bad_kernel, "feature dimension"),
    ),
    FunctionRow(
        "max_pool",
        layers.max_pool,
        layers.max_pool,
        lambda x: nn.max_pool(x, (2, 2), (2, 2)),
        _normal(6, 8, 3),
        (True,),
        rejects=_bad_images,
    ),
    FunctionRow(
        "max_pool 3 x 1",
        layers.max_pool,
        partial(layers.max_pool, window=(3, 1)),
        lambda x: nn.max_pool(x, (3, 1), (3, 1)),
        _normal(6, 5, 3),
        (True,),
        rejects=((np.zeros((2, 8, 9, 3)),), r"window \(3, 1\) dividing"),
    ),
    FunctionRow(
        "average_pool",
        layers.average_pool,
        layers.average_pool,
        lambda x: nn.avg_pool(x, (2, 2), (2, 2)),
        _normal(6, 8, 3),
        (True,),
        rejects=_bad_images,
    ),
]

FUNCTIONS = [*ACTIVATIONS, *LOSSES, *METRICS, *PREPROCESSING, *LAYERS]


# ---------------------------------------------------------------------------------------------- initializers


class InitializerRow(NamedTuple):
    """Both draw the same numbers from the same key."""

    name: str
    public: Callable
    ours: Callable
    oracle: Callable
    """of the fan-in: an initializer"""


def _uniform_within(scale, exponent):
    """`variance_scaling` draws within sqrt(3 s / F), so s = bound^2 F / 3."""

    def of_fan_in(fan_in):
        return jax.nn.initializers.variance_scaling(scale**2 * fan_in ** (1 - 2 * exponent) / 3, "fan_in", "uniform")

    return of_fan_in


INITIALIZERS = [
    InitializerRow(
        "fan_in_uniform", initializers.fan_in_uniform, initializers.fan_in_uniform(), _uniform_within(1.0, 0.5)
    ),
    InitializerRow(
        "fan_in_uniform, 1998",
        initializers.fan_in_uniform,
        initializers.fan_in_uniform(2.4, exponent=1.0),
        _uniform_within(2.4, 1.0),
    ),
]


# ------------------------------------------------------------------------------------------------- schedules


class ScheduleRow(NamedTuple):
    """Twins from step 0 to beyond the last."""

    name: str
    public: Callable
    ours: Callable
    oracle: Callable
    steps: int


SCHEDULES = [
    ScheduleRow("constant", schedules.constant, schedules.constant(0.1), optax.constant_schedule(0.1), 10),
    ScheduleRow(
        "linear", schedules.linear, schedules.linear(0.1, 2.0, steps=37), optax.linear_schedule(0.1, 2.0, 37), 37
    ),
    ScheduleRow(
        "cosine",
        schedules.cosine,
        schedules.cosine(2.0, 0.5, steps=37),
        optax.cosine_decay_schedule(2.0, 37, alpha=0.25),
        37,
    ),
    ScheduleRow(
        "one_cycle",
        schedules.one_cycle,
        schedules.one_cycle(0.3, steps=100),
        optax.cosine_onecycle_schedule(100, 0.3),
        100,
    ),
    ScheduleRow(
        "one_cycle, its own shape",
        schedules.one_cycle,
        schedules.one_cycle(0.3, steps=80, warmup=0.125, start_factor=10.0, end_factor=100.0),
        optax.cosine_onecycle_schedule(80, 0.3, pct_start=0.125, div_factor=10.0, final_div_factor=100.0),
        80,
    ),
]


# ------------------------------------------------------------------------------------------------ optimizers


class OptimizerRow(NamedTuple):
    """`factory(**numbers, **options)` and `oracle(**numbers, **options)` walk the same path."""

    name: str
    factory: Callable
    oracle: Callable
    numbers: dict[str, Any]
    options: dict[str, Any] = {}  # noqa: RUF012

    def ours(self, **changes):
        return self.factory(**{**self.numbers, **changes}, **self.options)

    def theirs(self, **changes):
        return self.oracle(**{**self.numbers, **changes}, **self.options)

    def adjustable(self, **changes):
        return optimizers.adjustable(self.factory)(**{**self.numbers, **changes}, **self.options)


OPTIMIZERS = [
    OptimizerRow("sgd", optimizers.sgd, optax.sgd, {"learning_rate": 1e-3}),
    OptimizerRow("sgd, momentum", optimizers.sgd, optax.sgd, {"learning_rate": 2e-4, "momentum": 0.9}),
    OptimizerRow(
        "sgd, nesterov", optimizers.sgd, optax.sgd, {"learning_rate": 2e-4, "momentum": 0.8}, {"nesterov": True}
    ),
    OptimizerRow("adam", optimizers.adam, optax.adam, {"learning_rate": 1e-2, "b1": 0.85, "b2": 0.995, "eps": 1e-7}),
]


# ---------------------------------------------------------------------------------------------------- models


class ModelRow(NamedTuple):
    """`oracle(params, x)` is the forward pass written with plain lax, Flax or NumPy."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    parameters: int
    layers: dict[str, int]
    """the published table: layer -> parameters"""
    oracle: Callable
    bad_shape: tuple[int, ...]
    message: str
    half_logits: str = "bfloat16"
    """the dtype of the logits of a bfloat16 model on bfloat16 images"""


class PlainLeNet(nn.Module):
    """The textbook order (ReLU, then pooling) with nothing but Flax."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(6, (5, 5), padding=2, name="conv1")(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(16, (5, 5), padding="VALID", name="conv2")(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = nn.relu(nn.Dense(120, name="dense1")(x))
        return nn.Dense(10, name="logits")(nn.relu(nn.Dense(84, name="dense2")(x)))


def plain_lenet_1998(params, x):
    """LeNet-5 of 1998, its partial connections as a masked full convolution, in NumPy terms on top of lax."""
    act = lambda x: 1.7159 * jnp.tanh(2 / 3 * x)  # noqa: E731
    wide = lambda v: v.reshape(1, 1, 1, -1)  # noqa: E731
    conv = lambda x, kernel, bias: _lax_convolution(x, kernel, (1, 1), "VALID") + wide(bias)  # noqa: E731
    halve = lambda x, p: nn.avg_pool(x, (2, 2), (2, 2)) * wide(p["gain"]) + wide(p["bias"])  # noqa: E731
    x = act(halve(act(conv(x, **params["C1"])), params["S2"]))
    seen = [[mark == "X" for mark in row] for row in models.lenet_1998.C3_CONNECTIONS]
    kernel = np.zeros((5, 5, 6, 16))
    for n, (i, o) in enumerate(np.argwhere(seen)):
        kernel[:, :, i, o] = np.asarray(params["C3"]["kernel"])[:, :, n]
    x = act(halve(act(conv(x, jnp.asarray(kernel, x.dtype), params["C3"]["bias"])), params["S4"]))
    x = act(conv(x, **params["C5"]).reshape(len(x), 120))
    x = act(x @ params["F6"]["kernel"] + params["F6"]["bias"][None])
    return jnp.stack([-((x - w[None]) ** 2).sum(axis=1) for w in models.lenet_1998.prototypes()], axis=1)


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
        (27, 27, 1),
        r"`x` must have shape .* received \(2, 27, 27, 6\)",
    ),
    ModelRow(
        "lenet1998",
        models.LeNet1998(),
        (32, 32, 1),
        60_000,
        {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164},
        plain_lenet_1998,
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
        (9,),
        "shape",
    ),
]


# ------------------------------------------------------------------------------------ what is not in the rows

NOT_IN_THE_CATALOG = {
    "jaxnn.layers.LOWERINGS": "names",
    "jaxnn.layers.choose_lowering": "decides, computes nothing: tests/layers/test_convolution.py",
    "jaxnn.layers.differentiable": "makes layers: tests/layers/test_hand_written.py",
    "jaxnn.optimizers.GradientTransformation": "the pair itself",
    "jaxnn.optimizers.adjustable": "a form of every optimizer: every row is also tested in it",
    "jaxnn.optimizers.apply_updates": "a sum: test_every_optimizer.py",
    "jaxnn.metrics.Mean": "a pair: test_every_function.py",
    "jaxnn.metrics.masked_mean": "reduces: test_every_function.py",
    "jaxnn.metrics.confusion_matrix": "not per example: test_every_function.py",
}
NOT_CONCEPTS = {"naming", "version", "verification", "__main__"}  # flat modules that hold no mathematics
