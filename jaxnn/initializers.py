"""Initializers: `init(key, shape, dtype) -> array`, the contract of `jax.nn.initializers`."""

import math

import jax
import jax.numpy as jnp


def fan_in_uniform(scale: float = 1.0, *, exponent: float = 0.5):
    """`U(-b, b)` with `b = scale / F^exponent`, F the fan-in: every axis of the shape but the last.

    The default, the lectures' 1/sqrt(n), has variance 1/(3F), a sixth of He's; LeCun et al. 1998 (appendix A) draw with
    `scale=2.4, exponent=1`.

    >>> w = fan_in_uniform()(jax.random.key(0), (5, 5, 6, 16))
    >>> bool(abs(w).max() <= 150**-0.5)
    True
    """

    def init(key, shape, dtype=jnp.float32):
        bound = scale / math.prod(shape[:-1]) ** exponent
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
