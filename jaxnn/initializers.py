"""Initializers: `init(key, shape, dtype) -> array`, the contract of `jax.nn.initializers`."""

import math

import jax
import jax.numpy as jnp


def fan_in_uniform(scale: float = 2.4):
    """`U(-scale / F, scale / F)`, F the fan-in: every axis of the shape but the last (LeCun et al. 1998, appendix A).

    >>> w = fan_in_uniform()(jax.random.key(0), (5, 5, 6, 16))
    >>> bool(abs(w).max() <= 2.4 / 150)
    True
    """

    def init(key, shape, dtype=jnp.float32):
        bound = scale / math.prod(shape[:-1])
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
