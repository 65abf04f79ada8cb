"""Conjugate gradients solve linear systems whose symmetric positive definite matrix is known only by products."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.second_order.flat_parameters import dot


class Solution(NamedTuple):
    """Holds the solution `x`, the residual `r = b - A x`, the number of products `steps`, and `converged`.

    `converged` is True if `|r|` is within the tolerance.
    """

    x: jax.Array
    r: jax.Array
    steps: jax.Array
    converged: jax.Array


class _Iterate(NamedTuple):
    x: jax.Array
    r: jax.Array
    p: jax.Array
    steps: jax.Array
    convex: jax.Array


def conjugate_gradient(matvec: Callable, b, *, tolerance=1e-5, max_steps=None) -> Solution:
    """Solves `A x = b` from `x = 0` (Hestenes and Stiefel 1952), in at most n steps except for rounding:

        alpha = r^T r / p^T A p,    x <- x + alpha p,    r' = r - alpha A p
        p <- r' + (r'^T r' / r^T r) p

    The directions p are conjugate (`p_i^T A p_j = 0`), and the residuals are orthogonal. Where `p^T A p <= 0`, A is not
    positive definite, and the iteration stops with the x reached so far, as Newton's method needs it (Nocedal and
    Wright, alg. 7.1).

    Args:
      matvec: `v -> A v`.
      b: the right-hand side, of shape (n,).
      tolerance: stops when `|r| <= tolerance |b|`; number or traced.
      max_steps: largest number of products, by default n; number or traced.

    >>> A = jnp.array([[4.0, 1.0], [1.0, 3.0]])
    >>> solution = conjugate_gradient(lambda v: A @ v, jnp.array([6.0, 7.0]))
    >>> solution.x.round(4).tolist(), int(solution.steps)
    ([1.0, 2.0], 2)
    """
    limit = len(b) if max_steps is None else max_steps
    small = lambda r: dot(r, r) <= tolerance**2 * dot(b, b)

    def advance(state):
        x, r, p, steps, _ = state
        Ap = matvec(p)
        curvature = dot(p, Ap)
        alpha = jnp.where(curvature > 0, dot(r, r) / curvature, 0)
        new_r = r - alpha * Ap
        new_p = new_r + dot(new_r, new_r) / dot(r, r) * p
        return _Iterate(x + alpha * p, new_r, new_p, steps + 1, curvature > 0)

    running = lambda s: s.convex & ~small(s.r) & (s.steps < limit)
    start = _Iterate(jnp.zeros_like(b), b, b, jnp.int32(0), jnp.array(True))
    x, r, _, steps, _ = jax.lax.while_loop(running, advance, start)
    return Solution(x, r, steps, small(r))
