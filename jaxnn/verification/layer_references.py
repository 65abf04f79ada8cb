"""These rows compare the layers that do not convolve with their references."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn import layers
from jaxnn.layers.activation_layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Elementwise,
    ElementwiseOfInput,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    ReLU6,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softplus,
    SoftShrink,
    Softsign,
    Tanh,
    TanhShrink,
    ThresholdLinear,
)
from jaxnn.layers.dropout_masks import Dropout, dropout, masked_dropout, unscaled_dropout, weight_scaled
from jaxnn.layers.embedding_table import Embedding, embed
from jaxnn.layers.maxout_units import Maxout, maxout_dense
from jaxnn.layers.merging_layers import Flatten
from jaxnn.layers.rectifier_slopes import PReLU, RReLU
from jaxnn.layers.softmax_head import softmax_cross_entropy
from jaxnn.layers.softmax_layers import GLU, LogSoftmax, Softmax, Softmin
from jaxnn.verification.arguments import logits_and_labels, logits_and_probabilities, normal
from jaxnn.verification.normalization_references import NORMALIZATION_LAYERS, NORMALIZATIONS
from jaxnn.verification.pooling_references import POOLING_LAYERS, POOLINGS
from jaxnn.verification.rows import FunctionRow, LayerRow

_KEY_SEED = 3


def _drawn(draw, rate):
    return lambda x: draw(jax.random.key(_KEY_SEED), x, rate=rate)


def _numpy_mask(shape, rate, dtype):
    """The mask cut from the same random words by NumPy's own view of their bytes."""
    a_word = 4 // np.dtype(dtype).itemsize
    with jax.ensure_compile_time_eval():  # under jit too
        words = jax.random.bits(jax.random.key(_KEY_SEED), (*shape[:-1], -(-shape[-1] // a_word)), jnp.uint32)
    levels = np.asarray(words).astype("<u4").view(np.dtype(dtype).newbyteorder("<"))[..., : shape[-1]]
    return levels >= round(rate * 256 ** np.dtype(dtype).itemsize)


def _masked(rate, dtype, divisor):
    return lambda x: x * jnp.asarray(_numpy_mask(x.shape, rate, dtype) / divisor, x.dtype)


def _one_hot_embed(table, ids):
    return jnp.einsum("...v,vf->...f", jax.nn.one_hot(ids, table.shape[0], dtype=table.dtype), table)


def _pieces(kernel, bias, x):
    return maxout_dense({"kernel": kernel, "bias": bias}, x, pieces=3)


def _plain_pieces(kernel, bias, x):
    return jnp.stack([x @ kernel[:, p::3] + bias[None, p::3] for p in range(3)]).max(axis=0)


LAYERS = [
    FunctionRow(
        "dense",
        layers.dense,
        lambda kernel, bias, x: layers.dense({"kernel": kernel, "bias": bias}, x),
        lambda kernel, bias, x: nn.Dense(4, dtype=x.dtype).apply({"params": {"kernel": kernel, "bias": bias}}, x),
        "flax.linen.Dense",
        lambda rng, batch: (rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(batch, 3))),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "dense, sequences without a bias",
        layers.dense,
        lambda kernel, x: layers.dense({"kernel": kernel}, x),
        lambda kernel, x: nn.Dense(4, use_bias=False, dtype=x.dtype).apply({"params": {"kernel": kernel}}, x),
        "flax.linen.Dense",
        lambda rng, batch: (rng.normal(size=(3, 4)), rng.normal(size=(batch, 5, 3))),
        differentiable_oracle=True,
    ),
    *POOLINGS,
    *NORMALIZATIONS,
    *(
        FunctionRow(
            f"{draw.__name__}, rate {rate}",
            draw,
            _drawn(draw, rate),
            _masked(rate, dtype, divisor),
            "NumPy",
            normal(4, 7),
            differentiable_oracle=True,
        )
        for draw, rate, dtype, divisor in (
            (dropout, 0.25, "u1", 0.75),
            (dropout, 0.1, "u2", 1 - round(6553.6) / 65536),
            (dropout, 0.0, "u1", 1.0),
            (unscaled_dropout, 0.5, "u1", 1.0),
        )
    ),
    *(
        FunctionRow(
            f"masked_dropout{variant}",
            masked_dropout,
            partial(masked_dropout, rate=0.25),
            lambda mask, x: x * mask / 0.75,
            "jax.numpy",
            lambda rng, batch, shape=shape: (rng.random((batch, *shape)) < 0.75, rng.normal(size=(batch, 4, 7))),
            differentiable_oracle=True,
        )
        for variant, shape in (("", (4, 7)), (", shared by the steps", (1, 7)))
    ),
    FunctionRow(
        "weight_scaled",
        weight_scaled,
        partial(weight_scaled, rate=0.3),
        lambda x: 0.7 * x,
        "jax.numpy",
        normal(4, 7),
        differentiable_oracle=True,
    ),
    *(
        FunctionRow(
            f"embed{variant}",
            embed,
            embed,
            _one_hot_embed,
            "jax.nn.one_hot",
            lambda rng, batch, shape=shape: (rng.normal(size=(5, 3)), rng.integers(5, size=(batch, *shape))),
            differentiable_oracle=True,
        )
        for variant, shape in (("", ()), (", sequences", (6,)))
    ),
    FunctionRow(
        "maxout_dense",
        maxout_dense,
        _pieces,
        _plain_pieces,
        "jax.numpy",
        lambda rng, batch: (rng.normal(size=(4, 15)), rng.normal(size=15), rng.normal(size=(batch, 4))),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "softmax_cross_entropy",
        softmax_cross_entropy,
        softmax_cross_entropy,
        optax.softmax_cross_entropy_with_integer_labels,
        "optax.softmax_cross_entropy_with_integer_labels",
        logits_and_labels,
        differentiable_oracle=True,
    ),
    FunctionRow(
        "softmax_cross_entropy, probabilities",
        softmax_cross_entropy,
        softmax_cross_entropy,
        optax.softmax_cross_entropy,
        "optax.softmax_cross_entropy",
        logits_and_probabilities,
        differentiable_oracle=True,
    ),
]

LAYER_LAYERS = [
    LayerRow("Dense", layers.Dense, layers.Dense(4), (3,)),
    LayerRow("Dense, sequences", layers.Dense, layers.Dense(4), (2, 5, 3)),
    LayerRow("Dense, no bias", layers.Dense, layers.Dense(4, use_bias=False), (3,)),
    *POOLING_LAYERS,
    *NORMALIZATION_LAYERS,
    LayerRow("Dropout", Dropout, Dropout(0.3), (3, 5)),
    LayerRow("Embedding", Embedding, Embedding(9, 4), (6,), integers=9),
    LayerRow("Maxout", Maxout, Maxout(4, pieces=3), (5,)),
    LayerRow("Maxout, sequences", Maxout, Maxout(4, pieces=3), (2, 5)),
    LayerRow("Flatten", Flatten, Flatten(), (2, 3, 2)),
    LayerRow("Elementwise", Elementwise, Elementwise(jnp.exp, lambda y: y), (5,)),
    LayerRow("ElementwiseOfInput", ElementwiseOfInput, ElementwiseOfInput(lambda x: (jnp.sin(x), jnp.cos(x))), (5,)),
    LayerRow("ReLU", ReLU, ReLU(), (3, 5)),
    LayerRow("LeakyReLU", LeakyReLU, LeakyReLU(0.1), (5,)),
    LayerRow("ELU", ELU, ELU(1.5), (5,)),
    LayerRow("Sigmoid", Sigmoid, Sigmoid(), (5,)),
    LayerRow("Tanh", Tanh, Tanh(), (5,)),
    LayerRow("ScaledTanh", ScaledTanh, ScaledTanh(), (5,)),
    LayerRow("Softplus", Softplus, Softplus(), (5,)),
    LayerRow("SiLU", SiLU, SiLU(), (5,)),
    LayerRow("GELU", GELU, GELU(), (5,)),
    LayerRow("CELU", CELU, CELU(0.5), (5,)),
    LayerRow("SELU", SELU, SELU(), (5,)),
    LayerRow("ReLU6", ReLU6, ReLU6(), (5,)),
    LayerRow("HardTanh", HardTanh, HardTanh(), (5,)),
    LayerRow("HardSigmoid", HardSigmoid, HardSigmoid(), (5,)),
    LayerRow("HardSwish", HardSwish, HardSwish(), (5,)),
    LayerRow("SoftShrink", SoftShrink, SoftShrink(0.3), (5,)),
    LayerRow("HardShrink", HardShrink, HardShrink(0.3), (5,)),
    LayerRow("TanhShrink", TanhShrink, TanhShrink(), (5,)),
    LayerRow("ThresholdLinear", ThresholdLinear, ThresholdLinear(above=0.2, otherwise=1.0), (5,)),
    LayerRow("Mish", Mish, Mish(), (5,)),
    LayerRow("Softsign", Softsign, Softsign(), (5,)),
    LayerRow("LogSigmoid", LogSigmoid, LogSigmoid(), (5,)),
    LayerRow("PReLU", PReLU, PReLU(), (3, 5)),
    LayerRow("PReLU, per feature", PReLU, PReLU(per_feature=True), (3, 5)),
    LayerRow("RReLU", RReLU, RReLU(), (3, 5)),
    LayerRow("Softmax", Softmax, Softmax(), (3, 5)),
    LayerRow("Softmin", Softmin, Softmin(axis=1), (3, 5)),
    LayerRow("LogSoftmax", LogSoftmax, LogSoftmax(), (3, 5)),
    LayerRow("GLU", GLU, GLU(), (3, 6)),
]
