"""Properties of every model in the catalog."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import MODELS, over
from rings import DTYPES
from tolerances import assert_close

from jaxnn.losses import cross_entropy
from jaxnn.verification.row_checks import model_cases


def images(row, *, batch=3, dtype="float32", seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, *row.shape)), dtype)


def variables_of(row, *, dtype="float32", seed=0):
    """Parameters that are nowhere zero, so that no layer can hide behind another's zeros."""
    shapes = jax.eval_shape(row.module.init, jax.random.key(0), images(row, batch=1))
    rng = np.random.default_rng(seed)
    fan_in = lambda leaf: max(1, np.prod(leaf.shape[:-1]))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(fan_in(leaf)), dtype), shapes)


@over(MODELS)
def test_the_published_table_sums_to_the_published_number(row):
    assert sum(row.layers.values()) == row.parameters


@over(MODELS)
def test_documents_its_number_of_parameters(row):
    assert f"{row.parameters:,}".replace(",", " ") in inspect.getdoc(type(row.module))


@over(MODELS)
def test_a_small_batch_agrees_with_its_oracle(row, x64):
    """Which takes another convolution than the batch of 17 that `verify` compares."""
    assert [case for case in model_cases(row, "float64", batch=3) if not case.difference <= case.tolerance] == []


@over(MODELS)
@DTYPES
def test_keeps_dtype(row, dtype, x64):
    logits = jax.eval_shape(row.module.apply, variables_of(row, dtype=dtype), images(row, dtype=dtype))
    assert logits.dtype == (row.half_logits if dtype == "bfloat16" else dtype)


@over(MODELS)
def test_bfloat16_logits_are_near(row):
    exact = jax.jit(row.module.apply)(variables_of(row), images(row))
    rounded = jax.jit(row.module.apply)(variables_of(row, dtype="bfloat16"), images(row, dtype="bfloat16"))
    assert_close(rounded, exact, rtol=5e-2)  # the error of a few layers adds up


@over(MODELS)
def test_compiles_once_and_every_example_is_on_its_own(row, traced_once):
    apply = jax.jit(traced_once(lambda variables, x: row.module.apply(variables, x, train=False)))
    variables, x = variables_of(row), images(row, batch=4)
    logits = apply(variables, x)
    assert_close(apply(variables, x[::-1]), logits[::-1])
    alone = jax.jit(row.module.apply)(variables, x[1:2])
    assert_close(alone, logits[1:2])


@over(MODELS)
def test_works_under_vmap(row):
    members, x = [variables_of(row, seed=seed) for seed in (0, 1)], images(row)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    mapped = jax.jit(jax.vmap(row.module.apply, (0, None)))(stacked, x)
    assert_close(mapped, jnp.stack([jax.jit(row.module.apply)(member, x) for member in members]))


@over(MODELS)
def test_gradients_reach_every_parameter(row):
    variables, x = variables_of(row), images(row, batch=16)
    loss = lambda variables: cross_entropy(row.module.apply(variables, x), jnp.arange(16) % 10).sum()
    for path, gradient in jax.tree.leaves_with_path(jax.jit(jax.grad(loss))(variables)):
        assert np.isfinite(gradient).all(), path
        assert (gradient != 0).any(), path


@pytest.mark.full
@over(MODELS)
def test_starts_with_logits_of_ordinary_size(row):
    """Initial parameters: reproducible by key, and no layer saturates or explodes on standardized images."""
    init = jax.jit(row.module.init)
    variables = init(jax.random.key(0), images(row, batch=1))
    assert_close(variables, init(jax.random.key(0), images(row, batch=1)), rtol=0)
    losses = cross_entropy(jax.jit(row.module.apply)(variables, images(row, batch=8)), jnp.arange(8))
    assert 0.5 < float(losses.mean()) < 40


@over(MODELS)
def test_rejects_bad_shapes(row):
    with pytest.raises(Exception, match=row.message):
        jax.eval_shape(row.module.apply, variables_of(row), jnp.zeros((2, *row.bad_shape)))
