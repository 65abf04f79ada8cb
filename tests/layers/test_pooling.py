import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close, directional_error

from jaxnn.layers import average_pool, max_pool

TWINS = pytest.mark.parametrize(("ours", "theirs"), [(max_pool, nn.max_pool), (average_pool, nn.avg_pool)])
windows = st.tuples(st.integers(1, 4), st.integers(1, 3))
shapes = st.tuples(st.integers(1, 20), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))


@TWINS
@settings(max_examples=8)
@given(window=windows, shape=shapes)
def test_value_and_gradient_are_those_of_flax(ours, theirs, window, shape):
    batch, rows, columns, channels = shape
    with jax.enable_x64(True):
        size = (batch, rows * window[0], columns * window[1], channels)
        x = jnp.asarray(np.random.default_rng(0).permutation(np.prod(size)).reshape(size) / 7.0)  # no ties

        @jax.jit
        def both(x):
            y, pull = jax.vjp(lambda x: ours(x, window), x)
            expected, expected_pull = jax.vjp(lambda x: theirs(x, window, window), x)
            dy = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
            return (y, pull(dy)), (expected, expected_pull(dy))

        assert_close(*both(x), rtol=1e-10)


@pytest.mark.parametrize("ours", [max_pool, average_pool])
def test_gradient_is_that_of_central_differences(ours, x64):
    x = jnp.asarray(np.random.default_rng(0).permutation(3 * 6 * 6 * 2).reshape(3, 6, 6, 2) / 7.0)  # far from ties
    assert directional_error(lambda x: ours(x, (3, 2)), [x]) < 1e-6


def test_the_first_of_equal_maxima_takes_the_whole_gradient():
    x = jnp.array([[0.0, 1.0], [1.0, 1.0]]).reshape(1, 2, 2, 1)
    gradient = jax.grad(lambda x: 3 * max_pool(x).sum())
    assert gradient(x)[0, :, :, 0].tolist() == [[0, 3], [0, 0]]
    assert gradient(jnp.zeros((1, 2, 2, 1)))[0, :, :, 0].tolist() == [[3, 0], [0, 0]]


def test_ties_go_where_xla_sends_them():
    """Few values, so nearly every window has a tie."""
    x = jnp.asarray(np.random.default_rng(0).integers(3, size=(4, 6, 6, 3)), jnp.float32)
    gradient = lambda pool: jax.grad(lambda x: jnp.sum(jnp.sin(pool(x) + jnp.arange(3.0)[None, None, None])))(x)  # noqa: E731
    assert_close(gradient(lambda x: max_pool(x, (3, 2))), gradient(lambda x: nn.max_pool(x, (3, 2), (3, 2))))


@pytest.mark.parametrize("ours", [max_pool, average_pool])
def test_gradient_in_a_loop_and_under_vmap(ours, x64):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 4, 6, 2)))
    gradient = jax.grad(lambda x: jnp.sum(ours(x, (2, 3)) ** 2))
    descend = lambda x: jax.lax.fori_loop(0, 4, lambda _, x: x - 0.1 * gradient(x), x)  # noqa: E731
    mapped = jax.jit(jax.vmap(descend))(x)
    expected = x
    for _ in range(4):
        expected = expected - 0.1 * jnp.stack([gradient(member) for member in expected])
    assert_close(mapped, expected)


def test_reverse_over_reverse(x64):
    x, v = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 4, 6, 3)))

    def product(pool):
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))
        return jax.grad(lambda x: jnp.vdot(gradient(x), v))(x)

    assert_close(product(max_pool), product(lambda x: nn.max_pool(x, (2, 2), (2, 2))))


@pytest.mark.parametrize("ours", [max_pool, average_pool])
@pytest.mark.parametrize("shape", [(4, 4, 1), (1, 5, 4, 1), (1, 4, 5, 1)], ids=str)
def test_refuses_what_the_window_does_not_divide(ours, shape):
    with pytest.raises(ValueError, match=r"`x` must have shape .* window \(2, 2\) dividing .* Crop or pad it first"):
        ours(jnp.zeros(shape))


def test_commutes_with_relu():
    """Why LeNet5 may pool first: the values are equal, and where the maximum is not 0, so are the gradients."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)
    pool_first, relu_first = (lambda x: nn.relu(max_pool(x))), (lambda x: max_pool(nn.relu(x)))
    np.testing.assert_array_equal(pool_first(x), relu_first(x))
    pull = lambda f: jax.grad(lambda x: jnp.sum(f(x) ** 2))(x)  # noqa: E731
    np.testing.assert_array_equal(pull(pool_first), pull(relu_first))
