"""`fit_glm` fits generalized linear models by iteratively reweighted least squares, which is Newton's method.

The model is a linear predictor `eta = X w` and a distribution of the exponential family with its natural link. The
negative log likelihood of a target t is `A(eta) - t eta`, the mean is `y = A'(eta)`, the variance `R = A''(eta)`, and
so

    gradient  g = X^T (y - t)        Hessian  H = X^T R X        w <- w - H^-1 g = (X^T R X)^-1 X^T R z

with `z = X w - R^-1 (y - t)`: a least squares problem with weights R, solved anew as R changes (Bishop 2006, 4.3.3).
The features are fixed; `jaxnn.basis_functions` makes some.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from jaxnn.naming import unknown

SMALLEST_SHARE = 2.0**-30  # the smallest part of a Newton step that is tried


class Family(NamedTuple):
    """Holds the functions of the linear predictor `eta` (batch, outputs) that define a family."""

    cumulant: Callable
    """`A(eta)` -> (batch,)"""
    mean: Callable
    """`y = A'(eta)` -> (batch, outputs): the inverse of the link"""
    curvature: Callable
    """`R = A''(eta)` -> (batch, outputs, outputs)"""


class FittedGLM(NamedTuple):
    """Holds the fitted weights and a report of the Newton steps.

    weights: (features,) or (features, outputs), in accordance with the targets. steps: the number of Newton steps.
    change: the largest change of a linear predictor by the last full Newton step, relative to the largest absolute
    predictor (or to 1, if that is smaller). converged: whether `change` is at most the tolerance.
    """

    weights: jax.Array
    steps: jax.Array
    change: jax.Array
    converged: jax.Array


def irls_step(weights, examples, *, family: str = "bernoulli", ridge=0.0):
    """Makes one full Newton step `w - H^-1 g`; near the solution it squares the error.

    Args:
      weights: (features,) or (features, outputs).
      examples: `(features, targets)`, as for `fit_glm`.

    >>> X, t = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 3.0, 5.0])
    >>> irls_step(jnp.array([7.0, -7.0]), (X, t), family="gaussian").round(3).tolist()  # linear: one step is enough
    [1.0, 2.0]
    """
    W, X, T = _checked(weights, *examples)
    return (W - _newton(W, (X, T), _family(family), _as_column(ridge, X))).reshape(weights.shape)


def fit_glm(features, targets, *, family: str = "bernoulli", ridge=0.0, tolerance=None, max_steps: int = 50):
    """Minimizes `sum_n A(eta_n) - t_n eta_n + ridge / 2 |w|^2` by Newton's method from `w = 0`; returns a `FittedGLM`.

    A step is halved until the loss does not rise, so the method cannot overshoot; near the solution steps are full.
    If a hyperplane separates the classes, the likelihood has no maximum: without `ridge` the weights grow until
    `max_steps`, and `converged` is False. If the features are linearly dependent, `converged` is False, too; the
    weights are then those of the last step that could be computed.

    Args:
      features: the design matrix X (batch, features), float32 or float64.
      targets: (batch,) or (batch, outputs). For "categorical", probabilities or `jax.nn.one_hot(labels, classes)`;
        the same shift of all classes changes nothing then, and the returned weights sum to 0 over the classes.
      family: "gaussian" (identity link, least squares), "bernoulli" (logit), "poisson" (log), "categorical" (softmax).
      ridge: a number, or (features,) numbers, such as 0 for the bias; may be traced.
      tolerance: the method stops when `change` (see `FittedGLM`) is at most this; by default the square root of the
        machine epsilon of the features' dtype.

    Raises:
      ValueError: an unknown family, shapes that do not fit, half precision, a negative ridge.

    >>> X = jnp.stack([jnp.ones(4), jnp.array([-1.0, 0.0, 1.0, 2.0])], axis=1)
    >>> fit_glm(X, jnp.array([0.0, 1.0, 0.0, 1.0])).weights.round(3).tolist()
    [-0.45400..., 0.90800...]
    """
    W, X, T = _checked(jnp.zeros((features.shape[-1], *targets.shape[1:]), features.dtype), features, targets)
    family, ridge = _family(family), _as_column(ridge, X)
    eps = jnp.finfo(X.dtype).eps
    tolerance = eps**0.5 if tolerance is None else tolerance
    loss = lambda W: _loss(W, (X, T), family, ridge)

    def advance(fit):
        direction = _newton(fit.weights, (X, T), family, ridge)
        change = jnp.abs(X @ direction).max() / jnp.maximum(1, jnp.abs(X @ fit.weights).max())
        direction = jnp.where(jnp.isfinite(change), direction, 0)
        before = loss(fit.weights)
        highest = before + 32 * eps * jnp.maximum(jnp.abs(before), len(X))  # rounding error is not a rise
        rises = lambda share: ~(loss(fit.weights - share * direction) <= highest) & (share > SMALLEST_SHARE)
        share = jax.lax.while_loop(rises, lambda share: share / 2, jnp.ones_like(change))
        return FittedGLM(fit.weights - share * direction, fit.steps + 1, change, change <= tolerance)

    start = FittedGLM(W, jnp.int32(0), jnp.zeros_like(W[0, 0]), jnp.array(False))
    running = lambda fit: ~fit.converged & (fit.steps < max_steps) & jnp.isfinite(fit.change)
    fit = jax.lax.while_loop(running, advance, start)
    return fit._replace(weights=fit.weights.reshape(-1, *targets.shape[1:]))


def predict_glm(weights, features, *, family: str = "bernoulli"):
    """Computes the mean `y = A'(X w)` of the fitted distribution: (batch,) or (batch, outputs), as the weights have it.

    >>> predict_glm(jnp.array([0.0, 1.0]), jnp.array([[1.0, 0.0], [1.0, 2.0]])).round(2).tolist()
    [0.5, 0.87999...]
    """
    eta = features @ weights
    return _family(family).mean(eta.reshape(len(eta), -1)).reshape(eta.shape)


def _newton(W, examples, family, ridge):
    """Computes `H^-1 g` by Cholesky's decomposition; NaN if H is singular."""
    X, T = examples
    eta = X @ W
    g = X.T @ (family.mean(eta) - T) + ridge * W
    H = jnp.einsum("na,nkj,nb->akbj", X, family.curvature(eta), X, precision="highest").reshape(W.size, W.size)
    H = H + jnp.diag(jnp.broadcast_to(ridge, W.shape).ravel())
    return cho_solve(cho_factor(H), g.ravel()).reshape(W.shape)


