"""Properties of every layer that networks are composed of: its backward pass is the derivative of its forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import NETWORK_LAYERS, over
from rings import DTYPES, first_of
from tolerances import assert_close, directional_error

from jaxnn.layers.hand_written import run

TRAIN = first_of("train", [True, False], ids=lambda train: "train" if train else "test")
KEY = jax.random.key(7)


def inputs(row, *, batch=4, dtype="float64", seed=0):
    rng, shape = np.random.default_rng(seed), (batch, *row.x_shape)
    if row.integers is not None:
        return jnp.asarray(rng.integers(row.integers, size=shape))
    return jnp.asarray(rng.normal(size=shape), dtype)


def prepared(row, *, batch=4, dtype="float64"):
    """`(params, x, state)`, the parameters moved off their initial values, which may be zeros and ones."""
    x = inputs(row, batch=batch, dtype=dtype)
    params, state = row.layer.init(KEY, x), row.layer.init_state(x)
    rng = np.random.default_rng(1)
    move = lambda p: jnp.asarray(p, dtype) + jnp.asarray(0.1 * rng.normal(size=p.shape), dtype)
    return jax.tree.map(move, params), x, state


def value(row, state, train):
    return lambda params, x: run(row.layer, params, x, state=state, train=train, key=KEY)[0]


@over(NETWORK_LAYERS)
@TRAIN
@first_of("batch", [4, 1])  # `verify` takes 17
def test_backward_is_the_vjp_of_forward(row, train, batch, x64):
    params, x, state = prepared(row, batch=batch)
    integers = row.integers is not None

    @jax.jit
    def both(params, x):
        y, residuals = run(row.layer, params, x, state=state, train=train, key=KEY)
        dy = jnp.asarray(np.random.default_rng(2).normal(size=y.shape))
        dparams, dx = row.layer.backward(residuals, dy)
        f = value(row, state, train)
        if integers:
            assert dx is None
            return dparams, jax.vjp(lambda params: f(params, x), params)[1](dy)[0]
        return (dparams, dx), jax.vjp(f, params, x)[1](dy)

    assert_close(*both(params, x), rtol=1e-10)


@over([row for row in NETWORK_LAYERS if row.smooth])
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
    x = inputs(row, dtype="float32")
    params = row.layer.init(KEY, x)
    assert_close(params, row.layer.init(KEY, x), rtol=0)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
