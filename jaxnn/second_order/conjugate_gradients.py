"""Linear systems of symmetric positive definite matrices that are known only by their products."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.second_order.flat_parameters import dot


class Solution(NamedTuple):
    """`x`, the residual `r = b - A x`, the products taken, and whether `|r|` fell below the tolerance."""

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
    """Solves `A x = b` from `x = 0` (Hestenes and Stiefel 1952), in n steps at most but for rounding:

        alpha = r^T r / p^T A p,    x <- x + alpha p,    r' = r - alpha A p
        p <- r' + (r'^T r' / r^T r) p

    The directions p are conjugate (`p_i^T A p_j = 0`), the residuals orthogonal. Where `p^T A p <= 0`, so that A is not
    positive definite, it stops with the x reached so far, as Newton's method wants it (Nocedal and Wright, alg. 7.1).

    Args:
      matvec: `v -> A v`.
      b: (n,).
      tolerance: stops when `|r| <= tolerance |b|`; number or traced.
      max_steps: default n; number or traced.

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
