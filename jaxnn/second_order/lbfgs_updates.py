"""Quasi-Newton methods estimate the inverse Hessian from the last few steps and gradient changes along them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range
from jaxnn.second_order.flat_parameters import dot, flatten_parameters
from jaxnn.second_order.searched_descent import searched
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch

UNIT_ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


class LbfgsState(NamedTuple):
    """Holds the last parameters `w` and gradient `g`, rings of m pairs, and how many `pairs` were kept so far.

    The rows of S are steps, the rows of Y are changes of the gradient, and `rho = 1 / s^T y` (0 where there is no
    pair).
    """

    step: jax.Array
    pairs: jax.Array
    w: jax.Array
    g: jax.Array
    S: jax.Array
    Y: jax.Array
    rho: jax.Array


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """Returns the direction `P g` of L-BFGS (Liu and Nocedal 1989; Nocedal and Wright, alg. 7.4).

    P is the estimated inverse Hessian. It begins at `P = gamma I` and is updated with each of the last m pairs:

        s = w' - w,  y = g' - g,  rho = 1 / s^T y:     P <- (I - rho s y^T) P (I - rho y s^T) + rho s s^T

    A pair with `s^T y <= 0` (to rounding) would make P lose its positive definiteness. Such a pair is skipped and
    changes nothing, neither gamma nor the pairs before it, so that the function always rises along `P g`. Optax keeps
    such pairs, and its step can then lead up; otherwise both are the same.

    Args:
      memory_size: m; the state holds 2 m + 2 copies of the parameters, as vectors.
      scale_init_precond: True uses `gamma = s^T y / y^T y` of the last pair that was kept, or `min(1, 1 / |g|)` where
        there is none. False uses `gamma = 1`.

    Raises:
      ValueError: the memory is less than one pair; in `update`, `params` is missing.

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
        return LbfgsState(jnp.int32(0), jnp.int32(0), zeros(n), zeros(n), zeros(m, n), zeros(m, n), zeros(m))

    def update(grads, state, params=None, **extra):
        flat = flatten_parameters(params)
        w, g, place = flat.w, flat.vector(grads), state.pairs % memory_size
        s, y = w - state.w, g - state.g
        sy, yy = dot(s, y), dot(y, y)
        curved = (state.step > 0) & (sy > jnp.finfo(w.dtype).eps * yy) & (sy < jnp.inf)
        S, Y, rho = (
            ring.at[place].set(jnp.where(curved, new, ring[place]))
            for ring, new in ((state.S, s), (state.Y, y), (state.rho, 1 / sy))
        )
        pairs = state.pairs + curved
        last = (pairs - 1) % memory_size
        gamma = _scale(g, S[last], Y[last], pairs > 0) if scale_init_precond else 1
        newest_first = (last - jnp.arange(memory_size)) % memory_size
        direction = _two_loops(g, (S, Y, rho), newest_first, gamma=gamma)
        return flat.updates(direction), LbfgsState(state.step + 1, pairs, w, g, S, Y, rho)

    return GradientTransformation(init, update)


def lbfgs(
    learning_rate=None, memory_size: int = 10, scale_init_precond: bool = True, linesearch=UNIT_ZOOM
) -> GradientTransformation:
    """Returns the optimizer L-BFGS for full batches: `w <- w - lr eta P g`, where a line search finds eta.

    P is that of `scale_by_lbfgs`. The call is `update(grads, state, params, value=..., grad=..., value_fn=...)`. Of
    these three extra arguments, `value_fn` must be given, unless `linesearch` is None. `value_and_grad_from_state` and
    `minimize` reuse the value and gradient of the search for the next step.

    Args:
      learning_rate: a number, or a schedule `step -> number`; None is 1.
      memory_size, scale_init_precond: see `scale_by_lbfgs`.
      linesearch: by default a search for strong Wolfe steps that begins at 1, which gives every pair `s^T y > 0`; None
        for a plain step.

    Raises:
      ValueError: a number is out of its range; in `update`, `params` or `value_fn` is missing.

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


def _scale(g, s, y, is_pair):
    """Computes `s^T y / y^T y` of the last pair, or `min(1, 1 / |g|)` where there is none."""
    return jnp.where(is_pair, dot(s, y) / dot(y, y), jnp.minimum(1, 1 / jnp.sqrt(dot(g, g))))


def _two_loops(g, rings, newest_first, *, gamma):
    """Computes `P g` by 4 m inner products and sums."""
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
