"""What acts on the last axis takes any number of axes before it, forward and backward; integers give right numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn import layers
from jaxnn.layers.hand_written import run

SHAPES = [(4,), (2, 4), (2, 3, 4), (2, 3, 5, 4)]
KEY = jax.random.key(0)
ANY_AXES = {
    "Dense": layers.Dense(3),
    "Dense, no bias": layers.Dense(3, use_bias=False),
    "Maxout": layers.Maxout(3, pieces=2),
    "Dropout": layers.Dropout(0.3),
    "PReLU": layers.PReLU(per_feature=True),
    "RReLU": layers.RReLU(),
    "Softmax": layers.Softmax(),
    "LogSoftmax": layers.LogSoftmax(),
    "GLU": layers.GLU(),
    "GELU": layers.GELU(),
    "LocalResponseNorm": layers.LocalResponseNorm(size=3, alpha=0.3),
}
FROM_TWO_AXES = {
    "LayerNorm": layers.LayerNorm(),
    "RMSNorm": layers.RMSNorm(),
    "GroupNorm": layers.GroupNorm(2),
    "Flatten": layers.Flatten(),
}


def of_all_shapes(layer, shapes):
    """Gradients by the backward pass and by `jax.vjp` of the forward pass, of all shapes in one program."""
    rng = np.random.default_rng(0)
    cases = []
    for shape in shapes:
        x = jnp.asarray(rng.normal(size=shape))
        params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), layer.init(KEY, x))
        cases.append((params, x))

    def both(params, x):
        forward = lambda params, x: run(layer, params, x, train=True, key=KEY)
        y, residuals = forward(params, x)
        ours = layer.backward(residuals, jnp.cos(y))
        return ours, jax.vjp(lambda *arguments: forward(*arguments)[0], params, x)[1](jnp.cos(y))

    return zip(*jax.jit(lambda cases: [both(*case) for case in cases])(cases), strict=True)


@first_of("name", [*ANY_AXES, *FROM_TWO_AXES])
def test_backward_is_the_vjp_for_any_leading_axes(name, x64):
    assert_close(*of_all_shapes({**ANY_AXES, **FROM_TWO_AXES}[name], SHAPES[name in FROM_TWO_AXES :]))


@pytest.mark.full
def test_an_example_of_a_sequence_is_what_it_is_alone(x64):
    """The gradient of the kernel is the sum over all positions."""
    x, dy = (jnp.asarray(np.random.default_rng(i).normal(size=(2, 3, n))) for i, n in enumerate((4, 5)))
    layer = layers.Dense(5)
    params = layer.init(KEY, x)
    (y, residuals), (rows, of_rows) = layer.forward(params, x), layer.forward(params, x.reshape(6, 4))
    assert_close(y.reshape(6, 5), rows)
    (dparams, dx), (same, drows) = layer.backward(residuals, dy), layer.backward(of_rows, dy.reshape(6, 5))
    assert_close((dparams, dx.reshape(6, 4)), (same, drows))
    assert_close(layers.dense(params, x[0, 0]), y[0, 0])


@pytest.mark.full
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 5)], ids=str)
def test_ids_of_any_shape_and_tables_of_any_dtype(shape):
    layer = layers.Embedding(7, 4, dtype=jnp.bfloat16)
    ids = jnp.asarray(np.random.default_rng(0).integers(7, size=shape))
    params = layer.init(KEY, ids)
    y, residuals = layer.forward(params, ids)
    dparams, _ = layer.backward(residuals, jnp.ones_like(y))
    assert y.shape == (*shape, 4)
    assert {y.dtype, params["embedding"].dtype, dparams["embedding"].dtype} == {jnp.dtype("bfloat16")}
    assert dparams["embedding"].sum() == ids.size * 4


@pytest.mark.full
@pytest.mark.parametrize("make", [layers.Dense, layers.Maxout])
def test_features_that_do_not_fit_are_refused_with_the_remedy(make):
    layer = make(3)
    params = layer.init(KEY, jnp.ones((2, 4)))
    with pytest.raises(ValueError, match=r"`x` must have shape \(..., in\), .* received \(2, 2, 2\), .* a Flatten"):
        layer.forward(params, jnp.ones((2, 2, 2)))


# ------------------------------------------------------------------------------------------------- integers


@pytest.mark.full
@pytest.mark.parametrize("strides", [None, (1, 1)], ids=["disjoint", "overlapping"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_integers_are_pooled(dtype, strides):
    """A sum of four bytes does not fit into a byte, and a padding of zeros would win against negative numbers."""
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 256, size=(2, 6, 4, 3))
    x = (x - 300 * (dtype == "int32")).astype(dtype)
    padding = "VALID" if strides is None else ((1, 0), (0, 1))
    form = {"strides": strides, "padding": padding}
    largest = layers.max_pool(jnp.asarray(x), (2, 2), **form)
    assert largest.dtype == dtype
    assert_close(largest.astype(float), layers.max_pool(jnp.asarray(x, "float32"), (2, 2), **form))
    for counted in (True, False):
        mean = layers.average_pool(jnp.asarray(x), (2, 2), **form, count_include_pad=counted)
        expected = layers.average_pool(jnp.asarray(x, "float32"), (2, 2), **form, count_include_pad=counted)
        assert_close(mean, expected)
    assert_close(layers.adaptive_average_pool(jnp.asarray(x), (2, 3)), layers.adaptive_average_pool(x * 1.0, (2, 3)))


@pytest.mark.full
def test_layers_that_would_round_to_integers_refuse_them():
    x, params = jnp.ones((2, 4), jnp.int32), {"scale": jnp.ones(4), "bias": jnp.zeros(4)}
    refusing = (
        lambda: layers.layer_norm(params, x),
        lambda: layers.batch_norm(params, x),
        lambda: layers.dropout(KEY, x, rate=0.3),
        lambda: layers.weight_scaled(x, rate=0.3),
        lambda: layers.masked_dropout(x > 0, x, rate=0.3),
    )
    for refuse in refusing:
        with pytest.raises(ValueError, match=r"`x` must be floats; received int32. Take x.astype\(float\)\?"):
            refuse()
