"""Sums of squares `|r(w)|^2 / 2`: the gradient is `J^T r`, the Hessian nearly `J^T J` where r is small or straight.

The linear problems are solved as such, by singular values of J: `J^T J` itself would square the condition number.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, check_range
from jaxnn.second_order.flat_parameters import dot, flatten_parameters, require
from jaxnn.second_order.hessian_products import check_mode
from jaxnn.second_order.newton_steps import preconditioned
from jaxnn.second_order.searched_descent import searched
from jaxnn.signatures import accepted

SCALINGS = ("identity", "diagonal")


def gauss_newton(learning_rate=1.0, damping=0.0, *, linesearch=None, mode: str = "reverse") -> GradientTransformation:
    """`w <- w - lr (J^T J + lambda I)^-1 J^T r` (Gauss 1809): the best w for the residuals drawn as straight lines.

    Newton's step where residuals are linear; elsewhere it needs no second derivatives, and always leads down. Without
    damping, a J of deficient rank gives the shortest of the best steps.

    `update(grads, state, params, residual_fn=...)` finds the gradient itself; grads only gives the structure. A
    `linesearch` needs `value_fn`, `|r|^2 / 2` up to a factor, besides, and grads to be its gradient.

    Args:
      learning_rate: number or schedule.
      damping: lambda, a number or a schedule.
      linesearch: scales the step, or None; see `searched`.
      mode: "reverse" finds J row by row, "forward" column by column: faster where residuals outnumber parameters, but
        raises in layers with a hand-written gradient (`jaxnn.layers`).

    Raises:
      ValueError: a number out of its range; in `update`, `params` or `residual_fn` missing.

    >>> x, y = jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 3.0, 5.0])
    >>> optimizer, w = gauss_newton(), jnp.zeros(2)
    >>> optimizer.update(w, optimizer.init(w), w, residual_fn=lambda w: w[0] * x + w[1] - y)[0].round(4).tolist()
    [2.0, 1.0]
    """
    check_at_least("damping", damping, 0)
    check_mode(mode)

    def precondition(flat, g, lam, *, residual_fn=None, **extra):
        r, J = _linearized(residual_fn, flat, mode, extra)
        return _least_squares(J, r, jnp.full_like(flat.w, lam))

    return searched(preconditioned(precondition, damping), learning_rate=learning_rate, linesearch=linesearch)


class LevenbergMarquardtState(NamedTuple):
    """The damping lambda of the next step, and the factor nu by which a failure raises it."""

    step: jax.Array
    damping: jax.Array
    nu: jax.Array


def levenberg_marquardt(damping=1e-3, *, scaling: str = "identity", mode: str = "reverse") -> GradientTransformation:
    """Gauss-Newton that keeps to where its straight lines can be trusted (Levenberg 1944, Marquardt 1963):

        d = -(J^T J + lambda D)^-1 J^T r,        rho = (|r(w)|^2 - |r(w + d)|^2) / (|r(w)|^2 - |r(w) + J d|^2)
        rho > 0:  w <- w + d,  lambda <- lambda max(1/3, 1 - (2 rho - 1)^3),  nu <- 2
        else:     w stays,     lambda <- lambda nu,                           nu <- 2 nu

    the rule for lambda is Nielsen's (1999). The value never rises; NaN and infinite residuals count as failures.

    `update(grads, state, params, residual_fn=...)` finds the gradient itself; grads only gives the structure.

    Args:
      damping: lambda at first: small for a start near the solution, about 1 for one far away.
      scaling: D: "identity", or "diagonal" of `J^T J`, which makes the steps indifferent to the units of w.
      mode: see `gauss_newton`.

    Raises:
      ValueError: a number out of its range, an unknown scaling; in `update`, `params` or `residual_fn` missing.

    >>> residual_fn = lambda w: jnp.array([10 * (w[1] - w[0] ** 2), 1 - w[0]])  # Rosenbrock's valley
    >>> optimizer, w = levenberg_marquardt(), jnp.array([-1.2, 1.0])
    >>> state = optimizer.init(w)
    >>> for _ in range(30):
    ...     updates, state = optimizer.update(w, state, w, residual_fn=residual_fn)
    ...     w = w + updates
    >>> w.round(3).tolist()
    [1.0, 1.0]
    """
    check_range("damping", damping, 0)
    check_mode(mode)
    if scaling not in SCALINGS:
        raise unknown("scaling", scaling, SCALINGS)

    def init(params):
        dtype = flatten_parameters(params).w.dtype
        return LevenbergMarquardtState(jnp.int32(0), jnp.asarray(damping, dtype), jnp.asarray(2, dtype))

    def update(grads, state, params=None, *, residual_fn=None, **extra):
        flat = flatten_parameters(params)
        flat.vector(grads)  # of the same structure, or an error
        r, J = _linearized(residual_fn, flat, mode, extra)
        D = _squared_columns(J) if scaling == "diagonal" else jnp.ones_like(flat.w)
        d = -_least_squares(J, r, state.damping * D)
        new = _residuals(residual_fn, flat, extra)(flat.w + d)
        expected = -dot(d, _transposed(J, r)) + dot(state.damping * D * d, d)  # |r|^2 - |r + J d|^2
        rho = (dot(r, r) - dot(new, new)) / expected
        better = (rho > 0) & jnp.isfinite(rho)
        factor = jnp.where(better, jnp.maximum(1 / 3, 1 - (2 * rho - 1) ** 3), state.nu)
        eps = jnp.finfo(d.dtype).eps
        lam = jnp.clip(state.damping * factor, eps**2, eps**-2)
        nu = jnp.where(better, 2, jnp.minimum(2 * state.nu, 1 / eps))
        return flat.updates(jnp.where(better, d, 0)), LevenbergMarquardtState(state.step + 1, lam, nu)

    return GradientTransformation(init, update)


def _residuals(residual_fn, flat, extra) -> Callable:
    given = accepted(require("residual_fn", residual_fn, use="`params -> residuals`"), **extra)
    return lambda w: jnp.ravel(residual_fn(flat.params(w), **given)).astype(w.dtype)


def _linearized(residual_fn, flat, mode, extra):
    residuals = _residuals(residual_fn, flat, extra)
    jacobian = jax.jacfwd if mode == "forward" else jax.jacrev
    return residuals(flat.w), jacobian(residuals)(flat.w)


def _least_squares(J, r, weights):
    """`argmin_d |J d - r|^2 + sum_i weights_i d_i^2`."""
    rows = jnp.concatenate([J, jnp.diag(jnp.sqrt(weights))])
    return jnp.linalg.lstsq(rows, jnp.concatenate([r, jnp.zeros_like(weights)]))[0]


def _transposed(J, r):
    return jnp.matmul(r, J, precision="highest")


def _squared_columns(J):
    """The diagonal of `J^T J`, kept above 0 for parameters without influence."""
    squares = jnp.sum(J**2, axis=0)
    return jnp.maximum(squares, jnp.finfo(J.dtype).eps * squares.max(initial=0))
