"""Optimizers with a step size for each parameter."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range, value_at, zeros_like
from jaxnn.optimizers.leafwise_update import leafwise


class AdamState(NamedTuple):
    """First moment `m` and second raw moment `v` of the gradient."""

    step: jax.Array
    m: Any
    v: Any


def adam(learning_rate, b1=0.9, b2=0.999, eps=1e-8) -> GradientTransformation:
    """Adam (Kingma and Ba 2014, arXiv 1412.6980, algorithm 1); with t counted from 1,

        m <- b1 m + (1 - b1) g,           m_hat = m / (1 - b1^t)
        v <- b2 v + (1 - b2) g^2,         v_hat = v / (1 - b2^t)
        w <- w - lr m_hat / (sqrt(v_hat) + eps)

    eps stands beside the corrected root, as in the paper, Optax and PyTorch (Keras: beside the uncorrected one).

    Args:
      learning_rate: number or schedule `step -> number`, the step counted from 0.
      b1, b2: decays of the moments in [0, 1); numbers or traced.
      eps: keeps the division finite.

    Raises:
      ValueError: a number out of its range.

    >>> optimizer = adam(0.1)
    >>> updates, state = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]  # the first step has the size of lr, whatever the gradient's
    [-0.1, 0.1]
    """

    check_range("learning_rate", learning_rate, 0)
    for name, decay in (("b1", b1), ("b2", b2)):
        check_range(name, decay, 0, 1)

    def init(params):
        return AdamState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params))

    def update(grads, state, params=None, **extra):
        t = jnp.asarray(state.step + 1, float)  # float64 where x64 is enabled
        step_size, correction = value_at(learning_rate, state.step) / (1 - b1**t), 1 / (1 - b2**t)

        def equation(g, m, v):  # both corrections are scalars: multiplied, not divided by, for every parameter
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            return -step_size * m / (jnp.sqrt(correction * v) + eps), m, v

        updates, m, v = leafwise(equation, grads, state.m, state.v)
        return updates, AdamState(state.step + 1, m, v)

    return GradientTransformation(init, update)
