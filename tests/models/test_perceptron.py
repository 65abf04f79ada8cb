"""The perceptron: Rosenblatt's rule in NumPy, Novikoff's theorem, and what it cannot learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rings import first_of
from tolerances import assert_close

from jaxnn.basis_functions import linear
from jaxnn.losses import perceptron_criterion
from jaxnn.models import mistake_bound, perceptron_epoch, perceptron_step, train_perceptron

COVERS = {
    "models.TrainedPerceptron",
    "models.mistake_bound",
    "models.perceptron_epoch",
    "models.perceptron_step",
    "models.train_perceptron",
}

CORNERS = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND, OR, XOR = jnp.array([-1, -1, -1, 1]), jnp.array([-1, 1, 1, 1]), jnp.array([-1, 1, 1, -1])


def separable(seed, gamma, *, count=60, features=4):
    """Points in the unit ball that a unit vector separates with margin at least gamma."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=features)
    u /= np.linalg.norm(u)
    x = rng.normal(size=(40 * count, features))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x = x[np.abs(x @ u) >= gamma][:count]
    assert len(x) == count
    return jnp.asarray(x), jnp.asarray(np.sign(x @ u)), jnp.asarray(u)


def in_numpy(x, t, *, learning_rate=1.0, max_epochs=1000):
    """The rule as Rosenblatt's machine runs it: one example after the other."""
    w, mistakes = np.zeros(x.shape[1]), 0
    for epoch in range(1, max_epochs + 1):
        before = mistakes
        for example, label in zip(x, t, strict=True):
            if label * (w @ example) <= 0:
                w, mistakes = w + learning_rate * label * example, mistakes + 1
        if mistakes == before:
            return w, mistakes, epoch, True
    return w, mistakes, max_epochs, False


train = jax.jit(train_perceptron, static_argnames="max_epochs")


@pytest.mark.parametrize("labels", [AND, OR])
def test_learns_and_and_or(labels):
    trained = train(linear(CORNERS), labels)
    assert trained.converged
    np.testing.assert_array_equal(np.sign(linear(CORNERS) @ trained.weights), labels)


@pytest.mark.parametrize("labels", [AND, OR, XOR])
@pytest.mark.parametrize("learning_rate", [1.0, 0.25])
def test_walks_the_path_of_the_plain_loop(labels, learning_rate):
    trained = train(linear(CORNERS), labels, learning_rate=learning_rate, max_epochs=30)
    w, mistakes, epochs, converged = in_numpy(
        np.asarray(linear(CORNERS)), np.asarray(labels), learning_rate=learning_rate, max_epochs=30
    )
    assert_close(trained.weights, w)
    assert (trained.mistakes, trained.epochs, trained.converged) == (mistakes, epochs, converged)


@given(seed=st.integers(0, 10_000), gamma=st.sampled_from([0.3, 0.1, 0.02]))
def test_mistakes_never_exceed_the_bound_of_novikoff(seed, gamma):
    with jax.enable_x64(True):
        x, t, u = separable(seed, gamma)
        trained, bound = train(x, t, max_epochs=5000), mistake_bound(x, t, separator=u)
        assert trained.converged
        assert (t * (x @ trained.weights) > 0).all()
        assert bound <= 1 / gamma**2 * (1 + 1e-9)
        assert trained.mistakes <= bound


def test_the_bound_can_be_reached():
    """Orthogonal examples: w grows by one of them at each mistake, R = 1 and gamma = 1 / sqrt(n)."""
    x, t = jnp.eye(7), jnp.ones(7)
    assert train(x, t).mistakes == 7
    assert_close(mistake_bound(x, t, separator=jnp.ones(7)), 7.0)


def test_the_bound_of_what_separates_nothing_is_infinite():
    assert mistake_bound(linear(CORNERS), XOR, separator=jnp.array([0.1, 1.0, 1.0])) == jnp.inf
    assert_close(mistake_bound(CORNERS[1:], jnp.ones(3), separator=jnp.array([4.0, 4.0])), 2 / (1 / 2) ** 1)


def test_xor_is_never_learnt_and_its_weights_come_back():
    x = linear(CORNERS)
    assert not train(x, XOR, max_epochs=3000).converged
    epochs = jax.lax.scan(lambda w, _: (perceptron_epoch(w, (x, XOR))[0],) * 2, jnp.zeros(3), length=50)[1]
    returned = {tuple(w) for w in np.asarray(epochs).tolist()}
    assert len(returned) < 5  # a cycle, so every later epoch repeats it
    assert np.abs(epochs).max() <= 2


def test_learning_rate_scales_the_weights_and_nothing_else():
    x, t, _ = separable(3, 0.05)
    one, half = train(x, t), train(x, t, learning_rate=0.5)
    assert_close(half.weights, 0.5 * one.weights)
    assert one[1:] == half[1:]


@jax.jit
def gradient_descent_step(w, example):
    """Of rate 1 on the perceptron criterion of one example, by jax.grad."""
    x, t = example
    return w - jax.grad(lambda w: perceptron_criterion(jnp.dot(w, x)[None], t[None])[0])(w), ()


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.0, 1.0]))
def test_the_rule_is_a_gradient_step_on_the_perceptron_criterion(seed, scale):
    """From weights of zero, too, the criterion's kink."""
    rng = np.random.default_rng(seed)
    w, x, t = jnp.asarray(scale * rng.normal(size=4)), jnp.asarray(rng.normal(size=4)), jnp.asarray(rng.choice([-1, 1]))
    stepped, mistake = perceptron_step(w, (x, t))
    assert_close(stepped, gradient_descent_step(w, (x, t))[0])
    assert mistake == (t * (w @ x) <= 0)


def test_an_epoch_is_an_epoch_of_stochastic_gradient_descent():
    x, t, _ = separable(1, 0.05)
    w, mistakes = perceptron_epoch(jnp.zeros(4), (x, t))
    assert mistakes > 3
    assert_close(w, jax.lax.scan(gradient_descent_step, jnp.zeros(4), (x, t))[0])


@first_of("dtype", ["bfloat16", "float32", "float64"])
def test_keeps_dtype_and_maps(dtype, x64):
    x = linear(CORNERS.astype(dtype))
    trained = jax.jit(jax.vmap(lambda t: train_perceptron(x, t, max_epochs=40)))(jnp.stack([AND, OR, XOR]))
    assert trained.weights.dtype == dtype
    assert trained.converged.tolist() == [True, True, False]
    assert trained.mistakes[0] == train(x, AND).mistakes


@pytest.mark.parametrize("labels", [jnp.ones(3), jnp.ones((4, 1))])
def test_rejects_shapes_that_do_not_fit(labels):
    for use in (train_perceptron, lambda x, t: mistake_bound(x, t, separator=jnp.ones(3))):
        with pytest.raises(ValueError, match=r"`labels` \(batch,\), of -1 and \+1; received \(4, 3\)"):
            use(linear(CORNERS), labels)
