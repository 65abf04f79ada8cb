"""Properties of every layer that networks are composed of: its backward pass is the derivative of its forward pass."""

import jax
import jax.numpy as jnp
import pytest
from catalog import NETWORK_LAYERS, over
from rings import DTYPES, first_of
from tolerances import assert_close, directional_error

from jaxnn.layers.hand_written import run
from jaxnn.verification.row_checks import layer_arguments, layer_cases

TRAIN = first_of("train", [True, False], ids=lambda train: "train" if train else "test")
KEY = jax.random.key(7)


def prepared(row, *, dtype="float64"):
    params, x, state, _ = layer_arguments(row, dtype, batch=4)
    return params, x, state


def value(row, state, train):
    return lambda params, x: run(row.layer, params, x, state=state, train=train, key=KEY)[0]


@pytest.mark.full
@over(NETWORK_LAYERS)
@pytest.mark.parametrize("batch", [4, 1])  # `verify` takes 17
def test_backward_is_the_vjp_of_forward(row, batch, x64):
    assert [case for case in layer_cases(row, "float64", batch=batch) if not case.difference <= case.tolerance] == []


@over(NETWORK_LAYERS)
@TRAIN
def test_backward_agrees_with_central_differences(row, train, x64):
    """Of the layer made differentiable by its own backward pass."""
    params, x, state = prepared(row)

    @jax.custom_vjp
    def hand_written(params, x):
        return value(row, state, train)(params, x)

    forward = lambda params, x: run(row.layer, params, x, state=state, train=train, key=KEY)
    hand_written.defvjp(forward, row.layer.backward)
    if row.integers is not None:
        leaves, tree = jax.tree.flatten(params)
        error = directional_error(lambda *leaves: hand_written(jax.tree.unflatten(tree, leaves), x), leaves)
    else:
        leaves, tree = jax.tree.flatten((params, x))
        error = directional_error(lambda *leaves: hand_written(*jax.tree.unflatten(tree, leaves)), leaves)
    assert error < 1e-6


@over(NETWORK_LAYERS)
@TRAIN
@DTYPES
def test_both_passes_keep_dtypes_and_shapes(row, train, dtype, x64):
    params, x, state = prepared(row, dtype=dtype)

    def both(params, x, state):
        y, residuals = run(row.layer, params, x, state=state, train=train, key=KEY)
        return y, *row.layer.backward(residuals, jnp.ones_like(y)), row.layer.advance(state, residuals)

    y, dparams, dx, advanced = jax.eval_shape(both, params, x, state)
    assert y.dtype == dtype
    like = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    assert like(dparams) == like(params)
    if row.integers is None:
        assert like(dx) == like(x)
    assert like(advanced) == like(state)


@pytest.mark.full
@over(NETWORK_LAYERS)
@TRAIN
def test_compiled_both_passes_give_the_same_as_one_by_one(row, train):
    params, x, state = prepared(row, dtype="float32")

    def both(params, x):
        y, residuals = run(row.layer, params, x, state=state, train=train, key=KEY)
        return y, row.layer.backward(residuals, jnp.cos(y))

    assert_close(jax.jit(both)(params, x), both(params, x))


@over(NETWORK_LAYERS)
def test_initial_parameters_depend_on_the_key_alone(row):
    _, x, _ = prepared(row, dtype="float32")
    params = row.layer.init(KEY, x)
    assert_close(params, row.layer.init(KEY, x), rtol=0)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
