"""Variational autoencoders train with a log-likelihood, which is maximized, and a divergence from their prior.

The loss is the negative evidence bound `kl_to_standard_normal(mean, log_variance) - log_likelihood(decoded, x)`.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxnn.losses.cross_entropies import binary_cross_entropy
from jaxnn.losses.per_example import check_same_shape, sum_features


def bernoulli_log_likelihood(logits: Float[Array, "batch ..."], x: Num[Array, "batch ..."]) -> Float[Array, " batch"]:
    """Computes `log p(x | z) = sum_k x_k log s(z_k) + (1 - x_k) log(1 - s(z_k))` of binary pixels x.

    z are the logits and s is the sigmoid. Gradient: `x - s(z)`. Intensities between 0 and 1 are used as probabilities;
    other numbers give NaN (Kingma and Welling 2014, arXiv 1312.6114, appendix C.1).

    Raises:
      ValueError: if the shapes differ, or `x` is a NumPy array with numbers outside [0, 1].

    >>> bernoulli_log_likelihood(jnp.zeros((1, 4)), jnp.ones((1, 4))).round(4)
    Array([-2.7726], dtype=float32)
    """
    check_same_shape(logits=logits, x=x)
    return -binary_cross_entropy(logits, x)


def gaussian_log_likelihood(
    mean: Float[Array, "batch ..."],
    x: Float[Array, "batch ..."],
    *,
    log_variance: float | Float[Array, ""] | Float[Array, "batch ..."] = 0.0,
) -> Float[Array, " batch"]:
    """Computes `log N(x; mu, s^2) = -1/2 sum_k [log 2 pi + log s_k^2 + (x_k - mu_k)^2 / s_k^2]`.

    The features are independent. Gradient: `(x - mu) / s^2` in mu, `((x - mu)^2 / s^2 - 1) / 2` in log s^2. With the
    default, s = 1, it is minus half the squared error minus a constant (Kingma and Welling 2014, arXiv 1312.6114,
    appendix C.2).

    Raises:
      ValueError: if the shapes differ.

    >>> round(float(gaussian_log_likelihood(jnp.zeros((1, 2)), jnp.zeros((1, 2)))[0]), 4)
    -1.8379
    """
    check_same_shape(mean=mean, x=x, log_variance=log_variance if jnp.ndim(log_variance) else mean)
    squared = (x - mean) ** 2 * jnp.exp(-log_variance)
    return -0.5 * sum_features(math.log(2 * math.pi) + log_variance + squared)


def kl_to_standard_normal(
    mean: Float[Array, "batch ..."], log_variance: Float[Array, "batch ..."]
) -> Float[Array, " batch"]:
    """Computes `KL(N(mu, s^2) || N(0, 1)) = 1/2 sum_k (mu_k^2 + s_k^2 - 1 - log s_k^2)`.

    It is 0 at mu = 0 and s = 1, and greater elsewhere. Gradient: `mu` in mu, `(s^2 - 1) / 2` in log s^2 (Kingma and
    Welling 2014, arXiv 1312.6114, appendix B).

    Raises:
      ValueError: if the shapes differ.

    >>> kl_to_standard_normal(jnp.array([[2.0, 0.0]]), jnp.zeros((1, 2))).tolist()
    [2.0]
    """
    check_same_shape(mean=mean, log_variance=log_variance)
    return 0.5 * sum_features(mean**2 + jnp.expm1(log_variance) - log_variance)
