"""Losses of embeddings: where they stop to pull and push, and where a distance has no derivative."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.losses import contrastive, negative_sampling, triplet

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def test_triplet_gradients_are_as_documented_and_stop_at_the_margin(x64):
    a, p, n = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 2)))
    gradients = jax.grad(lambda a, p, n: triplet(a, p, negative=n, margin=100.0).sum(), (0, 1, 2))(a, p, n)
    assert_close(gradients, (2 * (n - p), 2 * (p - a), 2 * (a - n)))
    kept = jax.grad(lambda a: triplet(a, jnp.zeros((1, 1)), negative=jnp.ones((1, 1)), margin=1.0)[0])(
        jnp.zeros((1, 1))
    )
    assert not kept.any()


def test_contrastive_pulls_the_same_and_pushes_others_within_the_margin():
    left, right = jnp.array([[0.6, 0.8]] * 3), jnp.zeros((3, 2))  # one apart
    loss = lambda left, margin: contrastive(left, right, same=jnp.array([True, False, False]), margin=margin)
    assert_close(loss(left, 3.0), jnp.array([0.5, 2.0, 2.0]))
    assert_close(loss(left, 0.9), jnp.array([0.5, 0.0, 0.0]))
    gradient = jax.grad(lambda left: loss(left, 3.0).sum())(left)
    assert_close(gradient, jnp.array([[0.6, 0.8], [-1.2, -1.6], [-1.2, -1.6]]))


def test_contrastive_has_a_gradient_of_zero_where_both_are_one_point():
    x = jnp.ones((2, 3))
    value, gradient = jax.value_and_grad(lambda left: contrastive(left, x, same=jnp.array([True, False])).sum())(x)
    assert value == 0.5
    assert not gradient.any()


def test_contrastive_wants_booleans():
    """Signs, or 0 for "same" as in the paper, must not pass for them."""
    loss, x = inspect.unwrap(contrastive), jnp.zeros((2, 3))
    with pytest.raises(ValueError, match=r"`same` must be boolean, of shape \(2,\); received int32"):
        loss(x, x, same=jnp.array([1, -1]))
    with pytest.raises(ValueError, match=r"received bool of shape \(2, 1\)"):
        loss(x, x, same=jnp.ones((2, 1), bool))


def test_other_shapes_are_refused_where_no_annotation_is_checked():
    x, y = jnp.zeros((2, 3)), jnp.zeros((2, 4))
    with pytest.raises(ValueError, match=r"`negative` must have the shape of `anchor`, \(2, 3\); received \(2, 4\)"):
        inspect.unwrap(triplet)(x, x, negative=y)
    with pytest.raises(ValueError, match="`right` must have the shape of `left`"):
        inspect.unwrap(contrastive)(x, y, same=jnp.ones(2, bool))
    with pytest.raises(ValueError, match=r"received \(3,\) and \(2, 3\)"):
        inspect.unwrap(negative_sampling)(jnp.zeros(3), x)


def test_negative_sampling_is_finite_and_its_gradient_as_documented():
    positive, negative = (
        jnp.array([1e30, -1e30, 1e4, 0.5]),
        jnp.array([[1e30, -1e30], [1e4, -1e4], [0.0, 1.0], [2.0, 3.0]]),
    )
    gradients = jax.grad(lambda p, n: negative_sampling(p, n).sum(), (0, 1))(positive, negative)
    assert np.isfinite(negative_sampling(positive, negative)).all()
    assert_close(gradients, (jax.nn.sigmoid(positive) - 1, jax.nn.sigmoid(negative)))
