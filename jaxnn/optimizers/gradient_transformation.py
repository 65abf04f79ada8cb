"""The pair that every optimizer is, and what all of them share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class GradientTransformation(NamedTuple):
    """Two pure functions: `init(params) -> state` and `update(grads, state, params=None, **extra)`."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


def apply_updates(params, updates):
    """`params + updates`, leaf by leaf, in the dtype of the parameter.

    >>> apply_updates({"w": jnp.ones(2)}, {"w": -0.5 * jnp.ones(2)})["w"].tolist()
    [0.5, 0.5]
    """
    return jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)


def value_at(hyperparameter, step):
    """A hyperparameter is a number or a schedule `step -> number`."""
    return hyperparameter(step) if callable(hyperparameter) else hyperparameter


def zeros_like(params):
    """A tree of zeros in the shapes and dtypes of the parameters."""
    return jax.tree.map(jnp.zeros_like, params)


def scaled(factor, tree):
    """`factor * leaf` in the dtype of the leaf, whatever the factor's."""
    return jax.tree.map(lambda leaf: jnp.asarray(factor, leaf.dtype) * leaf, tree)
