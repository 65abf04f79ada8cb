"""Dropout in the multi-layer perceptron: in training only, of hidden activations only, at a rate that may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.models import MLP

X = jnp.ones((400, 4))


def hidden_layer_of(model, *, train=True, key=0):
    """A layer of ones, whose sum the logits are."""
    variables = model.init(jax.random.key(0), X)
    ones = jax.tree.map(lambda leaf: jnp.full_like(leaf, leaf.ndim - 1), variables)  # kernels 1, biases 0
    return model.apply(ones, X, train=train, rngs={"dropout": jax.random.key(key)}) / 4


@pytest.mark.full
def test_in_training_hidden_activations_are_dropped_and_the_rest_scaled():
    kept = np.asarray(hidden_layer_of(MLP(features=(50,), classes=1, dropout_rate=0.25)))
    assert set(np.round(kept * 0.75).ravel()) <= set(range(51))
    np.testing.assert_allclose(kept.mean(), 50, rtol=0.01)
    np.testing.assert_allclose(kept.var(), 50 * 0.25 / 0.75, rtol=0.3)


def test_in_use_nothing_is_dropped_and_no_rate_needs_no_key():
    assert np.asarray(hidden_layer_of(MLP(features=(50,), classes=1, dropout_rate=0.25), train=False)).var() == 0
    model = MLP(features=(50,), classes=1)
    assert model.apply(model.init(jax.random.key(0), X), X, train=True).shape == (400, 1)


@pytest.mark.full
def test_a_traced_rate_is_that_rate():
    def at(rate):
        return hidden_layer_of(MLP(features=(50,), classes=1, dropout_rate=rate)).var()

    rates = jnp.array([0.0, 0.1, 0.6])
    np.testing.assert_allclose(jax.vmap(at)(rates), 50 * rates / (1 - rates), rtol=0.3)
