"""Quasi-Newton: the inverse Hessian from the last few steps and the changes of the gradient along them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range
from jaxnn.second_order.flat_parameters import dot, flatten_parameters
from jaxnn.second_order.searched_descent import searched
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch

UNIT_ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


class LbfgsState(NamedTuple):
    """The last parameters and gradient, and rings of `m` pairs: rows of S and Y, and `rho = 1 / s^T y` (0: no pair)."""

    step: jax.Array
    w: jax.Array
    g: jax.Array
    S: jax.Array
    Y: jax.Array
    rho: jax.Array


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """The direction `P g` of L-BFGS (Liu and Nocedal 1989; Nocedal and Wright, alg. 7.4), P from the last m pairs

        s = w' - w,  y = g' - g,  rho = 1 / s^T y:     P <- (I - rho s y^T) P (I - rho y s^T) + rho s s^T

    begun at `P = gamma I`. A pair with `s^T y <= 0` (to rounding) would spoil a positive definite P; it is passed over,
    so that `P g` always rises. Optax keeps such pairs, and its direction can then lead up; else both are the same.

    Args:
      memory_size: m; the state holds 2 m + 2 copies of the parameters, as vectors.
      scale_init_precond: `gamma = s^T y / y^T y` of the last pair; `min(1, 1 / |g|)` where there is none. Else 1.

    Raises:
      ValueError: a memory of less than one pair; in `update`, `params` missing.

    >>> direction = scale_by_lbfgs(memory_size=2)
    >>> w, state = jnp.array([1.0]), direction.init(jnp.array([1.0]))
    >>> for w in (jnp.array([1.0]), jnp.array([0.5])):
    ...     updates, state = direction.update(8 * w, state, w)
    >>> updates.tolist()  # the Hessian 8 is known by now
    [0.5]
    """
    check_range("memory_size", memory_size, 0)

    def init(params):
        w = flatten_parameters(params).w
        zeros = lambda *shape: jnp.zeros(shape, w.dtype)  # each its own buffer: the state may be donated
        n, m = len(w), memory_size
        return LbfgsState(jnp.int32(0), zeros(n), zeros(n), zeros(m, n), zeros(m, n), zeros(m))

    def update(grads, state, params=None, **extra):
        flat = flatten_parameters(params)
        w, g, last = flat.w, flat.vector(grads), (state.step - 1) % memory_size
        s, y = w - state.w, g - state.g
        sy, yy = dot(s, y), dot(y, y)
        curved = (state.step > 0) & (sy > jnp.finfo(w.dtype).eps * yy) & (sy < jnp.inf)
        S, Y, rho = (
            ring.at[last].set(jnp.where(curved, new, 0))
            for ring, new in ((state.S, s), (state.Y, y), (state.rho, 1 / sy))
        )
        gamma = jnp.where(curved, sy / yy, jnp.minimum(1, 1 / jnp.sqrt(dot(g, g)))) if scale_init_precond else 1
        newest_first = (last - jnp.arange(memory_size)) % memory_size
        direction = _two_loops(g, (S, Y, rho), newest_first, gamma=gamma)
        return flat.updates(direction), LbfgsState(state.step + 1, w, g, S, Y, rho)

    return GradientTransformation(init, update)


def lbfgs(
    learning_rate=None, memory_size: int = 10, scale_init_precond: bool = True, linesearch=UNIT_ZOOM
) -> GradientTransformation:
    """L-BFGS: `w <- w - lr eta P g`, P as `scale_by_lbfgs` has it, eta by a line search; for full batches.

    `update(grads, state, params, value=..., grad=..., value_fn=...)`; of the three, `value_fn` must be given, unless
    `linesearch` is None. `value_and_grad_from_state` takes what the search found for the next step; so does `minimize`.

    Args:
      learning_rate: None is 1; a number, or a schedule `step -> number`.
      memory_size, scale_init_precond: see `scale_by_lbfgs`.
      linesearch: strong Wolfe from a step of 1 by default, which makes every pair curved; None for a plain step.

    Raises:
      ValueError: a number out of its range; in `update`, `params` or `value_fn` missing.

    >>> f = lambda w: jnp.sum(w**2)
    >>> optimizer, w = lbfgs(), jnp.array([1.0, 2.0, 3.0])
    >>> state = optimizer.init(w)
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(jax.grad(f)(w), state, w, value_fn=f)
    ...     w = w + updates
    >>> bool(f(w) < 1e-10)
    True
    """
    rate = 1.0 if learning_rate is None else learning_rate
    return searched(scale_by_lbfgs(memory_size, scale_init_precond), learning_rate=rate, linesearch=linesearch)


def _two_loops(g, rings, newest_first, *, gamma):
    """`P g` by 4 m inner products and sums."""
    S, Y, rho = rings

    def right(q, i):
        alpha = rho[i] * dot(S[i], q)
        return q - alpha * Y[i], alpha

    def left(r, i_and_alpha):
        i, alpha = i_and_alpha
        beta = rho[i] * dot(Y[i], r)
        return r + (alpha - beta) * S[i], None

    q, alphas = jax.lax.scan(right, g, newest_first)
    return jax.lax.scan(left, gamma * q, (newest_first, alphas), reverse=True)[0]
