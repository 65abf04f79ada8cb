"""Codecs against NumPy, and what error feedback promises: nothing is lost, only delayed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rings import first_of

from jaxnn.asynchronous.gradient_compression import (
    EightBits,
    Exact,
    TopK,
    compress,
    decompress,
    message_bytes,
)

CODECS = [Exact(), TopK(0.01), TopK(0.3), TopK(1.0), EightBits(), EightBits(stochastic=True)]
FLOATS = st.floats(-1e3, 1e3, width=32).filter(lambda x: x == 0 or abs(x) > 1e-20)  # XLA flushes subnormals
GRADIENTS = arrays(np.float32, st.sampled_from([(1,), (7,), (12,), (5, 4), (2, 3, 4)]), elements=FLOATS)
KEY = jax.random.key(0)


def received(codec, array, key=KEY):
    return np.asarray(codec.unpack(codec.pack(jnp.asarray(array), key), jnp.asarray(array)))


@given(GRADIENTS)
def test_exact_is_exact(gradient):
    np.testing.assert_array_equal(received(Exact(), gradient), gradient)


@pytest.mark.full
@given(GRADIENTS, st.sampled_from([0.01, 0.3, 0.5, 1.0]))
def test_top_k_keeps_the_largest_and_nothing_else(gradient, fraction):
    flat, k = gradient.ravel(), max(1, round(fraction * gradient.size))
    kept = np.argsort(-np.abs(flat), kind="stable")[:k]
    expected = np.zeros_like(flat)
    expected[kept] = flat[kept]
    np.testing.assert_array_equal(received(TopK(fraction), gradient), expected.reshape(gradient.shape))


@pytest.mark.full
@given(GRADIENTS, st.sampled_from([0.01, 0.3, 1.0]))
def test_top_k_contracts(gradient, fraction):
    lost, all_of_it = (
        np.sum(np.square(x, dtype=np.float64)) for x in (gradient - received(TopK(fraction), gradient), gradient)
    )
    assert lost <= (1 - TopK(fraction).kept(gradient.size) / gradient.size) * all_of_it * (1 + 1e-9)


@pytest.mark.full
@given(GRADIENTS)
def test_eight_bits_are_the_nearest_level(gradient):
    scale = np.abs(gradient).max() / np.float32(127)
    packed = EightBits().pack(jnp.asarray(gradient), KEY)
    assert packed.levels.dtype == jnp.int8
    error = np.abs(received(EightBits(), gradient).astype(np.float64) - gradient)
    assert error.max() <= scale * (0.5 + 1e-4)


@pytest.mark.full
@given(GRADIENTS, st.integers(0, 9))
def test_eight_bits_by_chance_are_off_by_less_than_a_level(gradient, seed):
    scale = np.abs(gradient).max() / np.float32(127)
    error = np.abs(received(EightBits(stochastic=True), gradient, jax.random.key(seed)).astype(np.float64) - gradient)
    assert error.max() <= scale * (1 + 1e-4)


def test_eight_bits_by_chance_are_right_on_average():
    gradient = jnp.linspace(-1.0, 0.7, 50)
    codec = EightBits(stochastic=True)
    draw = jax.jit(jax.vmap(lambda key: codec.unpack(codec.pack(gradient, key), gradient)))
    draws = np.asarray(draw(jax.random.split(KEY, 4000)))
    standard_error = 1 / 127 / 2 / np.sqrt(4000)  # a coin between two neighbouring levels
    assert np.abs(draws.mean(0) - gradient).max() < 5 * standard_error
    assert np.abs(received(EightBits(), gradient) - gradient).max() > 5 * standard_error  # the nearest is biased


@first_of("codec", CODECS, ids=str)
def test_error_feedback_loses_nothing(codec):
    """The sum of what is received, and of the last residual, is the sum of the gradients."""
    rng = np.random.default_rng(0)
    grads = [{"w": rng.normal(size=(8, 5)).astype("f"), "b": rng.normal(size=5).astype("f")} for _ in range(30)]
    residual = jax.tree.map(jnp.zeros_like, grads[0])
    total = jax.tree.map(np.zeros_like, grads[0])
    sent = jax.jit(lambda g, e, key: compress(codec, g, e, key))
    for t, g in enumerate(grads):
        message, residual = sent(g, residual, jax.random.fold_in(KEY, t))
        total = jax.tree.map(np.add, total, decompress(codec, message, g))
    for name in ("w", "b"):
        np.testing.assert_allclose(total[name] + residual[name], sum(g[name] for g in grads), atol=2e-4)
        assert np.abs(residual[name]).max() < 30  # it does not grow without end


def test_without_feedback_the_small_coordinates_never_arrive():
    gradient, codec = jnp.array([1.0, 0.4]), TopK(0.5)
    with_feedback, residual = np.zeros(2), jnp.zeros(2)
    for _ in range(70):
        message, residual = compress(codec, gradient, residual, KEY)
        with_feedback += decompress(codec, message, gradient)
    np.testing.assert_allclose(with_feedback / 70, gradient, atol=0.05)
    assert received(codec, gradient).tolist() == [1.0, 0.0]


@first_of("codec", CODECS, ids=str)
def test_zeros_stay_zeros_and_a_divergence_stays_visible(codec):
    assert received(codec, np.zeros((3, 2), np.float32)).tolist() == [[0.0, 0.0]] * 3
    for bad in (np.nan, np.inf):
        assert not np.isfinite(received(codec, np.array([1.0, bad, 2.0], np.float32))).all()


def test_bytes():
    grads = {"w": jnp.ones((784, 128)), "b": jnp.ones(128)}
    size = lambda codec: message_bytes(compress(codec, grads, jax.tree.map(jnp.zeros_like, grads), KEY)[0])
    assert size(Exact()) == 4 * (784 * 128 + 128)
    assert size(EightBits()) == 784 * 128 + 128 + 2 * 4
    assert size(TopK(0.01)) == 8 * (1004 + 1)


def test_bad_fractions_are_refused():
    for fraction in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"`fraction` must be greater than 0 and at most 1; received"):
            TopK(fraction)
