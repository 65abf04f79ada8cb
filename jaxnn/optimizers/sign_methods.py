"""These optimizers follow the sign of the gradient and not its size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.descent_direction import Direction, descend
from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_learning_rate,
    check_range,
)
from jaxnn.optimizers.leafwise_update import filled_like, leafwise, refuse_complex


class SignSgdState(NamedTuple):
    """Holds the step and nothing else."""

    step: jax.Array


def sign_sgd(learning_rate) -> GradientTransformation:
    """Returns sign descent (Bernstein et al. 2018, arXiv 1802.04434): `w <- w - lr sign(g)`, where sign(0) = 0.

    Args:
      learning_rate: number or schedule. The path comes to rest only with a schedule that ends at 0.

    Raises:
      ValueError: a number is out of its range.

    >>> optimizer = sign_sgd(0.5)
    >>> optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))[0]
    Array([-0.5,  0.5], dtype=float32)
    """
    init = lambda params: SignSgdState(jnp.zeros((), jnp.int32))
    begin = lambda state: ((state.step + 1,), lambda g: (jnp.sign(g),))
    return descend(Direction(init, begin), learning_rate)


class LionState(NamedTuple):
    """Holds the moving average `m` of the gradient."""

    step: jax.Array
    m: Any


def lion(learning_rate, b1=0.9, b2=0.99, mu_dtype=None, weight_decay=1e-3, mask=None) -> GradientTransformation:
    """Returns the optimizer Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2).

    It follows the sign of an average that gives the last gradient more weight than m does:

        w <- w - lr (sign(b1 m + (1 - b1) g) + weight_decay w)
        m <- b2 m + (1 - b2) g

    Every coordinate moves by lr. So use a tenth of Adam's learning rate, and ten times its weight decay.

    Args:
      learning_rate: number or schedule.
      b1, b2: decays in [0, 1): of the average whose sign is followed, and of the average m that is kept.
      mu_dtype: dtype of m; None is the parameter's dtype.
      weight_decay, mask: decoupled, as in `adamw`.

    Raises:
      ValueError: a number is out of its range; `update` has weight decay but no parameters.

    >>> optimizer, w = lion(0.5, weight_decay=0.0), jnp.zeros(2)
    >>> optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(w))[0]
    Array([-0.5,  0.5], dtype=float32)
    """
    for name, decay in (("b1", b1), ("b2", b2)):
        check_range(name, decay, 0, 1)

    def init(params):
        return LionState(jnp.zeros((), jnp.int32), filled_like(params, dtype=mu_dtype))

    def begin(state):
        equation = lambda g, m: (jnp.sign(b1 * m + (1 - b1) * g), b2 * m + (1 - b2) * g)
        return (state.step + 1,), equation

    return descend(Direction(init, begin), learning_rate, weight_decay=weight_decay, mask=mask)


class RpropState(NamedTuple):
    """Holds the last gradient `g` (0 where its sign changed) and the step sizes `delta`."""

    g: Any
    delta: Any


def rprop(
    learning_rate, eta_minus=0.5, eta_plus=1.2, min_step_size=1e-6, max_step_size=50.0, *, backtracking: bool = False
) -> GradientTransformation:
    """Returns the optimizer Rprop for full-batch gradients (Riedmiller and Braun 1993).

    Each parameter has its own step size. It grows while the sign of the parameter's gradient stays, and shrinks when
    the sign changes. With g' the gradient before:

        delta <- clip(delta * (eta_plus if g g' > 0, eta_minus if g g' < 0, else 1), min_step_size, max_step_size)
        g <- 0 where g g' < 0
        w <- w - delta sign(g)

    This is iRprop- (Igel and Huesken 2000), which PyTorch documents. With `backtracking` the step that went too far is
    also undone, as in 1993. Optax applies each step one iteration late.

    Args:
      learning_rate: every delta at the start; a number, not a schedule.
      eta_minus, eta_plus: factors, below and above 1.
      min_step_size, max_step_size: bounds of delta.
      backtracking: True undoes the step before: w <- w + (the delta before) sign(g') where g g' < 0.

    Raises:
      ValueError: a number is out of its range, the learning rate is a schedule, or (in `init`) a parameter is complex.

    >>> optimizer = rprop(0.5)
    >>> _, state = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> optimizer.update(jnp.array([2.0, 0.01]), state)[0]
    Array([-0.6,  0. ], dtype=float32)
    """
    if callable(learning_rate):
        raise ValueError("`learning_rate` is the first step size, then Rprop adapts it; received a schedule.")
    check_learning_rate(learning_rate)
    check_range("eta_minus", eta_minus, 0, 1)
    check_range("eta_plus", eta_plus, 1)
    for name, size in (("min_step_size", min_step_size), ("max_step_size", max_step_size)):
        check_range(name, size, 0)

    def init(params):
        refuse_complex(params, "rprop")
        return RpropState(filled_like(params), filled_like(params, learning_rate))

    def update(grads, state, params=None, **extra):
        def equation(g, before, delta):
            agreement = g * jnp.sign(before)
            factor = jnp.where(agreement > 0, eta_plus, jnp.where(agreement < 0, eta_minus, 1.0))
            back = jnp.where(agreement < 0, delta * jnp.sign(before), 0) if backtracking else 0
            delta, g = jnp.clip(delta * factor, min_step_size, max_step_size), jnp.where(agreement < 0, 0, g)
            return back - delta * jnp.sign(g), g, delta

        updates, g, delta = leafwise(equation, grads, state.g, state.delta)
        return updates, RpropState(g, delta)

    return GradientTransformation(init, update)
