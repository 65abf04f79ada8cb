"""Transposed convolution: what it is the transpose of, its sizes in every dialect, its gradients."""

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

from jaxnn.layers import convolve
from jaxnn.layers.convolution_layers import TransposedConvolution
from jaxnn.layers.transposed_convolution import convolve_transposed

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def random_arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


@st.composite
def transposed_convolutions(draw):
    """(x shape, kernel shape, strides, padding): strides beyond the window, padding that cuts, batch 1 to 17."""
    window, strides, size, features = (tuple(draw(st.integers(1, 4)) for _ in range(2)) for _ in range(4))
    explicit = st.tuples(*(st.tuples(st.integers(k // 2, k + 1), st.integers(k // 2, k + 1)) for k in window))
    padding = draw(st.one_of(st.sampled_from(["SAME", "VALID"]), explicit))
    return (draw(st.sampled_from([1, 3, 17])), *size, features[0]), (*window, *features), strides, padding


@settings(max_examples=15)
@given(case=transposed_convolutions())
def test_value_and_gradients_are_those_of_lax(case):
    x_shape, kernel_shape, strides, padding = case
    with jax.enable_x64(True):
        x, kernel = random_arrays(x_shape, kernel_shape)

        @jax.jit
        def both(x, kernel):
            y, pull = jax.vjp(partial(convolve_transposed, strides=strides, padding=padding), x, kernel)
            expected, expected_pull = jax.vjp(lambda *args: lax.conv_transpose(*args, strides, padding), x, kernel)
            dy = jnp.cos(jnp.arange(expected.size, dtype=y.dtype)).reshape(expected.shape)
            return (y, *pull(dy)), (expected, *expected_pull(dy))

        assert_close(*both(x, kernel), rtol=1e-10)


@pytest.mark.parametrize("batch", [2, 16])
def test_is_the_transpose_of_convolution(batch, x64):
    """`<conv(y, K), x> = <y, transposed(x, K mirrored)>` for all x and y."""
    x, y, kernel = random_arrays((batch, 3, 4, 5), (batch, 8, 8, 2), (4, 2, 2, 5))
    mirrored = kernel[::-1, ::-1].swapaxes(2, 3)
    back = convolve_transposed(x, mirrored, strides=(2, 2), padding="VALID")
    assert_close(jnp.vdot(convolve(y, kernel, (2, 2), "VALID"), x), jnp.vdot(y, back))


@pytest.mark.parametrize(("k", "s", "p", "o"), [(3, 2, 1, 1), (4, 2, 1, 0), (5, 3, 2, 2), (2, 3, 0, 0)])
def test_padding_of_pytorch(k, s, p, o, x64):
    """Every input adds its kernel to the outputs, p rows and columns are cut at both edges, o fewer at the far ones."""
    x, kernel = random_arrays((2, 4, 4, 3), (k, k, 3, 2))
    n = (4 - 1) * s + k - 2 * p + o  # the size that PyTorch documents
    canvas = np.zeros((2, n + 2 * p, n + 2 * p, 2))
    for i, j in np.ndindex(4, 4):
        canvas[:, i * s : i * s + k, j * s : j * s + k] += np.einsum("nc,abco->nabo", x[:, i, j], kernel)
    mirrored = kernel[::-1, ::-1]  # PyTorch's, as ours
    pads = ((k - 1 - p, k - 1 - p + o),) * 2
    ours = convolve_transposed(x, mirrored, strides=(s, s), padding=pads)
    assert_close(ours, canvas[:, p : p + n, p : p + n])


@pytest.mark.parametrize(("k", "s"), [(1, 1), (3, 1), (4, 2), (3, 2), (2, 3)])
def test_same_multiplies_the_size_and_valid_keeps_all(k, s):
    x, kernel = jnp.ones((1, 5, 5, 1)), jnp.ones((k, k, 1, 1))
    same, valid = (convolve_transposed(x, kernel, strides=(s, s), padding=padding) for padding in ("SAME", "VALID"))
    assert same.shape == (1, 5 * s, 5 * s, 1)
    assert valid.shape == (1, 4 * s + max(k, s), 4 * s + max(k, s), 1)
    assert valid.sum() == 25 * k * k  # no input's kernel is cut


@pytest.mark.parametrize("batch", [1, 17])
def test_descends_inside_a_loop(batch, x64):
    """Five steps of gradient descent in `lax.fori_loop`, compared with lax's outside of one."""
    x, kernel, target = random_arrays((batch, 3, 4, 2), (4, 3, 2, 3), (batch, 6, 8, 3))
    loss = lambda kernel, f: jnp.mean((f(x, kernel, strides=(2, 2), padding="SAME") - target) ** 2)
    step = lambda _, kernel: kernel - 0.1 * jax.grad(loss)(kernel, convolve_transposed)
    expected, plain_gradient = kernel, jax.jit(jax.grad(partial(loss, f=lax.conv_transpose)))
    for _ in range(5):
        expected = expected - 0.1 * plain_gradient(expected)
    assert_close(jax.jit(lambda kernel: lax.fori_loop(0, 5, step, kernel))(kernel), expected, rtol=1e-10)


def test_reverse_over_reverse(x64):
    x, kernel, direction = random_arrays((2, 3, 4, 2), (3, 2, 2, 3), (3, 2, 2, 3))

    def product(f):
        loss = lambda kernel: jnp.sum(jnp.sin(f(x, kernel, strides=(2, 1), padding="SAME")))
        return jax.jit(jax.grad(lambda kernel: jnp.vdot(jax.grad(loss)(kernel), direction)))(kernel)

    assert_close(product(convolve_transposed), product(lax.conv_transpose), rtol=1e-10)


def test_layer_is_that_of_flax():
    (x,) = random_arrays((2, 3, 4, 5))
    theirs, ours = nn.ConvTranspose(6, (4, 3), (2, 2)), TransposedConvolution(6, (4, 3), strides=(2, 2))
    shapes = jax.eval_shape(lambda: theirs.init(jax.random.key(0), x)["params"])
    assert jax.eval_shape(lambda: ours.init(jax.random.key(0), x)) == shapes
    kernel, bias = random_arrays(shapes["kernel"].shape, shapes["bias"].shape)
    params = {"kernel": kernel, "bias": bias}
    assert_close(jax.jit(ours.forward)(params, x)[0], jax.jit(theirs.apply)({"params": params}, x))


def test_what_does_not_fit_is_refused():
    x, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 2))
    with pytest.raises(ValueError, match=r"received \(4, 4, 3\) and \(3, 3, 3, 2\)"):
        convolve_transposed(x[0], kernel)
    with pytest.raises(ValueError, match="`strides` must be two whole numbers of at least 1"):
        convolve_transposed(x, kernel, strides=(0, 2))
    with pytest.raises(ValueError, match="unknown padding 'SAME_LOWER'"):
        convolve_transposed(x, kernel, padding="SAME_LOWER")
    with pytest.raises(ValueError, match=r"`padding` must be one of SAME, VALID or .* received 2"):
        TransposedConvolution(2, (3, 3), padding=2)
    with pytest.raises(ValueError, match="`features` must be at least 1; received 0"):
        TransposedConvolution(0, (3, 3))
    layer = TransposedConvolution(2, (3, 3))
    params = layer.init(jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"received \(4, 4, 3\)"):
        layer.forward(params, x[0])
    with pytest.raises(ValueError, match=r"`kernel` must have shape \(3, 3, 1, 2\) .* received \(3, 3, 3, 2\)"):
        layer.forward(params, x[..., :1])
