"""An optimizer is a direction of descent, one equation for one parameter, and a learning rate that multiplies it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_learning_rate,
    require_params,
    value_at,
)
from jaxnn.optimizers.leafwise_update import leafwise
from jaxnn.optimizers.weight_decay import decay_terms


class Direction(NamedTuple):
    """Holds the equation of a method and makes the state that the equation needs.

    The state is a NamedTuple of scalars, the first of which is `step`, followed by trees like the parameters.
    """

    init: Callable[[Any], Any]
    """makes the state: `params -> state`"""
    begin: Callable[[Any], tuple[tuple, Callable]]
    """begins a step: `state -> (scalars after it, equation)`, where `equation(g, *leaves) -> (d, *leaves)`"""


def scale_by(direction: Direction) -> GradientTransformation:
    """Makes the transformation `u = d`, a link for chains that multiply the direction by a learning rate later.

    >>> from jaxnn.optimizers.adam_family import adam_direction
    >>> import jax.numpy as jnp
    >>> transformation = scale_by(adam_direction())
    >>> transformation.update(jnp.array([3.0, -3.0]), transformation.init(jnp.zeros(2)))[0].round(4)
    Array([ 1., -1.], dtype=float32)
    """

    def update(grads, state, params=None, **extra):
        return advance(direction, grads, state, lambda d: d)

    return _named(direction, update)


def descend(
    direction: Direction, learning_rate, *, weight_decay=0.0, mask=None, ratio: Callable | None = None, name: str = ""
) -> GradientTransformation:
    """Makes the optimizer `w <- w - lr (d + weight_decay w)`.

    The whole update of a parameter is computed in float32 and rounded once, which a chain of links cannot do.

    Args:
      direction: computes d.
      learning_rate, weight_decay: number or schedule `step -> number`.
      mask: selects the parameters that decay, as in `add_decayed_weights`.
      ratio: `ratio(w, u)` multiplies u = d + weight_decay w, leaf by leaf.
      name: what `explain_groups` calls the optimizer; by default the name of the function that made the direction.

    Raises:
      ValueError: a number is out of its range; `update` does not get the parameters that decay or ratio need.
    """
    check_learning_rate(learning_rate)
    check_at_least("weight_decay", weight_decay, 0)

    def update(grads, state, params=None, **extra):
        if ratio is not None:
            require_params(params, "the ratio of weights to steps")
        lr = value_at(learning_rate, state.step)
        decay = decay_terms(weight_decay, mask=mask, grads=grads, params=params, step=state.step)

        def step(d, decay, w):
            u = d + decay
            return -lr * (u if ratio is None else ratio(w, u) * u)

        return advance(direction, grads, state, step, given=(decay, None if ratio is None else params))

    return _named(direction, update, name)


def advance(direction: Direction, grads, state, step: Callable, *, given=()):
    """Returns `(updates, state)` of one step; `step(d, *given)` makes the update of a leaf from its direction."""
    scalars, equation = direction.begin(state)
    slots = state[len(scalars) :]

    def whole(g, *leaves):
        d, *new = equation(g, *leaves[: len(slots)])
        return step(d, *leaves[len(slots) :]), *new

    updates, *slots = leafwise(whole, grads, *slots, given=given)
    return updates, type(state)(*scalars, *slots)


def _named(direction, update, name="") -> GradientTransformation:
    """Returns the pair; its `update` has the name of the optimizer, which `explain_groups` shows."""
    name = name or direction.begin.__qualname__.split(".")[0].removesuffix("_direction")
    update.__qualname__ = f"{name}.<locals>.update"
    return GradientTransformation(direction.init, update)
