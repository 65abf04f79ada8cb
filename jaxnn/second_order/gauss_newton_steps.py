"""Gauss-Newton methods minimize sums of squares `|r(w)|^2 / 2`, where J is the Jacobian of the residuals r.

The gradient is `J^T r`, and the Hessian is nearly `J^T J` where r is small or nearly linear. The linear problems are
solved as least squares, by singular values of J, because `J^T J` itself would square the condition number.
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
    """Returns the optimizer `w <- w - lr (J^T J + lambda I)^-1 J^T r` (Gauss 1809).

    With lr = 1 and lambda = 0 it goes to the best w for the linearized residuals. Where the residuals are linear this
    is Newton's step; elsewhere it needs no second derivatives, and it always leads down. Without damping, if J has
    deficient rank, the step is the shortest of the best steps.

    `update(grads, state, params, residual_fn=...)` computes the gradient itself; `grads` only gives the structure. A
    `linesearch` also needs `value_fn`, which is `|r|^2 / 2` up to a factor, and `grads` must then be the gradient of
    `value_fn`.

    Args:
      learning_rate: number or schedule.
      damping: lambda, a number or a schedule.
      linesearch: scales the step, or None; see `searched`.
      mode: "reverse" computes J row by row, "forward" column by column. "forward" is faster where there are more
        residuals than parameters, but raises in layers with a hand-written gradient (`jaxnn.layers`).

    Raises:
      ValueError: a number is out of its range; in `update`, `params` or `residual_fn` is missing.

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
    """Holds the damping lambda of the next step, and the factor nu by which a failure raises it."""

    step: jax.Array
    damping: jax.Array
    nu: jax.Array


def levenberg_marquardt(damping=1e-3, *, scaling: str = "identity", mode: str = "reverse") -> GradientTransformation:
    """Returns Gauss-Newton with steps that stay where the linearization can be trusted.

    The method is that of Levenberg (1944) and Marquardt (1963):

        d = -(J^T J + lambda D)^-1 J^T r,        rho = (|r(w)|^2 - |r(w + d)|^2) / (|r(w)|^2 - |r(w) + J d|^2)
        rho > 0:  w <- w + d,  lambda <- lambda max(1/3, 1 - (2 rho - 1)^3),  nu <- 2
        else:     w stays,     lambda <- lambda nu,                           nu <- 2 nu

    The rule for lambda is Nielsen's (1999). The value never rises; NaN and infinite residuals count as failures.

    `update(grads, state, params, residual_fn=...)` computes the gradient itself; `grads` only gives the structure.

    Args:
      damping: first value of lambda: small for a start near the solution, about 1 for a start far away.
      scaling: D: "identity", or "diagonal" for the diagonal of `J^T J`, which makes the steps independent of the units
        of w.
      mode: see `gauss_newton`.

    Raises:
      ValueError: a number is out of its range, or the scaling is unknown; in `update`, `params` or `residual_fn` is
        missing.

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
        flat.vector(grads)  # raises if the structure is another
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
    """Computes `argmin_d |J d - r|^2 + sum_i weights_i d_i^2`."""
    rows = jnp.concatenate([J, jnp.diag(jnp.sqrt(weights))])
    return jnp.linalg.lstsq(rows, jnp.concatenate([r, jnp.zeros_like(weights)]))[0]


def _transposed(J, r):
    return jnp.matmul(r, J, precision="highest")


def _squared_columns(J):
    """Computes the diagonal of `J^T J`, kept above 0 for parameters without influence."""
    squares = jnp.sum(J**2, axis=0)
    return jnp.maximum(squares, jnp.finfo(J.dtype).eps * squares.max(initial=0))
