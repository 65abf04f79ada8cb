"""An optimizer can keep its hyperparameters in its state, where they can change without a new compilation.

`vmap` can also map over them.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.gradient_transformation import GradientTransformation, run_update


class AdjustableState(NamedTuple):
    """Holds the `hyperparameters` as float32 leaves, schedules included, and the optimizer's own state `inner`."""

    hyperparameters: dict[str, Any]
    inner: Any


def adjustable(factory: Callable[..., GradientTransformation]):
    """Returns a factory of the same optimizer with its numbers in the state: `adjustable(adam)(learning_rate=1e-3)`.

    Numbers, and the numbers inside our schedules, become float32 leaves of the state. A new learning rate is then a new
    state, not a new program, and `vmap` maps over it. Two optimizers made from one factory share their `update`. None,
    booleans, strings and typed keys are not changed.

    The factory may be your own function of keywords that makes a whole chain. Define the function only once.

    >>> from jaxnn.optimizers import sgd
    >>> from jaxnn.optimizers.chaining import chain
    >>> from jaxnn.optimizers.gradient_clipping import clip
    >>> clipped = lambda learning_rate, max_delta: chain(clip(max_delta), sgd(learning_rate))
    >>> optimizer = adjustable(clipped)(learning_rate=0.5, max_delta=4.0)
    >>> state = optimizer.init(jnp.zeros(1))
    >>> hotter = with_hyperparameters(state, learning_rate=2.0)
    >>> [float(optimizer.update(jnp.array([9.0]), s)[0][0]) for s in (state, hotter)]
    [-2.0, -8.0]
    """

    def make(**hyperparameters) -> GradientTransformation:
        factory(**hyperparameters)  # raises for numbers out of range while their values are known
        static = {k: v for k, v in hyperparameters.items() if v is None or isinstance(v, bool | str)}
        traced = {k: jax.tree.map(_as_float32, v) for k, v in hyperparameters.items() if k not in static}
        update = _shared_update(factory, tuple(sorted(static.items())))

        def init(params):
            own = jax.tree.map(jnp.copy, traced)  # copies: one state may be donated, and a second one made
            return AdjustableState(own, factory(**static, **traced).init(params))

        return GradientTransformation(init, update)

    return make


def with_hyperparameters(state, **changes):
    """Returns the state with new values of some hyperparameters.

    Every adjustable optimizer in the state that has a hyperparameter of that name gets the new value.

    Args:
      state: an `AdjustableState`, or a tree that contains one: the state of a chain, of groups, the whole TrainState.
      changes: name -> number, traced or not, or one number for each member of a population; or a schedule of the same
        kind as before. Their range is not checked.

    Raises:
      ValueError: nothing in the state is adjustable, a name is unknown, a schedule is of another kind, or an array does
        not have the shape of the old value.

    >>> from jaxnn.optimizers import sgd
    >>> state = adjustable(sgd)(learning_rate=0.5).init(jnp.zeros(1))
    >>> with_hyperparameters({"mine": state}, learning_rate=0.25)["mine"].hyperparameters
    {'learning_rate': Array(0.25, dtype=float32)}
    >>> with_hyperparameters(state, learning_rat=0.25)
    Traceback (most recent call last):
    ValueError: unknown hyperparameter 'learning_rat'; did you mean 'learning_rate'? Known: learning_rate
    """
    known = {name for found in _adjustable_states(state) for name in found.hyperparameters}
    if not known:
        raise ValueError("`state` must contain the state of an `adjustable` optimizer; received one that has none.")
    for name in changes:
        if name not in known:
            raise unknown("hyperparameter", name, known)
    return jax.tree.map(partial(_changed, changes), state, is_leaf=_is_adjustable)


@lru_cache
def _shared_update(factory, static):
    return partial(_update, partial(factory, **dict(static)))


def _update(factory, grads, state, params=None, **extra):
    updates, inner = run_update(factory(**state.hyperparameters), grads, state.inner, params, extra)
    return updates, AdjustableState(state.hyperparameters, inner)


def _as_float32(value):
    is_key = jnp.issubdtype(getattr(value, "dtype", None), jax.dtypes.prng_key)
    return value if is_key else jnp.asarray(value, jnp.float32)


def _is_adjustable(x):
    return isinstance(x, AdjustableState)


def _adjustable_states(tree):
    """Returns all adjustable states in the tree, also those inside the `inner` of another."""
    found = [x for x in jax.tree.leaves(tree, is_leaf=_is_adjustable) if _is_adjustable(x)]
    return [*found, *(deeper for x in found for deeper in _adjustable_states(x.inner))]


def _changed(changes, x):
    if not _is_adjustable(x):
        return x
    own = {name: _like(name, changes.get(name, old), old) for name, old in x.hyperparameters.items()}
    return AdjustableState(own, jax.tree.map(partial(_changed, changes), x.inner, is_leaf=_is_adjustable))


def _like(name, new, old):
    """Returns the new value in the structure and shapes of the old one, so that no compiled program has to change."""
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise ValueError(
            f"`{name}` must be of the kind that it was, {jax.tree.structure(old)}; received "
            f"{jax.tree.structure(new)}. Another kind is another program: make the optimizer anew."
        )
    return jax.tree.map(partial(_shaped, name), new, old)


def _shaped(name, new, old):
    new = _as_float32(new)
    if jnp.shape(new) not in ((), jnp.shape(old)):
        raise ValueError(f"`{name}` must be a scalar or of shape {jnp.shape(old)}; received {jnp.shape(new)}.")
    return jnp.broadcast_to(new, jnp.shape(old))
