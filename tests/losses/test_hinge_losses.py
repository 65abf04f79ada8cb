"""Losses with a margin: what happens at it, among rivals, and with signs and labels that are none."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn.losses import (
    crammer_singer,
    hinge,
    multiclass_perceptron_criterion,
    perceptron_criterion,
    weston_watkins,
)

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

BINARY = pytest.mark.parametrize("loss", [hinge, perceptron_criterion])
MULTICLASS = pytest.mark.parametrize("loss", [crammer_singer, multiclass_perceptron_criterion, weston_watkins])


def slopes(loss, scores, targets):
    return jax.grad(lambda z: loss(z, targets).sum())(scores)


def test_at_the_kink_the_hinge_rests_and_the_perceptron_learns():
    t = jnp.array([1, -1])
    assert slopes(hinge, t * 1.0, t).tolist() == [0, 0]
    assert slopes(hinge, t * 0.99, t).tolist() == [-1, 1]
    assert slopes(partial(hinge, margin=0.5), t * 0.99, t).tolist() == [0, 0]
    assert slopes(perceptron_criterion, jnp.zeros(2), t).tolist() == [-1, 1]
    assert slopes(perceptron_criterion, t * 0.01, t).tolist() == [0, 0]


def test_the_perceptron_rule_separates_what_can_be_separated():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(60, 2)), jnp.float32)
    t = jnp.where(x @ jnp.array([1.0, -2.0]) > 0, 1, -1)
    gradient = jax.grad(lambda w, x, t: perceptron_criterion((x @ w)[None], t[None])[0])
    step = lambda w, example: (w - gradient(w, *example), None)
    w, _ = jax.lax.scan(lambda w, _: (jax.lax.scan(step, w, (x, t))[0], None), jnp.zeros(2), None, length=100)
    assert not perceptron_criterion(x @ w, t).any()


@given(seed=st.integers(0, 20), margin=st.sampled_from([0.0, 0.5, 2.0]))
def test_one_rival_costs_no_more_than_all_and_no_less_than_their_mean(seed, margin):
    rng = np.random.default_rng(seed)
    z, y = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32), jnp.asarray(rng.integers(5, size=6))
    one, every = crammer_singer(z, y, margin=margin), weston_watkins(z, y, margin=margin)
    assert (one <= every).all()
    assert (one >= every / 4 - 1e-6).all()
    if margin == 0:
        assert_close(one, multiclass_perceptron_criterion(z, y))


def test_two_classes_are_the_binary_hinge():
    z, y = jnp.array([[0.3, -0.2], [1.0, 3.0], [0.0, 0.9]]), jnp.array([0, 0, 1])
    expected = hinge(z[:, 1] - z[:, 0], 2 * y - 1)
    assert_close(weston_watkins(z, y), expected)
    assert_close(crammer_singer(z, y), expected)


def test_untrained_scores_cost_as_documented():
    scores, labels = jnp.zeros((2, 10)), jnp.array([3, 7])
    assert weston_watkins(scores, labels).tolist() == [9, 9]
    assert crammer_singer(scores, labels).tolist() == [1, 1]


def test_gradients_among_many_classes():
    z, y = jnp.array([[1.0, 1.5, 0.5, -9.0]]), jnp.array([0])
    assert slopes(weston_watkins, z, y).tolist() == [[-2, 1, 1, 0]]
    assert slopes(crammer_singer, z, y).tolist() == [[-1, 1, 0, 0]]
    assert slopes(multiclass_perceptron_criterion, z, y).tolist() == [[-1, 1, 0, 0]]
    kept = jnp.array([[1.0, 0.0, 0.0, -9.0]])  # the margin, exactly
    for loss in (weston_watkins, crammer_singer, multiclass_perceptron_criterion):
        assert not slopes(loss, kept, y).any()


@MULTICLASS
def test_finite_for_any_scores(loss):
    z = jnp.array([[1e30, -1e30, 0.0], [-1e30, 1e30, 0.0], [1e4, -1e4, 0.0]])
    assert np.isfinite(loss(z, jnp.array([0, 0, 1]))).all()
    assert np.isfinite(slopes(loss, z, jnp.array([0, 0, 1]))).all()


@BINARY
def test_finite_for_any_score(loss):
    z = jnp.array([1e30, -1e30, 1e4])
    assert np.isfinite(loss(z, jnp.array([1, 1, -1]))).all()
    assert slopes(loss, z, jnp.array([1, 1, -1])).tolist() == [0, -1, 1]


@MULTICLASS
def test_labels_that_are_no_class(loss):
    z = jnp.ones((4, 3))
    labels = jnp.array([2, 3, -1, -100])
    assert jnp.isnan(jax.jit(loss)(z, labels)).tolist() == [False, True, True, True]
    gradient = jax.grad(lambda z: jnp.where(labels == 2, loss(z, labels), 0).sum())(z)
    assert not gradient[1:].any()
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 2\]; received -100 to 3"):
        loss(z, np.asarray(labels))


@BINARY
def test_labels_that_are_no_signs(loss):
    signs = np.array([[1, -1], [0, 1]])
    with pytest.raises(
        ValueError, match=r"`abs\(signs\)` must lie in \[1, 1\]; received 0 to 1. The classes are -1 and"
    ):
        loss(jnp.zeros((2, 2)), signs)
    assert jnp.isnan(loss(jnp.zeros((2, 2)), jnp.asarray(signs))).tolist() == [False, True]
    assert jnp.isnan(loss(jnp.zeros((2, 2)), jnp.asarray(signs, jnp.float32))).tolist() == [False, True]
