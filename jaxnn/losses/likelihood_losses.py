"""Negative log-likelihoods of targets that are counts, or whose variance is predicted, too."""

import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Num

from jaxnn.losses.per_example import check_range, check_same_shape, nan_unless, sum_features


def poisson_nll(
    log_rates: Float[Array, "batch ..."], counts: Num[Array | np.ndarray, "batch ..."], *, full: bool = False
) -> Float[Array, " batch"]:
    """Computes the negative log-likelihood `sum_k (exp(z_k) - t_k z_k)` of counts t with the rates exp(z).

    Gradient: `exp(z) - t`. PyTorch's `PoissonNLLLoss` is its mean, with a few terms of Stirling's series where `full`
    has the exact `log t!`. Keras' `Poisson` takes rates r: pass `log(r + 1e-7)`.

    Args:
      log_rates: z, (batch, ...).
      counts: t, at least 0, of the same shape; negative ones give NaN.
      full: whether to add `log t_k!`, which does not depend on the rates.

    Raises:
      ValueError: if the shapes differ, or NumPy counts are negative.

    >>> poisson_nll(jnp.array([0.0]), jnp.array([3]), full=True).round(4)  # 1 + log 6
    Array([2.7918], dtype=float32)
    """
    check_same_shape(log_rates=log_rates, counts=counts)
    check_range("counts", counts, 0, math.inf)
    t = jnp.asarray(counts, log_rates.dtype)
    constant = gammaln(jnp.maximum(t, 0) + 1) if full else 0
    information = t * jnp.where(t == 0, 0, log_rates)  # 0 log 0 = 0
    return nan_unless(sum_features(t < 0) == 0, sum_features(jnp.exp(log_rates) - information + constant))


def gaussian_nll(
    mean: Float[Array, "batch ..."],
    targets: Float[Array | np.ndarray, "batch ..."],
    *,
    variance: Float[Array, "batch ..."],
    smallest: float | Num[Array, ""] = 1e-6,
    full: bool = False,
) -> Float[Array, " batch"]:
    """Computes `1/2 sum_k [log v_k + (t_k - mu_k)^2 / v_k]` of targets with predicted means and variances.

    Gradient: `(mu - t) / v` in mu, `(1 - (t - mu)^2 / v) / (2 v)` in v. A variance below the smallest one counts as the
    smallest one, and its gradient is 0 (that of PyTorch's `GaussianNLLLoss` is passed on). For a model that predicts
    log v, `-gaussian_log_likelihood` needs no limit (Nix and Weigend 1994).

    Args:
      mean: mu, (batch, ...).
      targets: t, of the same shape.
      variance: v, of the same shape.
      smallest: the smallest variance, above 0.
      full: whether to add the constant `log(2 pi) / 2` for each target.

    Raises:
      ValueError: if the shapes differ, or the smallest variance is negative.

    >>> gaussian_nll(jnp.array([1.0]), jnp.array([3.0]), variance=jnp.array([4.0])).round(4)  # (log 4 + 1) / 2
    Array([1.1931], dtype=float32)
    """
    check_same_shape(mean=mean, targets=targets, variance=variance)
    check_range("smallest", smallest, 0, math.inf)
    v = jnp.maximum(variance, smallest)
    constant = math.log(2 * math.pi) if full else 0.0
    return sum_features(jnp.log(v) + (targets - mean) ** 2 / v + constant) / 2