def _loss(W, examples, family, ridge):
    X, T = examples
    eta = X @ W
    return jnp.sum(family.cumulant(eta)) - jnp.sum(T * eta) + jnp.sum(ridge * W**2) / 2


def _diagonal(columns):
    return columns[:, :, None] * jnp.eye(columns.shape[1], dtype=columns.dtype)[None]


def _softmax_curvature(eta):
    """Computes `diag(y) - y y^T + 1 1^T / K^2`.

    The last term is for the direction in which the loss is flat and its gradient is 0: it makes the matrix invertible.
    """
    y = jax.nn.softmax(eta)
    return _diagonal(y) - y[:, :, None] * y[:, None, :] + 1 / eta.shape[1] ** 2


def _independent(cumulant, mean, variance) -> Family:
    return Family(lambda eta: cumulant(eta).sum(axis=1), mean, lambda eta: _diagonal(variance(eta)))


FAMILIES = {
    "gaussian": _independent(lambda eta: eta**2 / 2, lambda eta: eta, jnp.ones_like),
    "bernoulli": _independent(jax.nn.softplus, jax.nn.sigmoid, lambda eta: jax.nn.sigmoid(eta) * jax.nn.sigmoid(-eta)),
    "poisson": _independent(jnp.exp, jnp.exp, jnp.exp),
    "categorical": Family(lambda eta: jax.nn.logsumexp(eta, axis=1), jax.nn.softmax, _softmax_curvature),
}


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]


def _as_column(ridge, X):
    if isinstance(ridge, int | float) and not 0 <= ridge < math.inf:
        raise ValueError(f"`ridge` must be at least 0 and finite; received {ridge}.")
    return jnp.broadcast_to(jnp.asarray(ridge, X.dtype), X.shape[1:])[:, None]


def _checked(weights, features, targets):
    """Returns weights (features, outputs), features, and targets (batch, outputs) in the dtype of the features."""
    shapes_fit = features.ndim == 2 and targets.shape[:1] == features.shape[:1] and targets.ndim in (1, 2)
    if not shapes_fit or weights.shape != (*features.shape[1:], *targets.shape[1:]):
        raise ValueError(
            "`features` must have shape (batch, features), `targets` (batch,) or (batch, outputs), weights likewise "
            f"(features,) or (features, outputs); received {features.shape}, {targets.shape} and {weights.shape}."
        )
    if features.dtype not in (jnp.float32, jnp.float64):
        raise ValueError(f"`features` must be float32 or float64, to solve for weights; received {features.dtype}.")
    return weights.reshape(len(weights), -1), features, targets.reshape(len(targets), -1).astype(features.dtype)
