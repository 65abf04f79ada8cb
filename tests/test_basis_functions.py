"""What the rows of `BASIS_FUNCTIONS` do not say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn.basis_functions import gaussian, linear, polynomial, sigmoidal

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

CENTRES = jnp.array([-1.0, 0.0, 2.0])


@given(batch=st.integers(0, 4), degree=st.integers(0, 5))
def test_polynomial_is_numpys_vandermonde_matrix(batch, degree):
    x = np.linspace(-2, 2, batch).astype(np.float32)
    design = polynomial(jnp.asarray(x), degree=degree)
    assert design.shape == (batch, degree + 1)
    assert_close(design, np.vander(x, degree + 1, increasing=True))


@given(batch=st.integers(0, 3), features=st.integers(1, 3), centres=st.integers(1, 3))
def test_a_radial_function_knows_the_distance_only(batch, features, centres):
    rng = np.random.default_rng(0)
    x, mu = rng.normal(size=(batch, features)), rng.normal(size=(centres, features))
    rotation = np.linalg.qr(rng.normal(size=(features, features)))[0]
    design = gaussian(jnp.asarray(x), centres=jnp.asarray(mu), width=1.3)
    assert design.shape == (batch, 1 + centres)
    assert_close(gaussian(jnp.asarray(x @ rotation), centres=jnp.asarray(mu @ rotation), width=1.3), design)


def test_one_feature_is_one_variable():
    x = jnp.linspace(-2, 2, 9)
    flat = gaussian(x, centres=CENTRES, width=0.5)
    assert_close(gaussian(x[:, None], centres=CENTRES[:, None], width=0.5), flat)
    assert_close(linear(x[:, None]), polynomial(x, degree=1))


@pytest.mark.parametrize("basis", [gaussian, sigmoidal])
def test_values_at_the_centre_and_far_away(basis):
    far = jnp.array([-1e6, 0.0, 1e6])
    design = basis(far, centres=jnp.array([0.0]), width=0.1)
    expected = {gaussian: [0.0, 1.0, 0.0], sigmoidal: [0.0, 0.5, 1.0]}[basis]
    np.testing.assert_array_equal(design, np.stack([np.ones(3), expected], axis=1))


def test_gaussian_falls_to_one_over_root_e_at_its_width(x64):
    assert_close(gaussian(jnp.array([1.7]), centres=jnp.array([1.0]), width=0.7)[0, 1], np.exp(-0.5))
    assert_close(sigmoidal(jnp.array([1.7]), centres=jnp.array([1.0]), width=0.7)[0, 1], 1 / (1 + np.exp(-1)))


@pytest.mark.parametrize("basis", [gaussian, sigmoidal])
def test_derivatives_are_those_of_the_docstrings(basis, x64):
    x, s = jnp.linspace(-2, 2, 7), 0.8
    phi = basis(x, centres=CENTRES, width=s)[:, 1:]
    derivative = jax.vmap(jax.jacobian(lambda x: basis(x[None], centres=CENTRES, width=s)[0, 1:]))(x)
    expected = {gaussian: -phi * (x[:, None] - CENTRES[None]) / s**2, sigmoidal: phi * (1 - phi) / s}[basis]
    assert_close(derivative, expected)


@pytest.mark.parametrize("basis", [gaussian, sigmoidal])
def test_centres_and_width_can_be_learnt(basis, x64):
    """Both are traced: a network of one hidden layer begins where they are no longer fixed."""
    total = lambda c, s: jnp.sum(basis(jnp.linspace(-1, 1, 5), centres=c, width=s) ** 2)
    gradients = jax.jit(jax.grad(total, (0, 1)))(CENTRES, 0.7)
    assert all(np.isfinite(g).all() and np.any(g != 0) for g in gradients)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_keeps_the_dtype_of_x_whatever_the_centres(dtype):
    x = jnp.linspace(-1, 1, 4, dtype=dtype)
    assert gaussian(x, centres=CENTRES, width=jnp.float32(0.5)).dtype == dtype
    assert sigmoidal(x, centres=CENTRES, width=jnp.float32(0.5)).dtype == dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: polynomial(jnp.ones(2), degree=-1), "`degree` must be at least 0; received -1"),
        (lambda: gaussian(jnp.ones(2), centres=CENTRES, width=0.0), "`width` must be greater than 0; received 0.0"),
        (lambda: sigmoidal(jnp.ones(2), centres=CENTRES, width=-1), "`width` must be greater than 0; received -1"),
        (lambda: gaussian(jnp.ones((2, 3)), centres=jnp.ones((4, 2)), width=1.0), "centres"),
    ],
)
def test_says_what_does_not_fit(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
