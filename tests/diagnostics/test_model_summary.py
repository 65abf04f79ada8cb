"""Summaries: the published counts, whatever Flax does between a model and its layers, and nothing computed."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxnn.diagnostics import format_summary, summarize
from jaxnn.diagnostics.multiply_adds import count_multiply_adds, has_while
from jaxnn.layers import convolve
from jaxnn.models import MLP, LeNet5, LeNet1998, SoftmaxRegression

LENET5 = [
    ("conv1", "Conv", (28, 28, 6), 156, 117_600),
    ("conv2", "Conv", (10, 10, 16), 2_416, 240_000),
    ("dense1", "Dense", (120,), 48_120, 48_000),
    ("dense2", "Dense", (84,), 10_164, 10_080),
    ("logits", "Dense", (10,), 850, 840),
]


class Head(nn.Module):
    """Layers in a list, and a child that is called by another name than `__call__`."""

    def setup(self):
        self.layers = [nn.Dense(3), nn.Dense(2)]
        self.last = Encoder()

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.last.encode(x)


class Encoder(nn.Module):
    """Not called as a function."""

    @nn.compact
    def encode(self, x):
        return nn.Dense(4, name="dense")(x)


class Turn(nn.Module):
    """The body of a scan."""

    @nn.compact
    def __call__(self, carry, _):
        return nn.Dense(4, name="dense")(carry), None


class Everything(nn.Module):
    """A model that uses what Flax offers; on inputs of 6 numbers."""

    @nn.compact
    def __call__(self, x, *, train):
        x = Head(name="head")(x)
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
        x = nn.Dropout(0.5, deterministic=not train, name="dropout")(x)
        x = nn.remat(nn.Dense)(4, name="remat")(x)
        scan = nn.scan(Turn, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = scan(name="scan")(x, None)
        shared = nn.Dense(4, name="shared")
        x = shared(shared(x))
        x = nn.MultiHeadDotProductAttention(1, name="attention")(x[:, None].repeat(2, axis=1))
        x = nn.RNN(nn.SimpleCell(5, name="cell"), name="rnn")(x)
        return x @ self.param("readout", nn.initializers.ones, (5, 2))


def row(summary, name):
    return next(row for row in summary.rows if row.name == name)


@pytest.mark.parametrize("lowering", [None, "tiled", "canonical", "xla"])
def test_lenet5_counts_as_published_however_it_is_lowered(lowering):
    summary = summarize(LeNet5(convolution=partial(convolve, lowering=lowering)), (28, 28, 1))
    assert [tuple(row) for row in summary.rows] == LENET5
    assert (summary.parameters, summary.multiply_adds, summary.parameter_bytes) == (61_706, 416_520, 4 * 61_706)
    assert (summary.state, summary.has_while, summary.model, summary.input_shape) == (0, False, "LeNet5", (28, 28, 1))


def test_a_convolution_of_the_users_is_counted_as_it_is():
    assert summarize(LeNet5(convolution=jax.lax.conv_general_dilated), (28, 28, 1)).multiply_adds == 416_520
    twice = lambda *a, **k: 0.5 * (convolve(*a, **k, lowering="canonical") + jax.lax.conv_general_dilated(*a, **k))
    assert row(summarize(LeNet5(convolution=twice), (28, 28, 1)), "conv1").multiply_adds == 2 * 117_600


def test_lenet_of_1998():
    summary = summarize(LeNet1998(), (32, 32, 1))
    sizes = {row.name: row.parameters for row in summary.rows}
    assert sizes == {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164}
    assert summary.parameters == 60_000
    assert row(summary, "C3")[1:] == ("PartialConvolution", (10, 10, 16), 1_516, 240_000)
    assert row(summary, "S2").multiply_adds == 0


@pytest.mark.parametrize(
    ("model", "parameters", "multiply_adds"),
    [
        (MLP(features=(300, 100)), 266_610, 266_200),
        (MLP(features=[128]), 101_770, 101_632),
        (SoftmaxRegression(), 7_850, 7_840),
    ],
)
def test_dense_models(model, parameters, multiply_adds):
    summary = summarize(model, (28, 28, 1))
    assert (summary.parameters, summary.multiply_adds) == (parameters, multiply_adds)


def test_every_product_finds_its_layer():
    summary = summarize(Everything(), (6,))
    multiply_adds = {row.name: row.multiply_adds for row in summary.rows}
    assert multiply_adds == {
        "Everything": 2 * 5 * 2,  # the readout is the model's own
        "head/layers_0": 6 * 3,
        "head/layers_1": 3 * 2,
        "head/last/dense": 2 * 4,
        "norm": 0,
        "dropout": 0,
        "remat": 4 * 4,
        "scan/dense": 3 * 4 * 4,
        "shared": 2 * 4 * 4,
        "attention/query": 2 * 4 * 4,
        "attention/key": 2 * 4 * 4,
        "attention/value": 2 * 4 * 4,
        "attention/out": 2 * 4 * 4,
        "attention": 2 * (2 * 2 * 4),
        "cell/i": 2 * 4 * 5,
        "cell/h": 2 * 5 * 5,
        "rnn": 0,
    }
    assert summary.multiply_adds == sum(multiply_adds.values())


def test_every_parameter_finds_its_layer_and_state_is_counted_apart():
    model = Everything()
    summary = summarize(model, (6,))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 6)), train=False))
    assert summary.parameters == sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert summary.parameters == sum(row.parameters for row in summary.rows)
    assert (row(summary, "scan/dense").parameters, row(summary, "shared").parameters) == (60, 20)
    assert (row(summary, "norm").parameters, summary.state) == (8, 8)
    assert row(summary, "Everything").parameters == 10


def test_outputs_and_kinds():
    summary = summarize(Everything(), (6,))
    assert row(summary, "attention")[1:3] == ("MultiHeadDotProductAttention", (2, 4))
    assert row(summary, "rnn")[1:3] == ("RNN", (2, 5))
    assert row(summary, "scan/dense")[1:3] == ("Dense", None)
    assert row(summary, "Everything").output == (2, 2)


def test_input_types_and_precision():
    class Words(nn.Module):
        @nn.compact
        def __call__(self, words):
            return nn.Dense(2, param_dtype=jnp.bfloat16, name="dense")(nn.Embed(100, 8, name="embed")(words))

    summary = summarize(Words(), (5,), dtype=jnp.int32)
    assert [tuple(row) for row in summary.rows] == [
        ("embed", "Embed", (5, 8), 800, 0),
        ("dense", "Dense", (5, 2), 18, 5 * 8 * 2),
    ]
    assert summary.parameter_bytes == 800 * 4 + 18 * 2


def test_nothing_is_computed():
    """Four terabytes of parameters, and a product that takes hours."""
    with jax.transfer_guard("disallow"):
        summary = summarize(MLP(features=(1_000_000, 1_000_000)), (8,))
    assert summary.parameters == 9 * 10**6 + 10**12 + 10**6 + 10**7 + 10
    assert "3.64 TiB" in format_summary(summary)


def test_convolutions_are_counted_by_taps():
    def count(padding="SAME", **options):
        x = jax.ShapeDtypeStruct((1, 8, 8, 6), jnp.float32)
        kernel = jax.ShapeDtypeStruct((3, 3, 6 // options.get("feature_group_count", 1), 4), jnp.float32)
        convolution = partial(
            convolve, window_strides=options.pop("strides", (1, 1)), padding=padding, lowering="xla", **options
        )
        return sum(count_multiply_adds(jax.make_jaxpr(convolution)(x, kernel).jaxpr).values())

    assert count() == 64 * 9 * 6 * 4
    assert count(padding="VALID") == 36 * 9 * 6 * 4
    assert count(strides=(2, 2)) == 16 * 9 * 6 * 4
    assert count(feature_group_count=2) == 64 * 9 * 3 * 4
    assert count(lhs_dilation=(2, 2), padding=((1, 2), (1, 2))) == 64 * 9 * 6 * 4  # every input meets every tap once


def test_loops_and_conditions():
    square = jax.ShapeDtypeStruct((4, 4), jnp.float32)
    count = lambda f: count_multiply_adds(jax.make_jaxpr(f)(square).jaxpr).total()
    five_turns = lambda a: jax.lax.fori_loop(0, 5, lambda _, x: x @ a, a)
    until_small = lambda a: jax.lax.while_loop(lambda x: x[0, 0] > 1, lambda x: x @ a, a)
    either = lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a, lambda: a @ a @ a)
    assert count(five_turns) == 5 * 64
    assert count(jax.jit(five_turns)) == 5 * 64
    assert count(until_small) == 64
    assert count(either) == 2 * 64
    assert [has_while(jax.make_jaxpr(jax.jit(f))(square).jaxpr) for f in (five_turns, until_small)] == [False, True]


def test_the_table():
    assert format_summary(summarize(LeNet5(), (28, 28, 1))).split("\n") == [
        "LeNet5 on 28 x 28 x 1",
        "",
        "layer   kind         output  parameters  multiply-adds",
        "------------------------------------------------------",
        "conv1   Conv    28 x 28 x 6         156        117 600",
        "conv2   Conv   10 x 10 x 16       2 416        240 000",
        "dense1  Dense           120      48 120         48 000",
        "dense2  Dense            84      10 164         10 080",
        "logits  Dense            10         850            840",
        "------------------------------------------------------",
        "total                            61 706        416 520",
        "",
        "parameters take 241 KiB; multiply-adds are of one example, forward",
    ]


def test_the_table_says_what_else_is_to_know():
    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=True, name="a_name_that_goes_on_and_on_and_on_and_on")(x)
            return jax.lax.while_loop(lambda x: x.sum() > 1, lambda x: x / 2, x)

    lines = format_summary(summarize(Deep(), (10, 500)))
    assert "...that_goes_on_and_on_and_on_and_on  BatchNorm" in lines
    assert "1 000 numbers more are kept but not trained" in lines
    assert "counted as one turn" in lines
    assert max(map(len, lines.split("\n"))) <= 100


@pytest.mark.parametrize("input_shape", [(28, 28), (4, 4, 1), (8, 8, 1), (28, 28, 0), (28, -1, 1)])
def test_a_shape_that_does_not_fit_is_refused_by_name(input_shape):
    with pytest.raises(ValueError, match="LeNet5 cannot take inputs of `input_shape`") as caught:
        summarize(LeNet5(), input_shape)
    assert str(input_shape) in str(caught.value)
    assert "without the batch axis" in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [LeNet5, (lambda key, x: 0, lambda params, x: x), "lenet5"])
def test_what_is_no_module_is_refused(model):
    with pytest.raises(ValueError, match="`model` must be a Flax linen module; received"):
        summarize(model, (28, 28, 1))
