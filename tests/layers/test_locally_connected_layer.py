"""The locally connected layer between its two extremes: one kernel everywhere, and one position alone."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from tolerances import assert_close

from jaxnn.layers import convolve, dense
from jaxnn.layers.convolution_layers import LocallyConnected
from jaxnn.layers.locally_connected_layer import connect_locally, kernel_shape

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def random_arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


@st.composite
def local_connections(draw):
    """(x shape, features, sizes): any window that fits, strides beyond it, padding that cuts."""
    window, strides, features = (tuple(draw(st.integers(1, 3)) for _ in range(2)) for _ in range(3))
    explicit = st.tuples(*(st.tuples(st.integers(-1, 3), st.integers(-1, 3)) for _ in range(2)))
    padding = draw(st.one_of(st.sampled_from(["SAME", "VALID", "SAME_LOWER"]), explicit))
    size = [k + 2 * (not isinstance(padding, str)) + draw(st.integers(0, 4)) for k in window]
    sizes = {"window": window, "strides": strides, "padding": padding}
    return (draw(st.integers(1, 6)), *size, features[0]), features[1], sizes


@settings(max_examples=12)
@given(case=local_connections())
def test_value_and_gradients_are_those_of_lax(case):
    x_shape, features, sizes = case

    def theirs(x, kernel):
        numbers = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "filter_shape": sizes["window"]}
        return lax.conv_general_dilated_local(x, kernel, sizes["strides"], sizes["padding"], **numbers)

    with jax.enable_x64(True):
        x, kernel = random_arrays(x_shape, kernel_shape(x_shape, features, **sizes))

        @jax.jit
        def both(x, kernel):
            y, pull = jax.vjp(partial(connect_locally, **sizes), x, kernel)
            expected, expected_pull = jax.vjp(theirs, x, kernel)
            dy = jnp.cos(jnp.arange(expected.size, dtype=y.dtype)).reshape(expected.shape)
            return (y, *pull(dy)), (expected, *expected_pull(dy))

        assert_close(*both(x, kernel), rtol=1e-10)


def test_with_one_kernel_everywhere_it_is_a_convolution(x64):
    x, kernel = random_arrays((3, 6, 7, 2), (3, 2, 2, 4))
    everywhere = jnp.broadcast_to(kernel.transpose(2, 0, 1, 3).reshape(1, 1, 12, 4), (3, 7, 12, 4))
    ours = connect_locally(x, everywhere, window=(3, 2), strides=(2, 1), padding="SAME")
    assert_close(ours, convolve(x, kernel, (2, 1), "SAME"))


def test_with_the_whole_image_as_window_it_is_dense(x64):
    x, kernel, bias = random_arrays((3, 4, 5, 2), (1, 1, 40, 6), (1, 1, 6))
    y, _ = LocallyConnected(6, (4, 5)).forward({"kernel": kernel, "bias": bias}, x)
    flat = x.transpose(0, 3, 1, 2).reshape(3, 40)
    assert_close(y[:, 0, 0], dense({"kernel": kernel[0, 0], "bias": bias[0, 0]}, flat))


def test_positions_share_nothing():
    """A kernel's gradient comes from its own position alone."""
    x, kernel = random_arrays((2, 5, 5, 1), (3, 3, 9, 2))
    gradient = jax.grad(lambda kernel: connect_locally(x, kernel, window=(3, 3))[:, 1, 2].sum())(kernel)
    reached = np.abs(gradient).max(axis=(2, 3)) > 0
    np.testing.assert_array_equal(np.argwhere(reached), [[1, 2]])


def test_descends_inside_a_loop(x64):
    x, kernel, target = random_arrays((17, 5, 4, 2), (3, 3, 12, 3), (17, 3, 3, 3))
    sizes = {"window": (3, 2)}
    loss = lambda kernel: jnp.mean((connect_locally(x, kernel, **sizes) - target) ** 2)
    step = lambda kernel: kernel - 0.1 * jax.grad(loss)(kernel)
    expected, one = kernel, jax.jit(step)
    for _ in range(5):
        expected = one(expected)
    assert_close(jax.jit(lambda kernel: lax.fori_loop(0, 5, lambda _, k: step(k), kernel))(kernel), expected)
    assert loss(expected) < loss(kernel)


def test_layer_is_that_of_flax():
    (x,) = random_arrays((2, 6, 7, 3))
    sizes = {"strides": (2, 1), "padding": "SAME"}
    theirs, ours = nn.ConvLocal(4, (3, 2), **sizes), LocallyConnected(4, (3, 2), **sizes)
    shapes = jax.eval_shape(lambda: theirs.init(jax.random.key(0), x)["params"])
    assert jax.eval_shape(lambda: ours.init(jax.random.key(0), x)) == shapes
    kernel, bias = random_arrays(shapes["kernel"].shape, shapes["bias"].shape)
    params = {"kernel": kernel, "bias": bias}
    assert_close(jax.jit(ours.forward)(params, x)[0], jax.jit(theirs.apply)({"params": params}, x))


def test_every_position_draws_its_own_kernel_from_its_window():
    kernel = LocallyConnected(8, (5, 5)).init(jax.random.key(0), jnp.ones((1, 12, 12, 4)))["kernel"]
    assert 0.09 < abs(kernel).max() <= 0.1  # a hundred inputs, however many positions
    assert len(np.unique(kernel[..., 0, 0])) == 64


def test_what_does_not_fit_is_refused():
    x, kernel = jnp.ones((2, 5, 5, 1)), jnp.ones((3, 3, 9, 2))
    with pytest.raises(ValueError, match=r"`kernel` must have shape .* \(5, 5, 9, 2\) .* received \(3, 3, 9, 2\)"):
        connect_locally(x, kernel, window=(3, 3), padding="SAME")
    with pytest.raises(ValueError, match=r"\(batch, height, width, in\); received \(5, 5, 1\)"):
        connect_locally(x[0], kernel, window=(3, 3))
    with pytest.raises(ValueError, match=r"`window` must fit into the image; received \(6, 3\) for \(5, 5\)"):
        connect_locally(x, kernel, window=(6, 3))
    with pytest.raises(ValueError, match="`strides` must be two whole numbers of at least 1"):
        connect_locally(x, kernel, window=(3, 3), strides=(1, 0))
    with pytest.raises(ValueError, match="unknown padding 'FULL'"):
        LocallyConnected(2, (3, 3), padding="FULL")
    with pytest.raises(ValueError, match="`features` must be at least 1; received -1"):
        LocallyConnected(-1, (3, 3))
    layer = LocallyConnected(2, (3, 3))
    params = layer.init(jax.random.key(0), jnp.ones((1, 5, 5, 1)))
    with pytest.raises(ValueError, match=r"`kernel` must have shape \(4, 4, 9, 2\) .* of another size"):
        layer.forward(params, jnp.ones((1, 6, 6, 1)))
