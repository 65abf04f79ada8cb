"""A chain applies transformations one after another; the simplest transformations are identity and scaling."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_learning_rate,
    check_transformation,
    run_update,
    value_at,
)
from jaxnn.optimizers.leafwise_update import leafwise


class ScaleByScheduleState(NamedTuple):
    """Holds the number of updates so far."""

    step: jax.Array


def chain(*transformations) -> GradientTransformation:
    """Returns one transformation made of several: each receives the output of the one before it.

        u_0 = g,        u_i = T_i(u_(i-1), w),        w <- w + u_n

    The order matters. A clip before an optimizer bounds the gradient; a clip after it bounds the step. Weight decay
    before Adam is an L2 penalty; after Adam it is decoupled. All transformations see the same parameters, and each gets
    the extra arguments that it accepts.

    Args:
      transformations: ours or Optax's; without any, the chain is the identity.

    Returns:
      A transformation whose state is the tuple of their states.

    Raises:
      ValueError: an argument is not a pair (init, update), or a state has another length.

    >>> from jaxnn.optimizers import sgd
    >>> optimizer = chain(scale(10.0), sgd(0.1))
    >>> updates, state = optimizer.update(jnp.ones(2), optimizer.init(jnp.zeros(2)))
    >>> updates
    Array([-1., -1.], dtype=float32)
    """
    for i, transformation in enumerate(transformations):
        check_transformation(f"transformations[{i}]", transformation)

    def init(params):
        return tuple(transformation.init(params) for transformation in transformations)

    def update(grads, state, params=None, **extra):
        if type(state) is not tuple or len(state) != len(transformations):
            raise ValueError(
                f"the state of a chain of {len(transformations)} must be a tuple of as many; received "
                f"{type(state).__name__} {jax.tree.structure(state)}. Was it made by this chain's `init`?"
            )
        updates, states = grads, []
        for transformation, own in zip(transformations, state, strict=True):
            updates, own = run_update(transformation, updates, own, params, extra)
            states.append(own)
        return updates, tuple(states)

    return GradientTransformation(init, update)


def identity() -> GradientTransformation:
    """Leaves the updates as they are; its state is empty.

    >>> identity().update(jnp.ones(2), ())[0]
    Array([1., 1.], dtype=float32)
    """
    return stateless(lambda grads, params: grads)


def scale(step_size) -> GradientTransformation:
    """Returns the transformation `u = step_size g`. It keeps the sign as given: a descent needs a negative one.

    Args:
      step_size: a number, traced or not.

    >>> scale(-0.5).update(jnp.ones(2), ())[0]
    Array([-0.5, -0.5], dtype=float32)
    """
    return stateless(lambda grads, params: leafwise(lambda g: (step_size * g,), grads)[0])


def scale_by_learning_rate(learning_rate, *, flip_sign: bool = True) -> GradientTransformation:
    """Returns the transformation `u = -learning_rate g`, the last link of a chain that computes a direction.

    Args:
      learning_rate: number or schedule `step -> number`; the step of a schedule is counted in the state.
      flip_sign: False keeps the sign, for gradient ascent.

    Raises:
      ValueError: the number is not positive.

    >>> scale_by_learning_rate(0.5).update(jnp.ones(2), ())[0]
    Array([-0.5, -0.5], dtype=float32)
    """
    check_learning_rate(learning_rate)
    sign = -1 if flip_sign else 1
    if not callable(learning_rate):
        return scale(sign * learning_rate)

    def update(grads, state, params=None, **extra):
        step_size = sign * value_at(learning_rate, state.step)
        return leafwise(lambda g: (step_size * g,), grads)[0], ScaleByScheduleState(state.step + 1)

    return GradientTransformation(lambda params: ScaleByScheduleState(jnp.zeros((), jnp.int32)), update)


def stateless(function) -> GradientTransformation:
    """Returns a transformation without state from `function(grads, params) -> updates`."""

    def update(grads, state, params=None, **extra):
        return function(grads, params), state

    return GradientTransformation(lambda params: (), update)
