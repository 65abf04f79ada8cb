"""This module adds noise to the gradient, less of it with every step."""

import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least
from jaxnn.optimizers.leafwise_update import is_trainable, leafwise


class AddNoiseState(NamedTuple):
    """Holds the step and the key, which never changes.

    The noise of a step is drawn from `fold_in(key, step)`, so that it can be drawn again.
    """

    step: jax.Array
    key: jax.Array


def add_noise(eta, gamma=0.55, *, key) -> GradientTransformation:
    """Adds Gaussian noise to every entry (Neelakantan et al. 2015, arXiv 1511.06807, section 3).

    With t counted from 0:

        u = g + n,        n ~ N(0, eta / (1 + t)^gamma)

    The paper uses eta in {0.01, 0.3, 1} and gamma 0.55. Optax draws other numbers of the same distribution: it splits
    its key and keeps the new key.

    Args:
      eta: variance of the first step's noise, at least 0; traced or not.
      gamma: sets how fast the variance falls, at least 0; traced or not.
      key: a typed key (`jax.random.key(0)`) or an integer seed.

    Raises:
      ValueError: a number is negative, or the key is neither a typed key nor an integer.

    >>> noise = add_noise(0.01, key=0)
    >>> updates, state = noise.update(jnp.zeros(10_000), noise.init(jnp.zeros(10_000)))
    >>> round(float(updates.std()), 2)
    0.1
    """
    check_at_least("eta", eta, 0)
    check_at_least("gamma", gamma, 0)
    key = _as_key(key)

    def init(params):
        return AddNoiseState(jnp.zeros((), jnp.int32), jnp.copy(key()))

    def update(grads, state, params=None, **extra):
        t = jnp.asarray(state.step, float)
        deviation = jnp.sqrt(eta / (1 + t) ** gamma)
        noise = _normal_like(grads, jax.random.fold_in(state.key, state.step))
        (updates,) = leafwise(lambda g, n: (g + deviation * n,), grads, given=(noise,))
        return updates, AddNoiseState(state.step + 1, state.key)

    return GradientTransformation(init, update)


def _normal_like(grads, key):
    """Draws standard normal entries, float32 for half precision; returns a leaf that has no update as it is."""
    leaves, tree = jax.tree.flatten(grads)
    keys = jax.random.split(key, max(len(leaves), 1))
    wide = lambda g: jnp.promote_types(jnp.result_type(g), jnp.float32)
    draw = lambda key, g: jax.random.normal(key, jnp.shape(g), wide(g)) if is_trainable(g) else g
    return tree.unflatten([draw(key, g) for key, g in zip(keys, leaves, strict=False)])


def _as_key(key):
    """Returns a function that makes the key, because making an optimizer must not touch a device."""
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        return lambda: jax.random.key(int(key))
    if not jnp.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise ValueError(f"`key` must be a typed key such as jax.random.key(0), or an integer; received {key!r}.")
    return lambda: key
