import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.layers.softmax_head import backward, forward, softmax_cross_entropy
from jaxnn.losses import cross_entropy

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


@pytest.fixture
def example(x64):
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(3 * rng.normal(size=(6, 5))),
        jnp.asarray(rng.integers(5, size=6)),
        jnp.asarray(rng.normal(size=6)),
    )


def test_the_gradient_is_softmax_minus_target(example):
    logits, labels, dy = example
    dlabels, dlogits = backward(forward(labels, logits)[1], dy)
    assert dlabels is None
    assert_close(dlogits, (jax.nn.softmax(logits) - jax.nn.one_hot(labels, 5)) * dy[:, None])


def test_is_the_loss_of_the_same_name(example):
    logits, labels, dy = example
    pull = lambda loss: jax.vjp(lambda z: loss(z, labels), logits)[1](dy)
    assert_close(softmax_cross_entropy(logits, labels), cross_entropy(logits, labels))
    assert_close(pull(softmax_cross_entropy), pull(cross_entropy))


def test_soft_targets_need_not_sum_to_one(example):
    logits, _, dy = example
    targets = jnp.abs(jnp.sin(jnp.arange(30.0))).reshape(6, 5)
    pull = lambda loss: jax.vjp(loss, logits, targets)[1](dy)
    assert_close(pull(softmax_cross_entropy), pull(lambda z, t: -jnp.sum(t * jax.nn.log_softmax(z), axis=1)))


def test_one_hot_targets_are_integers_written_out(example):
    logits, labels, _ = example
    assert_close(softmax_cross_entropy(logits, jax.nn.one_hot(labels, 5)), softmax_cross_entropy(logits, labels))


def test_is_finite_for_any_logits():
    logits = jnp.array([[1e30, -1e30, 0.0], [-1e30, 1e30, 0.0], [1e4, -1e4, 0.0]])
    value, gradient = jax.value_and_grad(lambda z: softmax_cross_entropy(z, jnp.array([0, 0, 1])).sum())(logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
