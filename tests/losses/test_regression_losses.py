"""Losses of regression: sums without a half, Huber between both, and no broadcasting."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn.losses import absolute_error, huber, squared_error

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

EVERY = pytest.mark.parametrize("loss", [absolute_error, huber, squared_error])


@EVERY
@given(shape=st.sampled_from([(1,), (3,), (3, 1), (2, 4), (2, 3, 2, 1)]), seed=st.integers(0, 5))
def test_features_of_any_shape_are_summed(loss, shape, seed):
    y, t = jnp.asarray(np.random.default_rng(seed).normal(size=(2, *shape)))
    each = loss(y.reshape(-1), t.reshape(-1)).reshape(shape[0], -1).sum(axis=1)
    assert_close(loss(y, t), each)
    assert_close(loss(t, y), each)
    assert not loss(y, y).any()


@EVERY
def test_a_column_against_a_row_does_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"`targets` must have the shape of `outputs`, \(4, 1\); received \(4,\)"):
        loss(jnp.zeros((4, 1)), jnp.zeros(4))
    with pytest.raises(ValueError, match="`outputs` must have a batch axis"):
        inspect.unwrap(loss)(jnp.zeros(()), jnp.zeros(()))


def test_gradients_are_as_documented():
    e = jnp.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    gradient = lambda loss: jax.grad(lambda e: loss(e, jnp.zeros(7)).sum())(e)
    assert_close(gradient(squared_error), 2 * e)
    assert_close(gradient(absolute_error), jnp.sign(e))
    assert_close(gradient(huber), jnp.clip(e, -1, 1))


def test_huber_is_finite_where_a_square_is_not():
    value, gradient = jax.value_and_grad(lambda e: huber(e, jnp.zeros(2)).sum())(jnp.array([1e30, -3e38]))
    assert np.isfinite(value)
    assert gradient.tolist() == [1, -1]
    with pytest.raises(ValueError, match="`delta` must lie in"):
        huber(jnp.zeros(1), jnp.zeros(1), delta=-1.0)


def test_the_minima_are_mean_and_median(x64):
    sample = jnp.array([0.0, 0.1, 0.3, 1.0, 9.0])
    centres = jnp.linspace(0, 9, 9001)
    best = lambda loss: float(centres[jax.vmap(lambda c: loss(sample, jnp.full(5, c)).sum())(centres).argmin()])
    assert best(squared_error) == pytest.approx(2.08)
    assert best(absolute_error) == pytest.approx(0.3)
    assert 0.3 < best(huber) < 2.08


def test_many_features_are_summed_in_float32():
    e = jnp.full((1, 4096), 1.0, jnp.bfloat16)
    assert squared_error(e, 0 * e) == 4096
