"""NAdam is Adam with a first moment that looks one step ahead."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.adam_family import adam, adamw, check_moments
from jaxnn.optimizers.descent_direction import Direction, descend
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least
from jaxnn.optimizers.leafwise_update import filled_like


class NadamState(NamedTuple):
    """Holds Adam's moments `m` and `v`, and the `product` of all mu so far."""

    step: jax.Array
    product: jax.Array
    m: Any
    v: Any


def nadam(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, mu_dtype=None, *, momentum_decay=None
) -> GradientTransformation:
    """Returns the optimizer NAdam (Dozat 2016, ICLR workshop): Adam with a first moment one step ahead.

    With t counted from 1:

        m_hat = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)              (Optax)

    PyTorch and Keras follow the paper's schedule of the momentum. With psi = `momentum_decay`:

        mu_t = b1 (1 - 0.96^(t psi) / 2)
        m_hat = mu_(t+1) m / (1 - mu_1 ... mu_(t+1)) + (1 - mu_t) g / (1 - mu_1 ... mu_t)

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype: as in `adam`.
      momentum_decay: psi, 0.004 in PyTorch and Keras; None keeps the momentum constant, as Optax does.

    Raises:
      ValueError: a number is out of its range.

    >>> optimizer = nadam(0.1)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [-0.1474, 0.1474]
    """
    if momentum_decay is None:
        return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=True)
    check_moments(b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    check_at_least("momentum_decay", momentum_decay, 0)

    def init(params):
        m, v = filled_like(params, dtype=mu_dtype), filled_like(params)
        return NadamState(jnp.zeros((), jnp.int32), jnp.ones((), float), m, v)

    def begin(state):
        t = jnp.asarray(state.step + 1, float)
        mu, ahead = (b1 * (1 - 0.5 * 0.96 ** (s * momentum_decay)) for s in (t, t + 1))
        product = state.product * mu
        of_m, of_g, of_v = ahead / (1 - product * ahead), (1 - mu) / (1 - product), 1 / (1 - b2**t)

        def equation(g, m, v):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            return (of_m * m + of_g * g) / (jnp.sqrt(of_v * v + eps_root) + eps), m, v

        return (state.step + 1, product), equation

    return descend(Direction(init, begin), learning_rate)


def nadamw(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, mu_dtype=None, weight_decay=1e-4, mask=None
) -> GradientTransformation:
    """Returns NAdam with constant momentum and decoupled weight decay: `adamw(..., nesterov=True)`.

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask: as in `adamw`.

    >>> optimizer, w = nadamw(0.1, weight_decay=0.5), jnp.float32(2.0)
    >>> optimizer.update(jnp.float32(0.0), optimizer.init(w), w)[0]
    Array(-0.1, dtype=float32)
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=True)
