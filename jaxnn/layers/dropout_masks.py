"""Dropout drops every activation with probability `rate` in training.

There are two variants. Inverted dropout scales in training and does nothing in test mode. The original dropout scales
in test mode instead (the weight-scaling inference rule; Srivastava et al. 2014, JMLR 15, section 10). In both variants
the expectation in training equals the output in test mode.
"""

import numbers
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, check_floats, differentiable, without_parameters


def forward(drawing, x, *, width):
    """Computes `y = x mask / q`, where q is the probability of keeping an activation.

    `drawing` is the pair (key, how many of the 2^width levels are dropped).
    """
    mask, q = _draw(*drawing, x, width)
    return _masked(x, mask, q), (mask, q)


def unscaled_forward(drawing, x, *, width):
    """Computes `y = x mask`."""
    mask, _ = _draw(*drawing, x, width)
    return _masked(x, mask, 1.0), (mask, 1.0)


def backward(residuals, dy):
    """Computes `dx = dy mask / q`."""
    return None, _masked(dy, *residuals)


def dropout(key, x, *, rate):
    """Computes `x mask / (1 - rate)`, where `mask` is 1 with probability `1 - rate` and else 0; the expectation is x.

    Gradient: `dx = dy mask / (1 - rate)`, with the same mask. The mask is drawn from 8 random bits for each element if
    8 bits represent the rate exactly (0.5, 0.25, ...), and from 16 bits otherwise. With 16 bits the rate is rounded to
    a multiple of 2^-16, and the division uses the rounded probability.

    Args:
      key: a key of `jax.random`; use another key for every step.
      x: an array with at least one axis.
      rate: the probability of *dropping*, in [0, 1); may be traced.

    Raises:
      ValueError: `rate` is outside [0, 1), or x has no axis.

    Source: Srivastava et al. 2014, JMLR 15.

    >>> sorted({*dropout(jax.random.key(0), jnp.ones(100), rate=0.5).tolist()})
    [0.0, 2.0]
    """
    _check(x, rate)
    dropped, width = _threshold(rate)
    return differentiable(partial(forward, width=width), backward)((key, dropped), x)


def masked_forward(kept, x):
    """Computes `y = x mask / q`, where `kept` is the pair (mask, q)."""
    return _masked(x, *kept), kept


def masked_dropout(mask, x, *, rate):
    """Computes `x mask / (1 - rate)` for a mask that is given: `dropout` for masks that are shared or drawn elsewhere.

    Gradient: `dx = dy mask / (1 - rate)`. One mask for all steps of a sequence is variational dropout (Gal and
    Ghahramani 2016, arXiv 1512.05287), and one for all positions of an image drops whole channels (PyTorch's
    `Dropout2d`).

    Args:
      mask: booleans, True for what is kept, of the shape of x; an axis of length 1 is shared by all.
      x: floats.
      rate: the probability of dropping with which the mask was drawn; may be traced.

    Raises:
      ValueError: the mask is not of booleans or has another shape, x holds integers, or `rate` is outside [0, 1).

    >>> masked_dropout(jnp.array([[True, False]]), jnp.ones((2, 2)), rate=0.5).tolist()
    [[2.0, 0.0], [2.0, 0.0]]
    """
    _check(x, rate)
    if (
        mask.dtype != bool
        or mask.ndim != x.ndim
        or any(m not in (1, n) for m, n in zip(mask.shape, x.shape, strict=True))
    ):
        raise ValueError(
            f"`mask` must be booleans of shape {x.shape}, or with some axes of length 1; received {mask.dtype} of "
            f"shape {mask.shape}. Take mask > 0?"
        )
    return differentiable(masked_forward, backward)((mask, 1 - rate), x)


def unscaled_dropout(key, x, *, rate):
    """Computes `x mask`, which is the paper's dropout in training; `weight_scaled` is its test mode.

    Gradient: `dx = dy mask`. The arguments and errors are those of `dropout`.

    >>> sorted({*unscaled_dropout(jax.random.key(0), jnp.ones(100), rate=0.5).tolist()})
    [0.0, 1.0]
    """
    _check(x, rate)
    dropped, width = _threshold(rate)
    return differentiable(partial(unscaled_forward, width=width), backward)((key, dropped), x)


def weight_scaled(x, *, rate):
    """Computes `(1 - rate) x`, the expectation of `unscaled_dropout`.

    In test mode, one network with these outputs approximates the mean of all the networks that dropout samples. The
    paper scales the weights of the next layer instead, which is equivalent. Derivative: `1 - rate`.

    >>> weight_scaled(jnp.ones(2), rate=0.25).tolist()
    [0.75, 0.75]
    """
    _check(x, rate)
    return x * jnp.asarray(1 - rate, x.dtype)


def Dropout(rate) -> Layer:
    """Returns a layer that computes `dropout` in training and returns its input in test mode."""
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
    """Returns how many levels are dropped, and the number of bits that have these levels."""
    width = 8 if isinstance(rate, numbers.Real) and float(256 * rate).is_integer() else 16
    levels = 2**width
    return jnp.clip(jnp.round(jnp.asarray(rate, jnp.float32) * levels), 0, levels - 1).astype(jnp.int32), width


def _draw(key, dropped, x, width):
    """Draws a mask, and returns it with the probability of a one.

    It draws words of 32 bits and splits them, because that is cheaper than drawing one word for each element.
    """
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
    check_floats(x)
    _check_rate(rate)


def _check_rate(rate):
    if isinstance(rate, numbers.Real) and not 0 <= rate < 1:
        raise ValueError(
            f"`rate` must be at least 0 and less than 1; received {rate}. It is the probability of dropping."
        )
