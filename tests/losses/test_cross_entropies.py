"""Cross-entropies: their gradients and limits, weights, masks, and labels that are none."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.activations import log_softmax
from jaxnn.losses import binary_cross_entropy, cross_entropy, cross_entropy_with_rejection, kl_divergence
from jaxnn.metrics import masked_mean

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

LOGITS = jnp.array([[2.0, 0.0, -1.0], [0.5, 1.0, 3.0]])
with_zero_rejection = partial(cross_entropy_with_rejection, rejection_logit=0.0)
OF_LABELS = pytest.mark.parametrize(
    "loss",
    [cross_entropy, partial(cross_entropy, label_smoothing=0.1), with_zero_rejection],
    ids=["plain", "smoothed", "with rejection"],
)


def test_gradient_is_softmax_minus_target(x64):
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(6, 4))), jnp.asarray(rng.integers(4, size=6))
    gradient = jax.grad(lambda z: cross_entropy(z, labels).sum())(logits)
    assert_close(gradient, jax.nn.softmax(logits) - jax.nn.one_hot(labels, 4))


def test_label_smoothing_may_be_traced():
    losses = jax.vmap(lambda s: cross_entropy(jnp.array([[2.0, 0.0]]), jnp.array([0]), label_smoothing=s))
    smoothed = losses(jnp.array([0.0, 0.2]))
    assert_close(smoothed[1], cross_entropy(jnp.array([[2.0, 0.0]]), jnp.array([0]), label_smoothing=0.2))
    assert smoothed[0, 0] < smoothed[1, 0]


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy])
def test_label_smoothing_of_a_percentage_is_refused(loss):
    with pytest.raises(ValueError, match=r"`label_smoothing` must lie in \[0, 1\]; received 10"):
        loss(LOGITS, jnp.zeros((2, 3)), label_smoothing=10)


# ------------------------------------------------------------------------------------ labels that are no class


@OF_LABELS
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_a_label_out_of_range_gives_nan_and_no_gradient(loss, dtype):
    logits, mask = jnp.ones((4, 3)), jnp.array([True, False, False, False])
    labels = jnp.asarray(np.array([2, 3, -1, -100]).astype(dtype))
    derive = jax.value_and_grad(lambda z: masked_mean(loss(z, labels), mask).sum)
    value, gradient = jax.jit(derive)(logits)
    assert jnp.isnan(loss(logits, labels)).tolist() == [False, True, True, True]
    assert np.isfinite(value)
    assert jnp.any(gradient != 0, axis=1).tolist() == [True, False, False, False]  # NaN is not 0


def test_a_mask_hides_an_example_without_a_label():
    labels, mask = jnp.array([0, -1]), jnp.array([True, False])
    assert masked_mean(cross_entropy(LOGITS, labels), mask).sum == cross_entropy(LOGITS[:1], labels[:1])[0]


def test_more_classes_than_the_labels_dtype_can_count():
    logits = jnp.zeros((2, 300)).at[:, 127].set(1000.0)
    assert cross_entropy(logits, jnp.array([127, 0], "int8")).tolist() == [0.0, 1000.0]


@OF_LABELS
@pytest.mark.parametrize(("labels", "received"), [([0, 3], "0 to 3"), ([-1, 1], "-1 to 1")])
def test_numpy_labels_out_of_range_raise(loss, labels, received):
    with pytest.raises(ValueError, match=rf"`labels` must lie in \[0, 2\]; received {received}. There are 3 classes"):
        loss(LOGITS, np.array(labels))
    assert loss(LOGITS, np.array([0, 2])).shape == (2,)


def test_what_annotations_catch_only_in_tests():
    """Outside pytest no annotation is checked."""
    loss = inspect.unwrap(cross_entropy)
    with pytest.raises(ValueError, match=r"`labels` must have shape \(2,\), or that .* \(2, 3\); received \(2, 1\)"):
        loss(LOGITS, jnp.zeros((2, 1), int))
    with pytest.raises(ValueError, match=r"`labels` must have shape \(2,\) .* received \(3,\)"):
        loss(LOGITS, jnp.zeros(3, int))
    with pytest.raises(ValueError, match="must be integers; received float32"):
        loss(LOGITS, jnp.zeros(2))
    with pytest.raises(ValueError, match=r"`class_weights` must have shape \(3,\); received \(2,\)"):
        loss(LOGITS, jnp.zeros(2, int), class_weights=jnp.ones(2))
    with pytest.raises(ValueError, match=r"`labels` must have shape \(2,\) .* received \(2, 1\)"):
        inspect.unwrap(cross_entropy_with_rejection)(LOGITS, jnp.zeros((2, 1), int))


# ------------------------------------------------------------------------------------------ weights and limits


def test_class_weights_weigh_examples_and_soft_labels_alike():
    labels, weights = jnp.array([2, 0]), jnp.array([3.0, 1.0, 0.5])
    weighted = cross_entropy(LOGITS, labels, class_weights=weights)
    assert_close(weighted, weights[labels] * cross_entropy(LOGITS, labels))
    assert_close(cross_entropy(LOGITS, jax.nn.one_hot(labels, 3), class_weights=weights), weighted)
    smoothed = partial(cross_entropy, label_smoothing=0.3, class_weights=weights)
    assert_close(smoothed(LOGITS, labels), smoothed(LOGITS, jax.nn.one_hot(labels, 3)))
    t = 0.7 * jax.nn.one_hot(labels, 3) + 0.1
    assert_close(smoothed(LOGITS, labels), -(weights[None] * t * log_softmax(LOGITS)).sum(axis=1))


@pytest.mark.parametrize("loss", [cross_entropy, with_zero_rejection], ids=["plain", "with rejection"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_value_and_gradient_are_finite_for_any_logits(loss, dtype):
    logits = jnp.array([[1e30, -1e30, 0.0], [-1e30, 1e30, 0.0], [1e4, -1e4, 0.0]], dtype)
    value, gradient = jax.value_and_grad(lambda z: loss(z, jnp.array([0, 0, 1])).sum())(logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_class_may_be_ruled_out():
    logits, labels = jnp.array([[1.0, -jnp.inf, 2.0]]), jnp.array([2])
    value, gradient = jax.value_and_grad(lambda z: cross_entropy(z, labels)[0])(logits)
    assert_close(value, cross_entropy(jnp.array([[1.0, 2.0]]), jnp.array([1]))[0])
    assert np.isfinite(gradient).all()
    assert cross_entropy(logits, jnp.array([1])) == jnp.inf


# ------------------------------------------------------------------------------------------------- binary, KL


def test_binary_gradient_is_sigmoid_minus_label_at_any_logit(x64):
    z = jnp.array([-1e30, -1e4, -2.0, 0.0, 3.0, 1e4, 1e30])
    for label in (0, 1, 0.3):
        gradient = jax.grad(lambda z, t=label: binary_cross_entropy(z, jnp.full(7, t)).sum())(z)
        assert_close(gradient, jax.nn.sigmoid(z) - label)


def test_binary_of_one_logit_is_categorical_of_two():
    z, t = jnp.array([-3.0, 0.2, 30.0]), jnp.array([1, 0, 1])
    both = jnp.stack([jnp.zeros(3), z], axis=1)
    assert_close(binary_cross_entropy(z, t), cross_entropy(both, t))
    assert binary_cross_entropy(jnp.array([30.0]), jnp.array([1]))[0] == pytest.approx(np.exp(-30), rel=1e-5, abs=0)


def test_binary_labels_may_be_booleans_and_sum_over_all_that_an_example_has():
    z, t = jnp.arange(12.0).reshape(2, 3, 2) - 6, jnp.arange(12).reshape(2, 3, 2) % 3 == 0
    assert_close(binary_cross_entropy(z, t), binary_cross_entropy(z.reshape(2, 6), t.reshape(2, 6).astype(int)))


def test_positive_weight_is_one_for_each_label():
    z, t = jnp.zeros((2, 2)), jnp.array([[1, 1], [0, 1]])
    weighted = binary_cross_entropy(z, t, positive_weight=jnp.array([2.0, 5.0]))
    np.testing.assert_allclose(weighted, np.log(2) * np.array([7, 6]), rtol=1e-6)
    with pytest.raises(ValueError, match=r"`positive_weight` must be a number or have shape \(2,\)"):
        binary_cross_entropy(z, t, positive_weight=jnp.ones(3))
    with pytest.raises(ValueError, match=r"`positive_weight` must be a number or have shape \(\)"):
        binary_cross_entropy(z[0], t[0], positive_weight=jnp.ones(2))


def test_signs_for_binary_labels_are_seen():
    signs = np.array([-1, 1])
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 1\]; received -1 to 1. Are they -1 and 1"):
        binary_cross_entropy(jnp.zeros(2), signs)
    assert jnp.isnan(binary_cross_entropy(jnp.zeros(2), jnp.asarray(signs))).tolist() == [True, False]
    assert jnp.isnan(binary_cross_entropy(jnp.zeros((2, 2)), jnp.array([[0, 1], [2, 1]]))).tolist() == [False, True]


def test_divergence_is_zero_for_equals_and_knows_zero_times_log_zero():
    p = jnp.array([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0]])
    value, gradients = jax.value_and_grad(lambda log_p, t: kl_divergence(log_p, t).sum(), (0, 1))(jnp.log(p), p)
    assert value == 0
    assert_close(gradients[0], -p)
    assert np.isfinite(gradients[1]).all()
    assert kl_divergence(jnp.log(p[1:]), p[:1]) == jnp.inf
    assert jnp.isnan(kl_divergence(jnp.log(p[:1]), jnp.array([[1.5, -0.5, 0.0, 0.0]])))


def test_cross_entropy_is_divergence_plus_entropy(x64):
    rng = np.random.default_rng(0)
    z, t = jnp.asarray(rng.normal(size=(5, 4))), jnp.asarray(rng.dirichlet(np.ones(4), size=5))
    entropy = -(t * jnp.log(t)).sum(axis=1)
    assert_close(cross_entropy(z, t), kl_divergence(log_softmax(z), t) + entropy)
    assert (kl_divergence(log_softmax(z), t) > 0).all()
