"""Dropout: in training every activation is dropped with probability `rate`. Two dialects of equal expectation.

Inverted dropout scales in training and does nothing in test mode. The original scales in test mode instead (the
weight-scaling inference rule): Srivastava et al. 2014, JMLR 15, section 10.
"""

import numbers
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, differentiable, without_parameters


def forward(drawing, x, *, width):
    """`y = x mask / q`, q the probability of keeping; `drawing` is (key, how many of the 2^width levels drop)."""
    mask, q = _draw(*drawing, x, width)
    return _masked(x, mask, q), (mask, q)


def unscaled_forward(drawing, x, *, width):
    """`y = x mask`."""
    mask, _ = _draw(*drawing, x, width)
    return _masked(x, mask, 1.0), (mask, 1.0)


def backward(residuals, dy):
    """`dx = dy mask / q`."""
    return None, _masked(dy, *residuals)


def dropout(key, x, *, rate):
    """`x mask / (1 - rate)` with `mask` 1 with probability `1 - rate` and else 0: the expectation is x.

    Gradient: `dx = dy mask / (1 - rate)`, by the same mask. The mask comes from 8 random bits an element where they
    tell the rate exactly (0.5, 0.25, ...), from 16 else: a rate is rounded to a multiple of 2^-16, and the division is
    by the probability so rounded.

    Args:
      key: a key of `jax.random`; another one for every step.
      x: an array with at least one axis.
      rate: the probability of *dropping*, in [0, 1); may be traced.

    Raises:
      ValueError: `rate` outside [0, 1).

    Srivastava et al. 2014, JMLR 15.

    >>> sorted({*dropout(jax.random.key(0), jnp.ones(100), rate=0.5).tolist()})
    [0.0, 2.0]
    """
    _check(x, rate)
    dropped, width = _threshold(rate)
    return differentiable(partial(forward, width=width), backward)((key, dropped), x)


def unscaled_dropout(key, x, *, rate):
    """`x mask`, as the paper trains; `weight_scaled` is its test mode. Arguments and errors as `dropout`.

    Gradient: `dx = dy mask`.

    >>> sorted({*unscaled_dropout(jax.random.key(0), jnp.ones(100), rate=0.5).tolist()})
    [0.0, 1.0]
    """
    _check(x, rate)
    dropped, width = _threshold(rate)
    return differentiable(partial(unscaled_forward, width=width), backward)((key, dropped), x)


def weight_scaled(x, *, rate):
    """`(1 - rate) x`: the expectation of `unscaled_dropout`, which one network in test mode takes for the mean of all.

    The paper scales the weights that follow, which is the same. Derivative: `1 - rate`.

    >>> weight_scaled(jnp.ones(2), rate=0.25).tolist()
    [0.75, 0.75]
    """
    _check(x, rate)
    return x * jnp.asarray(1 - rate, x.dtype)


def Dropout(rate) -> Layer:
    """`dropout` in training, nothing in test mode, as a layer of a network."""
    _check_rate(rate)

    def either_forward(params, x, *, train, key):
        if not train:
            return x, None
        _check(x, rate)
        dropped, width = _threshold(rate)
        return forward((key, dropped), x, width=width)

    def either_backward(residuals, dy):
        return (), (dy if residuals is None else _masked(dy, *residuals))

    return Layer(without_parameters, either_forward, either_backward)


def _masked(x, mask, q):
    return jnp.where(mask, x * jnp.asarray(1 / q, x.dtype), jnp.zeros((), x.dtype))


def _threshold(rate):
    """How many levels of how many bits drop."""
    width = 8 if isinstance(rate, numbers.Real) and float(256 * rate).is_integer() else 16
    levels = 2**width
    return jnp.clip(jnp.round(jnp.asarray(rate, jnp.float32) * levels), 0, levels - 1).astype(jnp.int32), width


def _draw(key, dropped, x, width):
    """A mask and the probability of a one in it. Words of 32 bits are drawn and cut: cheaper than a number a word."""
    dtype = {8: jnp.uint8, 16: jnp.uint16}[width]
    shape = x.shape
    words = jax.random.bits(key, (*shape[:-1], -(-shape[-1] * width // 32)), jnp.uint32)
    bits = lax.bitcast_convert_type(words, dtype).reshape(*shape[:-1], -1)[..., : shape[-1]]
    return bits >= dropped.astype(dtype), 1 - dropped.astype(_wide(x)) / 2**width


def _wide(x):
    return jnp.promote_types(x.dtype, jnp.float32)


def _check(x, rate):
    if x.ndim < 1:
        raise ValueError(f"`x` must have shape (..., features); received {x.shape}. Pass x[None]?")
    _check_rate(rate)


def _check_rate(rate):
    if isinstance(rate, numbers.Real) and not 0 <= rate < 1:
        raise ValueError(
            f"`rate` must be at least 0 and less than 1; received {rate}. It is the probability of dropping."
        )
