import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close, directional_error

from jaxnn.layers import average_pool, max_pool
from jaxnn.layers.global_pooling import global_max_pool
from jaxnn.layers.pooling import AveragePool, MaxPool

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

BESIDE_FLAX = pytest.mark.parametrize(("ours", "theirs"), [(max_pool, nn.max_pool), (average_pool, nn.avg_pool)])
BOTH = pytest.mark.parametrize("ours", [max_pool, average_pool])


@st.composite
def windows_over_images(draw):
    """(shape, window, strides, padding) such that a window fits and none sees only padding."""
    pair = lambda low, high: draw(st.tuples(st.integers(low, high), st.integers(low, high)))
    window, strides = pair(1, 4), pair(1, 3)
    strides = draw(st.sampled_from([strides, window]))
    pads = tuple(tuple(draw(st.integers(0, k - 1)) for _ in range(2)) for k in window)
    padding = draw(st.sampled_from(["VALID", "SAME", pads]))
    height, width = (k + extra for k, extra in zip(window, pair(0, 6), strict=True))
    return (2, height, width, 2), window, strides, padding


@BESIDE_FLAX
@settings(max_examples=12)
@given(windows_over_images())
def test_value_and_gradient_are_those_of_flax(ours, theirs, case):
    shape, window, strides, padding = case
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape) / 7.0)  # no ties

        @jax.jit
        def both(x):
            y, pull = jax.vjp(lambda x: ours(x, window, strides=strides, padding=padding), x)
            expected, expected_pull = jax.vjp(lambda x: theirs(x, window, strides, padding), x)
            dy = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
            return (y, pull(dy)), (expected, expected_pull(dy))

        assert_close(*both(x), rtol=1e-10)


@pytest.mark.parametrize("strides", [None, (1, 1)], ids=["disjoint", "overlapping"])
@BOTH
def test_gradient_is_that_of_central_differences(ours, strides, x64):
    x = jnp.asarray(np.random.default_rng(0).permutation(3 * 6 * 6 * 2).reshape(3, 6, 6, 2) / 7.0)  # far from ties
    assert directional_error(lambda x: ours(x, (3, 2), strides=strides), [x]) < 1e-6


def test_the_first_of_equal_maxima_takes_the_whole_gradient():
    x = jnp.array([[0.0, 1.0], [1.0, 1.0]]).reshape(1, 2, 2, 1)
    gradient = jax.grad(lambda x: 3 * max_pool(x).sum())
    assert gradient(x)[0, :, :, 0].tolist() == [[0, 3], [0, 0]]
    assert gradient(jnp.zeros((1, 2, 2, 1)))[0, :, :, 0].tolist() == [[3, 0], [0, 0]]


def test_the_first_maximum_of_the_whole_image_has_the_gradient():
    x = jnp.array([[0.0, 1.0], [1.0, 1.0]]).reshape(1, 2, 2, 1)
    assert jax.grad(lambda x: 3 * global_max_pool(x).sum())(x)[0, :, :, 0].tolist() == [[0, 3], [0, 0]]


@pytest.mark.parametrize(
    ("window", "strides", "padding"),
    [((3, 2), (3, 2), "VALID"), ((3, 3), (2, 2), "VALID"), ((3, 2), (1, 1), "SAME"), ((2, 3), (1, 2), "SAME")],
    ids=str,
)
def test_ties_go_where_xla_sends_them(window, strides, padding):
    """Few values, so nearly every window has a tie."""
    x = jnp.asarray(np.random.default_rng(0).integers(3, size=(4, 6, 6, 3)), jnp.float32)
    gradient = lambda pool: jax.grad(lambda x: jnp.sum(jnp.sin(pool(x) + jnp.arange(3.0)[None, None, None])))(x)
    ours = gradient(lambda x: max_pool(x, window, strides=strides, padding=padding))
    assert_close(ours, gradient(lambda x: nn.max_pool(x, window, strides, padding)))


@pytest.mark.parametrize("strides", [None, (1, 2)], ids=["disjoint", "overlapping"])
@BOTH
def test_gradient_in_a_loop_and_under_vmap(ours, strides, x64):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 4, 6, 2)))
    gradient = jax.grad(lambda x: jnp.sum(ours(x, (2, 3), strides=strides) ** 2))
    descend = lambda x: jax.lax.fori_loop(0, 4, lambda _, x: x - 0.1 * gradient(x), x)
    mapped = jax.jit(jax.vmap(descend))(x)
    expected = x
    for _ in range(4):
        expected = expected - 0.1 * jnp.stack([gradient(member) for member in expected])
    assert_close(mapped, expected)


@pytest.mark.parametrize("strides", [(2, 2), (1, 1)], ids=["disjoint", "overlapping"])
def test_reverse_over_reverse(strides, x64):
    x, v = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 4, 6, 3)))

    def product(pool):
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))
        return jax.grad(lambda x: jnp.vdot(gradient(x), v))(x)

    assert_close(product(lambda x: max_pool(x, strides=strides)), product(lambda x: nn.max_pool(x, (2, 2), strides)))


@BOTH
@pytest.mark.parametrize(
    ("shape", "keywords", "message"),
    [
        ((4, 4, 1), {}, r"`x` must have shape \(batch, height, width, channels\); received \(4, 4, 1\)"),
        ((1, 1, 4, 1), {}, r"no smaller than the window \(2, 2\); received \(1, 1, 4, 1\)"),
        ((1, 4, 4, 1), {"padding": ((2, 0), (0, 0))}, r"`padding` must be .* less than the window's \(2, 2\)"),
        ((1, 4, 4, 1), {"padding": ((-1, 0), (0, 0))}, r"`padding` must be"),
        ((1, 4, 4, 1), {"strides": (0, 1)}, r"at least 1; received \(2, 2\) and \(0, 1\)"),
        ((1, 4, 4, 1), {"window": (0, 2)}, r"`window` and `strides` must be pairs"),
    ],
    ids=str,
)
def test_refuses_windows_that_do_not_fit(ours, shape, keywords, message):
    with pytest.raises(ValueError, match=message):
        ours(jnp.zeros(shape), **keywords)


def test_a_network_hears_the_same_message():
    for layer in (MaxPool((5, 5)), AveragePool((5, 5))):
        with pytest.raises(ValueError, match=r"no smaller than the window \(5, 5\)"):
            layer.forward((), jnp.zeros((1, 4, 4, 1)))


def test_commutes_with_relu():
    """Why LeNet5 may pool first: the values are equal, and where the maximum is not 0, so are the gradients."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)
    pool_first, relu_first = (lambda x: nn.relu(max_pool(x))), (lambda x: max_pool(nn.relu(x)))
    np.testing.assert_array_equal(pool_first(x), relu_first(x))
    pull = lambda f: jax.grad(lambda x: jnp.sum(f(x) ** 2))(x)
    np.testing.assert_array_equal(pull(pool_first), pull(relu_first))
