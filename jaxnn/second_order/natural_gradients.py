"""The natural gradient measures distance by how far the predicted distribution moves, not the weights.

Steps against it are steepest descent under this distance. The Fisher matrix of a model's predictive distribution
`p(y | x, w)` is the curvature of its divergence from itself,

    F = E_x [J^T B J],    J = d outputs / d w,    B = d^2/du^2 KL(p(outputs) || p(u)) at u = outputs,

a mean over the batch. So the divergence, a function of two outputs, is all that must be known of a distribution. Where
the outputs are its natural parameters (logits, log rates), F is the generalized Gauss-Newton matrix of the likelihood.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least
from jaxnn.second_order.flat_parameters import require
from jaxnn.second_order.hessian_products import as_matrix, check_mode, gauss_newton_vector_product
from jaxnn.second_order.newton_steps import preconditioned, solved_by_eigenvalues, solved_by_products
from jaxnn.second_order.searched_descent import searched
from jaxnn.signatures import accepted


def categorical_divergence(logits, other):
    """Computes `sum_k p_k (log p_k - log q_k)` of the classes: logits (batch, classes) -> (batch,)."""
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(other)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


def bernoulli_divergence(logits, other):
    """Computes the divergence of independent binary outputs: logits (batch, outputs) -> (batch,)."""
    p = jax.nn.sigmoid(logits)
    return jnp.sum(p * (logits - other) + jax.nn.softplus(other) - jax.nn.softplus(logits), axis=-1)


def gaussian_divergence(means, other):
    """Computes `|mu - nu|^2 / 2`, for Gaussians of unit variance: means (batch, outputs) -> (batch,)."""
    return jnp.sum((means - other) ** 2, axis=-1) / 2


def poisson_divergence(log_rates, other):
    """Computes the divergence of independent counts: logarithms of the rates (batch, outputs) -> (batch,)."""
    return jnp.sum(jnp.exp(log_rates) * (log_rates - other) + jnp.exp(other) - jnp.exp(log_rates), axis=-1)


DIVERGENCES = {
    "categorical": categorical_divergence,
    "bernoulli": bernoulli_divergence,
    "gaussian": gaussian_divergence,
    "poisson": poisson_divergence,
}


def fisher_vector_product(outputs_fn: Callable, params, *, family="categorical", mode: str = "reverse") -> Callable:
    """Returns the map `v -> F v`, where F is the Fisher matrix of the predictive distribution at `params`.

    F is a mean over the batch.

    Args:
      outputs_fn: `params -> (batch, outputs)` parameters of the distributions, such as logits.
      params: a tree of floats; v is such a tree too.
      family: "categorical", "bernoulli", "gaussian" (unit variance), "poisson", or a divergence
        `(outputs, outputs) -> (batch,)`.
      mode: how `outputs_fn` is differentiated; see `gauss_newton_vector_product`.

    Raises:
      ValueError: the family or the mode is unknown, or the outputs have another shape.

    >>> product = fisher_vector_product(lambda w: jnp.ones((5, 1)) * w[None], jnp.array([0.0]), family="bernoulli")
    >>> product(jnp.array([1.0])).tolist()  # p (1 - p)
    [0.25]
    """
    divergence = _divergence(family)

    def metric(u):
        kl = lambda other: jnp.sum(divergence(outputs, other)) / len(outputs)
        return jax.jvp(jax.grad(kl), (outputs,), (u,))[1]

    outputs = outputs_fn(params)
    if outputs.ndim != 2:
        raise ValueError(f"`outputs_fn` must return shape (batch, outputs); received {outputs.shape}. Add an axis?")
    return gauss_newton_vector_product(outputs_fn, params, metric=metric, mode=mode)


def natural_gradient(
    learning_rate=1.0, damping=0.0, *, family="categorical", linesearch=None, mode: str = "reverse"
) -> GradientTransformation:
    """Returns the optimizer `w <- w - lr (F + lambda I)^+ g` (Amari 1998), with the whole Fisher matrix.

    It is meant for n below about 1000 parameters. To first order in lr, the predictions move equally, however the model
    is parametrized (for lambda = 0). With the mean negative log likelihood of a generalized linear model and its
    natural link, this is Newton's method: F = H.

    `update(grads, state, params, outputs_fn=...)` needs the model's predictions on the batch, as
    `fisher_vector_product` describes them. A `linesearch` also needs `value_fn`.

    Args:
      learning_rate: number or schedule.
      damping: lambda, a number or a schedule.
      family: family of the distribution; see `fisher_vector_product`.
      linesearch: scales the step, or None; see `searched`.
      mode: how J is computed; see `gauss_newton_vector_product`.

    Raises:
      ValueError: a number is out of its range, or the family is unknown; in `update`, `params` or `outputs_fn` is
        missing.

    >>> optimizer, w = natural_gradient(family="bernoulli"), jnp.array([0.0])  # a coin that shows 3 heads of 4
    >>> outputs_fn = lambda w: jnp.ones((4, 1)) * w[None]
    >>> grads = jax.nn.sigmoid(w) - 0.75
    >>> optimizer.update(grads, optimizer.init(w), w, outputs_fn=outputs_fn)[0].tolist()
    [1.0]
    """
    solve = lambda product, flat, g, lam: solved_by_eigenvalues(
        as_matrix(product, flat.w), g, change=lambda eigenvalues: eigenvalues + lam
    )
    return _with_fisher(solve, learning_rate, damping, family, linesearch, mode)


def natural_gradient_cg(
    learning_rate=1.0,
    damping=1e-3,
    *,
    family="categorical",
    max_steps=None,
    tolerance=None,
    linesearch=None,
    mode: str = "reverse",
) -> GradientTransformation:
    """Returns the natural gradient without the matrix: conjugate gradients solve `(F + lambda I) d = g`.

    They only need products `F v`. For one step of a large net about ten products are enough (Martens 2010; Schulman et
    al. 2015, arXiv 1502.05477). The call of `update` is that of `natural_gradient`.

    Args:
      learning_rate, damping, family, linesearch, mode: see `natural_gradient`.
      max_steps: largest number of products; by default the number of parameters.
      tolerance: of the residual, relative to |g|; by default `min(1/2, sqrt |g|)`.

    Raises:
      ValueError: as `natural_gradient`.

    >>> optimizer, w = natural_gradient_cg(family="bernoulli", damping=0.0), jnp.array([0.0])
    >>> grads = jax.nn.sigmoid(w) - 0.75
    >>> optimizer.update(grads, optimizer.init(w), w, outputs_fn=lambda w: jnp.ones((4, 1)) * w[None])[0].tolist()
    [1.0]
    """
    solve = lambda product, flat, g, lam: solved_by_products(
        lambda v: product(v) + lam * v, g, tolerance=tolerance, max_steps=max_steps
    )
    return _with_fisher(solve, learning_rate, damping, family, linesearch, mode)


def _with_fisher(solve, learning_rate, damping, family, linesearch, mode):
    check_at_least("damping", damping, 0)
    check_mode(mode)
    _divergence(family)

    def precondition(flat, g, lam, *, outputs_fn=None, **extra):
        predict = require("outputs_fn", outputs_fn, use="`params -> (batch, outputs)`, the model's predictions")
        given = accepted(predict, **extra)
        outputs = lambda w: predict(flat.params(w), **given).astype(w.dtype)
        return solve(fisher_vector_product(outputs, flat.w, family=family, mode=mode), flat, g, lam)

    return searched(preconditioned(precondition, damping), learning_rate=learning_rate, linesearch=linesearch)


def _divergence(family) -> Callable:
    if callable(family):
        return family
    if family not in DIVERGENCES:
        raise unknown("family", family, DIVERGENCES)
    return DIVERGENCES[family]
