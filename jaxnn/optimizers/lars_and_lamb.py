"""LARS and LAMB make steps in proportion to the size of a layer's weights, for large batches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.adam_family import adam_direction
from jaxnn.optimizers.chaining import stateless
from jaxnn.optimizers.descent_direction import descend
from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_learning_rate,
    check_range,
    require_params,
    value_at,
)
from jaxnn.optimizers.leafwise_update import filled_like, leafwise, squared
from jaxnn.optimizers.weight_decay import decay_terms, selected


class LarsState(NamedTuple):
    """Holds the velocity `v`."""

    step: jax.Array
    v: Any


def lars(
    learning_rate,
    weight_decay=0.0,
    weight_decay_mask=True,
    trust_coefficient=0.001,
    eps=0.0,
    trust_ratio_mask=True,
    momentum=0.9,
    nesterov: bool = False,
) -> GradientTransformation:
    """Returns the optimizer LARS (You, Gitman and Ginsburg 2017, arXiv 1708.03888, algorithm 1).

    For the weights w of each layer:

        g <- g + weight_decay w
        trust = trust_coefficient |w| / (|g| + eps)         (1 where |w| or |g| is 0)
        v <- momentum v - lr trust g,        w <- w + v     (w <- w + momentum v - lr trust g with `nesterov`)

    A layer is a leaf. This is Optax's form. In the paper, the denominator of trust is |g| + weight_decay |w|: the norms
    are computed before the sum.

    Args:
      learning_rate: number or schedule.
      weight_decay, weight_decay_mask: number or schedule; the mask is as in `adamw`.
      trust_coefficient: the length of a step relative to the length of the weights, at learning rate 1.
      eps: keeps the division finite.
      trust_ratio_mask: selects the leaves that are scaled so; biases are often left out. The others have trust 1.
      momentum: number or schedule in [0, 1).
      nesterov: True looks ahead along the velocity.

    Raises:
      ValueError: a number is out of its range; `update` gets no parameters.

    >>> optimizer, w = lars(1.0), jnp.array([3.0, 4.0])
    >>> optimizer.update(jnp.array([0.0, 1e6]), optimizer.init(w), w)[0]  # 0.001 of |w| = 5
    Array([ 0.   , -0.005], dtype=float32)
    """
    check_learning_rate(learning_rate)
    check_range("momentum", momentum, 0, 1)
    check_range("trust_coefficient", trust_coefficient, 0)
    for name, number in (("weight_decay", weight_decay), ("eps", eps)):
        check_at_least(name, number, 0)

    def init(params):
        return LarsState(jnp.zeros((), jnp.int32), filled_like(params))

    def update(grads, state, params=None, **extra):
        require_params(params, "lars")
        lr, mu = value_at(learning_rate, state.step), value_at(momentum, state.step)
        decay = decay_terms(weight_decay, mask=weight_decay_mask, grads=grads, params=params, step=state.step)

        def equation(g, v, w, decay, is_scaled):
            g = g + decay
            trust = jnp.where(is_scaled, trust_ratio(w, g, coefficient=trust_coefficient, eps=eps), 1)
            u = -lr * (trust * g)
            v = mu * v + u
            return (mu * v + u if nesterov else v), v

        given = (params, decay, selected(trust_ratio_mask, params))
        updates, v = leafwise(equation, grads, state.v, given=given)
        return updates, LarsState(state.step + 1, v)

    return GradientTransformation(init, update)


def lamb(
    learning_rate, b1=0.9, b2=0.999, eps=1e-6, eps_root=0.0, weight_decay=0.0, mask=None
) -> GradientTransformation:
    """Returns the optimizer LAMB (You et al. 2019, arXiv 1904.00962, algorithm 2).

    A step has Adam's direction, and a size in proportion to the layer's weights:

        u = m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay w
        w <- w - lr (|w| / |u|) u                           (ratio 1 where |w| or |u| is 0)

    with m_hat and v_hat as in `adam`. A layer is a leaf. The paper's bound on |w| (phi) is the identity, as in Optax.

    Args:
      learning_rate, b1, b2, eps, eps_root: as in `adam`.
      weight_decay, mask: as in `adamw`, but the decay is scaled with the rest of u.

    Raises:
      ValueError: a number is out of its range; `update` gets no parameters.

    >>> optimizer, w = lamb(0.1), jnp.array([3.0, 4.0])
    >>> jnp.linalg.norm(optimizer.update(jnp.array([1.0, 1e-3]), optimizer.init(w), w)[0]).round(4)  # lr |w|
    Array(0.5, dtype=float32)
    """
    how = {"weight_decay": weight_decay, "mask": mask, "ratio": trust_ratio}
    return descend(adam_direction(b1, b2, eps, eps_root), learning_rate, **how, name="lamb")


def scale_by_trust_ratio(trust_coefficient=1.0, eps=0.0) -> GradientTransformation:
    """Multiplies the update of each leaf by `trust_coefficient |w| / (|u| + eps)`, or by 1 where |w| or |u| is 0.

    `lamb(lr)` is `chain(scale_by_adam(eps=1e-6), scale_by_trust_ratio(), scale_by_learning_rate(lr))`.

    Args:
      trust_coefficient, eps: as in `lars`.

    Raises:
      ValueError: a number is out of its range; `update` gets no parameters.

    >>> w = jnp.array([3.0, 4.0])
    >>> scale_by_trust_ratio().update(jnp.array([0.0, 2.0]), (), w)[0]
    Array([0., 5.], dtype=float32)
    """
    check_range("trust_coefficient", trust_coefficient, 0)
    check_at_least("eps", eps, 0)

    def scaled(updates, params):
        require_params(params, "scale_by_trust_ratio")
        ratio = lambda w, u: trust_ratio(w, u, coefficient=trust_coefficient, eps=eps)
        return leafwise(lambda u, w: (ratio(w, u) * u,), updates, given=(params,))[0]

    return stateless(scaled)


def trust_ratio(w, u, *, coefficient=1.0, eps=0.0):
    """Computes `coefficient |w| / (|u| + eps)`, or 1 where one of the norms is 0.

    >>> float(trust_ratio(jnp.array([3.0, 4.0]), jnp.array([0.0, 2.0])))
    2.5
    """
    of_w, of_u = (jnp.sqrt(jnp.sum(squared(x))) for x in (w, u))
    is_zero = (of_w == 0) | (of_u == 0)
    return jnp.where(is_zero, 1, coefficient * of_w / (jnp.where(is_zero, 1, of_u) + eps))
