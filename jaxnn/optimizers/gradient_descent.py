"""Gradient descent: plain, with momentum, with Nesterov's momentum."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range, value_at, zeros_like
from jaxnn.optimizers.leafwise_update import leafwise


class SgdState(NamedTuple):
    """`v` is the velocity, None without momentum."""

    step: jax.Array
    v: Any


def sgd(learning_rate, momentum=None, nesterov: bool = False) -> GradientTransformation:
    """Stochastic gradient descent; with momentum mu,

        v <- mu v + g,        w <- w - lr v                    (heavy ball; Polyak 1964)
        v <- mu v + g,        w <- w - lr (g + mu v)           (Nesterov, after the change of variables)

    The learning rate stands outside the velocity, as in Optax and PyTorch; the lectures and Keras keep it inside
    (`v <- mu v - lr g`), which is the same path while lr is constant.

    Args:
      learning_rate: number or schedule `step -> number`.
      momentum: mu in [0, 1), number or traced; None keeps no velocity at all.
      nesterov: look ahead (Sutskever et al. 2013, sec. 2); needs momentum.

    Raises:
      ValueError: a number out of its range, or `nesterov` without momentum.

    >>> optimizer = sgd(0.1, momentum=0.9)
    >>> state = optimizer.init(jnp.zeros(1))
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(jnp.ones(1), state)
    >>> updates.round(4)
    Array([-0.19], dtype=float32)
    """  # fmt: skip
    check_range("learning_rate", learning_rate, 0)
    check_range("momentum", momentum, 0, 1)
    if nesterov and momentum is None:
        raise ValueError(
            "`nesterov=True` looks ahead along the velocity; received momentum=None. Give a momentum, say 0.9."
        )

    def init(params):
        return SgdState(jnp.zeros((), jnp.int32), None if momentum is None else zeros_like(params))

    def update(grads, state, params=None, **extra):
        lr, mu = value_at(learning_rate, state.step), value_at(momentum, state.step)

        def equation(g, v):
            v = mu * v + g
            return -lr * (mu * v + g if nesterov else v), v

        if momentum is None:
            return leafwise(lambda g: (-lr * g,), grads)[0], SgdState(state.step + 1, None)
        updates, v = leafwise(equation, grads, state.v)
        return updates, SgdState(state.step + 1, v)

    return GradientTransformation(init, update)
