"""Noise on the gradient, less of it with every step."""

import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least
from jaxnn.optimizers.leafwise_update import is_trainable, leafwise


class AddNoiseState(NamedTuple):
    """The key is never changed: a step's noise is drawn from `fold_in(key, step)`, so that it can be replayed."""

    step: jax.Array
    key: jax.Array


def add_noise(eta, gamma=0.55, *, key) -> GradientTransformation:
    """Gaussian noise on every entry (Neelakantan et al. 2015, arXiv 1511.06807, section 3); with t counted from 0,

        u = g + n,        n ~ N(0, eta / (1 + t)^gamma)

    The paper has eta in {0.01, 0.3, 1} and gamma 0.55. Optax draws other numbers of the same law: it splits its key and
    carries it on.

    Args:
      eta: variance of the first step's noise, at least 0; traced or not.
      gamma: how fast it falls, at least 0; traced or not.
      key: a typed key (`jax.random.key(0)`) or an integer seed.

    Raises:
      ValueError: a negative number, or a key that is neither.

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
    """Standard normal entries, float32 for half precision; a leaf that has no update stands for itself."""
    leaves, tree = jax.tree.flatten(grads)
    keys = jax.random.split(key, max(len(leaves), 1))
    wide = lambda g: jnp.promote_types(jnp.result_type(g), jnp.float32)
    draw = lambda key, g: jax.random.normal(key, jnp.shape(g), wide(g)) if is_trainable(g) else g
    return tree.unflatten([draw(key, g) for key, g in zip(keys, leaves, strict=False)])


def _as_key(key):
    """A function that makes the key, since making an optimizer must not touch a device."""
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        return lambda: jax.random.key(int(key))
    if not jnp.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise ValueError(f"`key` must be a typed key such as jax.random.key(0), or an integer; received {key!r}.")
    return lambda: key
