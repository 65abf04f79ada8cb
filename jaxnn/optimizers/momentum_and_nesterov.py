"""Gradient descent steps against the gradient: plain, with momentum, or with Nesterov's momentum."""

import numbers
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.descent_direction import Direction, descend, scale_by
from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_at_most,
    check_learning_rate,
    check_range,
    value_at,
)
from jaxnn.optimizers.leafwise_update import filled_like, widen


class SgdState(NamedTuple):
    """Holds the velocity `v`, which is None without momentum."""

    step: jax.Array
    v: Any


def sgd(
    learning_rate,
    momentum=None,
    nesterov: bool = False,
    accumulator_dtype=None,
    *,
    rate_inside: bool = False,
    dampening=0.0,
) -> GradientTransformation:
    """Returns gradient descent, with the gradient of a batch or of the whole set (full batch).

    With momentum mu:

        v <- mu v + g,        w <- w - lr v                    (heavy ball; Polyak 1964)
        v <- mu v + g,        w <- w - lr (g + mu v)           (Nesterov, after the change of variables)

    The learning rate is outside the velocity, as in Optax and PyTorch. The lectures and Keras have it inside
    (`rate_inside`: v <- mu v - lr g, w <- w + v); the path is the same while lr is constant.

    PyTorch's `dampening` tau makes the velocity an average: v <- mu v + (1 - tau) g. Its first velocity is g itself.

    Args:
      learning_rate: number or schedule `step -> number`.
      momentum: mu in [0, 1): a number, traced or not, or a schedule such as `linear(0.5, 0.99, steps=...)`; None keeps
        no velocity.
      nesterov: True looks ahead (Sutskever et al. 2013, sec. 2); it needs momentum. See also `nesterov_point`.
      accumulator_dtype: dtype of the velocity; None is the parameter's dtype.
      rate_inside: True uses the lectures' velocity, which sums steps in place of gradients.
      dampening: tau in [0, 1]; PyTorch's. It needs momentum, and it is not for `nesterov`.

    Raises:
      ValueError: a number is out of its range, or `nesterov` or `dampening` is used without momentum, or both together.

    >>> optimizer = sgd(0.1, momentum=0.9)
    >>> _, state = optimizer.update(jnp.ones(1), optimizer.init(jnp.zeros(1)))
    >>> optimizer.update(jnp.ones(1), state)[0].round(4)
    Array([-0.19], dtype=float32)
    """
    check_learning_rate(learning_rate)
    own = {"nesterov": nesterov, "accumulator_dtype": accumulator_dtype, "dampening": dampening}
    if rate_inside:
        return scale_by(sgd_direction(momentum, **own, scale=lambda step: -value_at(learning_rate, step)))
    return descend(sgd_direction(momentum, **own), learning_rate)


def scale_by_momentum(momentum, nesterov: bool = False, accumulator_dtype=None) -> GradientTransformation:
    """Replaces the gradient by the velocity `v <- mu v + g`, or by `g + mu v` with `nesterov`; Optax calls it `trace`.

    Args:
      momentum, nesterov, accumulator_dtype: as in `sgd`.

    Raises:
      ValueError: the momentum is out of its range, or `nesterov` is used without momentum.

    >>> transformation = scale_by_momentum(0.9)
    >>> _, state = transformation.update(jnp.ones(1), transformation.init(jnp.zeros(1)))
    >>> transformation.update(jnp.ones(1), state)[0]
    Array([1.9], dtype=float32)
    """
    return scale_by(sgd_direction(momentum, nesterov=nesterov, accumulator_dtype=accumulator_dtype))


def sgd_direction(momentum, *, nesterov: bool, accumulator_dtype=None, scale=1, dampening=0.0) -> Direction:
    """Computes `d = v` for `v <- mu v + scale g`, or `d = mu v + scale g` with `nesterov`; `d = scale g` without mu.

    Args:
      momentum, nesterov, accumulator_dtype, dampening: as in `sgd`.
      scale: number or schedule.
    """
    check_range("momentum", momentum, 0, 1)
    if nesterov and momentum is None:
        raise ValueError(
            "`nesterov=True` looks ahead along the velocity; received momentum=None. Give a momentum, say 0.9."
        )
    check_at_least("dampening", dampening, 0)
    check_at_most("dampening", dampening, 1)
    dampens = not (isinstance(dampening, numbers.Real) and dampening == 0)
    if dampens and (nesterov or momentum is None):
        raise ValueError(
            f"`dampening` needs a momentum and nesterov=False; received momentum={momentum}, nesterov={nesterov}."
        )

    def init(params):
        v = None if momentum is None else filled_like(params, dtype=accumulator_dtype)
        return SgdState(jnp.zeros((), jnp.int32), v)

    def begin(state):
        mu, factor = value_at(momentum, state.step), value_at(scale, state.step)
        tau = jnp.where(state.step == 0, 0, dampening) if dampens else None  # PyTorch's first velocity is g

        def equation(g, v):
            if momentum is None:
                return factor * g, None
            v = mu * v + factor * (g - tau * g if dampens else g)
            return mu * v + factor * g if nesterov else v, v

        return (state.step + 1,), equation

    return Direction(init, begin)


def nesterov_point(params, state: SgdState, *, learning_rate, momentum):
    """Computes the point where Nesterov's method evaluates the gradient: `w - lr mu v`, ahead along the velocity.

    With the gradient at this point, the heavy ball is Nesterov's method as its author wrote it (1983):

        g = grad f(w - lr mu v),        v <- mu v + g,        w <- w - lr v

    `sgd(..., nesterov=True)` keeps the look-ahead points themselves as its parameters, so it uses the gradient at the
    parameters. While lr and mu are constant, its path is the path of these points.

    Args:
      params: the parameters w.
      state: the state of `sgd(learning_rate, momentum)`, made without `nesterov` and without `rate_inside`.
      learning_rate, momentum: the same values as for `sgd`.

    >>> optimizer, w = sgd(0.1, momentum=0.5), jnp.float32(1.0)
    >>> state = optimizer.init(w)
    >>> for _ in range(2):
    ...     g = 2 * nesterov_point(w, state, learning_rate=0.1, momentum=0.5)
    ...     updates, state = optimizer.update(g, state)
    ...     w = w + updates
    >>> round(float(w), 4)  # 1 -> 0.8 -> 0.8 - 0.1 * (1 + 2 * 0.7)
    0.56
    """
    lr, mu = value_at(learning_rate, state.step), value_at(momentum, state.step)
    point = lambda w, v: (widen(w) - lr * mu * widen(v)).astype(jnp.result_type(w))
    return jax.tree.map(point, params, state.v)
