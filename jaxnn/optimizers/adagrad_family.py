"""These optimizers divide a step by the root of squared gradients: of their sum, or of their moving average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.descent_direction import Direction, descend, scale_by
from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_learning_rate,
    check_range,
    value_at,
)
from jaxnn.optimizers.leafwise_update import filled_like, leafwise, sizes_like, squared
from jaxnn.optimizers.weight_decay import decay_terms


class AdagradState(NamedTuple):
    """Holds the sum `G` of all squared gradients."""

    step: jax.Array
    G: Any


def adagrad(
    learning_rate, initial_accumulator_value=0.1, eps=1e-7, *, eps_in_sqrt: bool = True
) -> GradientTransformation:
    """Returns the optimizer AdaGrad (Duchi, Hazan and Singer 2011, JMLR 12, sec. 1.1):

        G <- G + g^2,        w <- w - lr g / sqrt(G + eps)

    Args:
      learning_rate: number or schedule.
      initial_accumulator_value: first value of G: 0.1 in Optax and Keras, 0 in the paper and PyTorch. With 0 the first
        step has the size of lr, whatever the size of the gradient.
      eps: keeps the division finite. Where G is 0 there is no step.
      eps_in_sqrt: False divides by sqrt(G) + eps, as PyTorch does (with eps 1e-10).

    Raises:
      ValueError: a number is out of its range.

    >>> optimizer = adagrad(0.1, initial_accumulator_value=0.0)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 3) for u in updates]
    [-0.1, 0.1]
    """
    check_at_least("initial_accumulator_value", initial_accumulator_value, 0)
    check_at_least("eps", eps, 0)

    def init(params):
        return AdagradState(jnp.zeros((), jnp.int32), sizes_like(params, initial_accumulator_value))

    def begin(state):
        def equation(g, G):
            G = G + squared(g)
            root = jnp.sqrt(G + eps) if eps_in_sqrt else jnp.sqrt(G) + eps
            return jnp.where(G > 0, g / jnp.where(G > 0, root, 1), 0), G

        return (state.step + 1,), equation

    return descend(Direction(init, begin), learning_rate)


class RmspropState(NamedTuple):
    """Holds the moving averages `v` of g^2 and `m` of g, and the velocity `b`.

    `m` is None unless centered, and `b` is None without momentum.
    """

    step: jax.Array
    m: Any
    v: Any
    b: Any


def rmsprop(
    learning_rate,
    decay=0.9,
    eps=1e-8,
    initial_scale=0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum=None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Returns the optimizer RMSProp (Tieleman and Hinton 2012, lecture 6.5).

    The centered form is from Graves (2013, arXiv 1308.0850, eq. 38-45):

        v <- decay v + (1 - decay) g^2,             u = -lr g / sqrt(v + eps)
        m <- decay m + (1 - decay) g,               u = -lr g / sqrt(v - m^2 + eps)     (centered)
        b <- momentum b + u,    w <- w + b          (w <- w + momentum b + u with `nesterov`; without momentum w + u)

    The learning rate is inside the velocity, as in Optax. In PyTorch it is outside; the path is the same while lr is
    constant.

    Args:
      learning_rate: number or schedule.
      decay: decay of the averages, in [0, 1): 0.9 in Optax and Keras, 0.99 in PyTorch.
      eps, eps_in_sqrt: True divides by sqrt(v + eps), as Optax and Keras do; False divides by sqrt(v) + eps, as PyTorch
        does.
      initial_scale: first value of v. With 0 the first steps are up to lr / sqrt(1 - decay) long.
      centered: True divides by the standard deviation. A variance that rounding made negative counts as 0 (Optax: NaN).
      momentum: number or schedule in [0, 1), or None for no velocity.
      nesterov: True looks ahead along the velocity; it needs momentum.
      bias_correction: True divides v and m by 1 - decay^t, as Adam does.

    Raises:
      ValueError: a number is out of its range, or `nesterov` is used without momentum.

    >>> optimizer = rmsprop(0.1, decay=0.75)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 2) for u in updates]
    [-0.2, 0.2]
    """
    check_learning_rate(learning_rate)
    for name, fraction in (("decay", decay), ("momentum", momentum)):
        check_range(name, fraction, 0, 1)
    for name, number in (("eps", eps), ("initial_scale", initial_scale)):
        check_at_least(name, number, 0)
    if nesterov and momentum is None:
        raise ValueError("`nesterov=True` looks ahead along the velocity; received momentum=None. Give a momentum.")

    def init(params):
        m, b = (filled_like(params) if kept else None for kept in (centered, momentum is not None))
        return RmspropState(jnp.zeros((), jnp.int32), m, sizes_like(params, initial_scale), b)

    def begin(state):
        lr, mu = value_at(learning_rate, state.step), value_at(momentum, state.step)
        correction = 1 / (1 - decay ** jnp.asarray(state.step + 1, float)) if bias_correction else 1.0

        def equation(g, m, v, b):
            v = decay * v + squared(g, 1 - decay)
            m = decay * m + (1 - decay) * g if centered else None
            square = jnp.maximum(correction * v - squared(correction * m), 0) if centered else correction * v
            u = -lr * g / (jnp.sqrt(square + eps) if eps_in_sqrt else jnp.sqrt(square) + eps)
            if momentum is None:
                return u, m, v, None
            b = mu * b + u
            return (mu * b + u if nesterov else b), m, v, b

        return (state.step + 1,), equation

    return scale_by(Direction(init, begin))  # u contains the learning rate already


