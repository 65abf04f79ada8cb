"""Likelihoods and the divergence from the prior: densities that integrate to 1, and expectations by sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.losses import bernoulli_log_likelihood, gaussian_log_likelihood, kl_to_standard_normal

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def test_the_gaussian_density_integrates_to_one(x64):
    x = jnp.linspace(-30, 30, 6001)
    mean, log_variance = jnp.full(6001, 0.7), jnp.full(6001, 1.2)
    density = jnp.exp(gaussian_log_likelihood(mean, x, log_variance=log_variance))
    np.testing.assert_allclose(density.sum() * (x[1] - x[0]), 1, rtol=1e-9)
    assert_close(jnp.log(density), gaussian_log_likelihood(mean, x, log_variance=1.2))


def test_the_probabilities_of_all_binary_pictures_sum_to_one(x64):
    x = jnp.asarray(np.stack(np.meshgrid(*[[0, 1]] * 3), axis=-1).reshape(8, 3))
    logits = jnp.broadcast_to(jnp.array([-1.0, 0.3, 4.0]), (8, 3))
    assert_close(jnp.exp(bernoulli_log_likelihood(logits, x)).sum(), 1.0)


def test_bernoulli_is_finite_for_any_logits_and_sees_bytes():
    z, x = jnp.array([[1e30, -1e30], [1e4, -1e4]]), jnp.array([[0.0, 0.5], [1.0, 1.0]])
    value, gradient = jax.value_and_grad(lambda z: bernoulli_log_likelihood(z, x).sum())(z)
    assert np.isfinite(value)
    assert_close(gradient, x - jax.nn.sigmoid(z))
    assert jnp.isnan(bernoulli_log_likelihood(z, 255 * x)).all()


def test_the_divergence_is_the_mean_log_ratio_of_the_densities(x64):
    mean, log_variance = jnp.full(20_000, 0.5), jnp.full(20_000, -1.0)
    x = mean + jnp.exp(log_variance / 2) * jax.random.normal(jax.random.key(0), mean.shape)
    ratio = gaussian_log_likelihood(mean, x, log_variance=log_variance) - gaussian_log_likelihood(0 * mean, x)
    expected = kl_to_standard_normal(mean[:1], log_variance[:1])[0]
    np.testing.assert_allclose(ratio.mean(), expected, atol=4 * ratio.std() / 20_000**0.5)


def test_the_divergence_is_least_at_the_prior_and_exact_near_it():
    at = lambda m, v: kl_to_standard_normal(jnp.array([[m]]), jnp.array([[v]]))[0]
    assert at(0.0, 0.0) == 0
    assert at(0.0, 1e-3) == pytest.approx(2.5e-7, rel=1e-2)  # v^2 / 4: s^2 - 1 would be rounded to 1e-7
    gradients = jax.grad(lambda m, v: kl_to_standard_normal(m, v).sum(), (0, 1))(jnp.ones((1, 1)), jnp.ones((1, 1)))
    assert_close(gradients, (jnp.ones((1, 1)), jnp.full((1, 1), (np.e - 1) / 2)))


def test_a_variance_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"`log_variance` must have the shape of `mean`, \(2, 3\); received \(2, 1\)"):
        gaussian_log_likelihood(jnp.zeros((2, 3)), jnp.zeros((2, 3)), log_variance=jnp.zeros((2, 1)))
