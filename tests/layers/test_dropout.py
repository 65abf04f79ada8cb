import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.layers.dropout_masks import Dropout, dropout, unscaled_dropout, weight_scaled
from jaxnn.layers.hand_written import run

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

KEY = jax.random.key(0)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.8, 1 / 3])
def test_keeps_the_expectation(rate):
    """Within four standard deviations of the mean of n masks: sqrt(rate / (1 - rate) / n)."""
    n = 200_000
    mean = float(dropout(KEY, jnp.ones((n // 100, 100)), rate=rate).mean())
    assert abs(mean - 1) < 4 * (rate / (1 - rate) / n) ** 0.5
    unscaled = float(unscaled_dropout(KEY, jnp.ones(n), rate=rate).mean())
    assert abs(unscaled - (1 - rate)) < 4 * (rate * (1 - rate) / n) ** 0.5
    assert_close(weight_scaled(jnp.ones(3), rate=rate), jnp.full(3, 1 - rate))


@pytest.mark.parametrize("rate", [0.5, 0.3], ids=["8 bits", "16 bits"])
def test_elements_are_dropped_independently(rate):
    """Neighbours are cut from one word of random bits: no pair within it may be correlated."""
    dropped = np.asarray(dropout(KEY, jnp.ones((20_000, 8)), rate=rate)) == 0
    correlation = np.corrcoef(dropped.T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / 20_000**0.5
    np.testing.assert_allclose(dropped.mean(axis=0), rate, atol=5 * 0.5 / 20_000**0.5)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (2, 3, 7)], ids=str)
@pytest.mark.parametrize("rate", [0.5, 0.3])
def test_any_shape(shape, rate):
    y = dropout(KEY, jnp.ones(shape), rate=rate)
    assert y.shape == shape
    assert set(np.unique(y.round(3))) <= {0, np.float32(round(1 / (1 - rate), 3))}


def test_the_gradient_passes_where_the_value_did():
    x, dy = jax.random.normal(KEY, (2, 50, 7))
    y, pull = jax.vjp(lambda x: dropout(KEY, x, rate=0.4), x)
    assert_close(pull(dy)[0], dy * y / x)


def test_what_is_dropped_is_gone_whatever_it_was():
    y = dropout(KEY, jnp.full(100, jnp.inf), rate=0.5)
    assert not jnp.isnan(y).any()
    assert (y == 0).any()


def test_another_key_drops_others_and_the_same_key_the_same():
    x = jnp.ones(100)
    assert (dropout(KEY, x, rate=0.5) == dropout(KEY, x, rate=0.5)).all()
    assert (dropout(KEY, x, rate=0.5) != dropout(jax.random.key(1), x, rate=0.5)).any()


def test_rates_may_be_traced_and_mapped():
    rates, x = jnp.array([0.0, 0.3, 0.9]), jnp.ones(4000)
    y, gradient = jax.jit(jax.vmap(jax.value_and_grad(lambda x, r: dropout(KEY, x, rate=r).mean()), (None, 0)))(
        x, rates
    )
    np.testing.assert_allclose(y, 1, atol=0.2)
    np.testing.assert_allclose((gradient == 0).mean(axis=1), rates, atol=0.04)
    one = dropout(KEY, x, rate=0.3)
    assert_close(jax.jit(lambda r: dropout(KEY, x, rate=r))(0.3), one)


def test_keys_may_be_mapped():
    keys = jax.random.split(KEY, 3)
    mapped = jax.vmap(jax.grad(lambda x, key: dropout(key, x, rate=0.3).sum()), (None, 0))(jnp.ones(9), keys)
    assert_close(mapped, jnp.stack([dropout(key, jnp.ones(9), rate=0.3) for key in keys]))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1, float("nan")])
def test_rates_are_probabilities_below_one(rate):
    for drop in (
        lambda: dropout(KEY, jnp.ones(3), rate=rate),
        lambda: unscaled_dropout(KEY, jnp.ones(3), rate=rate),
        lambda: weight_scaled(jnp.ones(3), rate=rate),
        lambda: Dropout(rate),
    ):
        with pytest.raises(ValueError, match="`rate` must be at least 0 and less than 1; received"):
            drop()


def test_a_scalar_is_refused():
    with pytest.raises(ValueError, match=r"`x` must have shape \(..., features\); received \(\)"):
        dropout(KEY, jnp.float32(1.0), rate=0.5)


def test_the_layer_does_nothing_in_test_mode():
    x = jax.random.normal(KEY, (4, 5))
    y, residuals = run(Dropout(0.5), (), x, train=False, key=KEY)
    assert (y == x).all()
    assert (Dropout(0.5).backward(residuals, x)[1] == x).all()
    assert (run(Dropout(0.5), (), x, train=True, key=KEY)[0] != x).any()