class AdadeltaState(NamedTuple):
    """Holds the moving averages of the squared gradients, `e_g`, and of the squared steps, `e_x`."""

    step: jax.Array
    e_g: Any
    e_x: Any


def adadelta(learning_rate=None, rho=0.9, eps=1e-6, weight_decay=0.0, weight_decay_mask=None) -> GradientTransformation:
    """Returns the optimizer AdaDelta (Zeiler 2012, arXiv 1212.5701, algorithm 1).

    Its steps have the unit of the parameters:

        e_g <- rho e_g + (1 - rho) g^2
        dx = sqrt(e_x + eps) / sqrt(e_g + eps) g
        e_x <- rho e_x + (1 - rho) dx^2,        w <- w - lr dx

    Args:
      learning_rate: number or schedule; None is 1, as in the paper.
      rho: decay of both averages, in [0, 1).
      eps: makes the first steps possible, and keeps the division finite.
      weight_decay, weight_decay_mask: adds `weight_decay w` to the gradient (L2, not decoupled); the mask is as in
        `adamw`.

    Raises:
      ValueError: a number is out of its range; `update` has weight decay but no parameters.

    >>> optimizer = adadelta()
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [f"{u:.4f}" for u in updates]  # a small beginning
    ['-0.0032', '0.0030']
    """
    check_range("learning_rate", learning_rate, 0)
    check_range("rho", rho, 0, 1)
    for name, number in (("eps", eps), ("weight_decay", weight_decay)):
        check_at_least(name, number, 0)

    def init(params):
        return AdadeltaState(jnp.zeros((), jnp.int32), sizes_like(params), sizes_like(params))

    def update(grads, state, params=None, **extra):
        lr = 1 if learning_rate is None else value_at(learning_rate, state.step)
        decay = decay_terms(weight_decay, mask=weight_decay_mask, grads=grads, params=params, step=state.step)

        def equation(g, e_g, e_x, decay):
            g = g + decay
            e_g = rho * e_g + squared(g, 1 - rho)
            dx = jnp.sqrt(e_x + eps) / jnp.sqrt(e_g + eps) * g
            return -lr * dx, e_g, rho * e_x + squared(dx, 1 - rho)

        updates, e_g, e_x = leafwise(equation, grads, state.e_g, state.e_x, given=(decay,))
        return updates, AdadeltaState(state.step + 1, e_g, e_x)

    return GradientTransformation(init, update)
