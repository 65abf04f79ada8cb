"""These rows compare the initializers with others that draw the same numbers, or with the moments of their papers."""

import math

import jax
import jax.numpy as jnp

from jaxnn import initializers
from jaxnn.verification.rows import InitializerRow

theirs = jax.nn.initializers


def _fan_in(shape):
    return math.prod(shape[:-1])


def _both_fans(shape):
    return math.prod(shape[:-2]) * (shape[-2] + shape[-1])


def _uniform_within(scale, exponent):
    """`variance_scaling` draws within sqrt(3 s / F), so s = bound^2 F / 3."""

    def of_shape(shape):
        return theirs.variance_scaling(scale**2 * _fan_in(shape) ** (1 - 2 * exponent) / 3, "fan_in", "uniform")

    return of_shape


def _orthogonal(gain):
    """JAX's has no half precision: drawn in float32, then cast."""

    def init(key, shape, dtype):
        wide = jnp.promote_types(dtype, jnp.float32)
        return theirs.orthogonal(gain)(key, shape, wide).astype(dtype)

    return lambda shape: init


def _row(name, ours, oracle, against, std):
    """A row whose oracle is the same for all shapes."""
    public = getattr(initializers, name.split(",")[0])
    return InitializerRow(name, public, ours, lambda shape: oracle, f"jax.nn.initializers.{against}", std)


def _he_std(shape, a=0.0):
    return math.sqrt(2 / (1 + a**2) / _fan_in(shape))


INITIALIZERS = [
    _row("zeros", initializers.zeros, theirs.zeros, "zeros", None),
    _row("constant", initializers.constant(0.3), theirs.constant(0.3), "constant", None),
    _row("normal", initializers.normal(), theirs.normal(1.0), "normal", lambda shape: 1.0),
    _row("normal, AlexNet's", initializers.normal(0.01), theirs.normal(0.01), "normal", lambda shape: 0.01),
    InitializerRow(
        "fan_in_uniform",
        initializers.fan_in_uniform,
        initializers.fan_in_uniform(),
        _uniform_within(1.0, 0.5),
        "jax.nn.initializers.variance_scaling",
        lambda shape: (3 * _fan_in(shape)) ** -0.5,
    ),
    InitializerRow(
        "fan_in_uniform, 1998",
        initializers.fan_in_uniform,
        initializers.fan_in_uniform(2.4, exponent=1.0),
        _uniform_within(2.4, 1.0),
        "jax.nn.initializers.variance_scaling",
        lambda shape: 2.4 / _fan_in(shape) / 3**0.5,
    ),
    _row(
        "fan_in_normal",
        initializers.fan_in_normal(),
        theirs.variance_scaling(1.0, "fan_in", "normal"),
        "variance_scaling",
        lambda shape: _fan_in(shape) ** -0.5,
    ),
    _row(
        "fan_in_normal, He's as published",
        initializers.fan_in_normal(2**0.5),
        theirs.variance_scaling(2.0, "fan_in", "normal"),
        "variance_scaling",
        _he_std,
    ),
    _row(
        "lecun_normal",
        initializers.lecun_normal(),
        theirs.lecun_normal(),
        "lecun_normal",
        lambda shape: _fan_in(shape) ** -0.5,
    ),
    _row(
        "lecun_uniform",
        initializers.lecun_uniform(),
        theirs.lecun_uniform(),
        "lecun_uniform",
        lambda shape: _fan_in(shape) ** -0.5,
    ),
    _row(
        "xavier_normal",
        initializers.xavier_normal(),
        theirs.glorot_normal(),
        "glorot_normal",
        lambda shape: (2 / _both_fans(shape)) ** 0.5,
    ),
    _row(
        "xavier_uniform",
        initializers.xavier_uniform(),
        theirs.glorot_uniform(),
        "glorot_uniform",
        lambda shape: (2 / _both_fans(shape)) ** 0.5,
    ),
    _row(
        "xavier_uniform, gain 5/3",
        initializers.xavier_uniform(5 / 3),
        theirs.variance_scaling(25 / 9, "fan_avg", "uniform"),
        "variance_scaling",
        lambda shape: 5 / 3 * (2 / _both_fans(shape)) ** 0.5,
    ),
    _row("he_normal", initializers.he_normal(), theirs.he_normal(), "he_normal", _he_std),
    _row("he_uniform", initializers.he_uniform(), theirs.he_uniform(), "he_uniform", _he_std),
    _row(
        "he_normal, leaky",
        initializers.he_normal(negative_slope=0.5),
        theirs.variance_scaling(1.6, "fan_in", "truncated_normal"),
        "variance_scaling",
        lambda shape: _he_std(shape, 0.5),
    ),
    *(
        InitializerRow(
            name,
            initializers.orthogonal,
            initializers.orthogonal(gain),
            _orthogonal(gain),
            "jax.nn.initializers.orthogonal",
            lambda shape, gain=gain: gain / max(_fan_in(shape), shape[-1]) ** 0.5,
        )
        for name, gain in (("orthogonal", 1.0), ("orthogonal, gain 2", 2.0))
    ),
    *(
        InitializerRow(
            name,
            initializers.sparse,
            initializers.sparse(nonzero, stddev=stddev),
            None,
            "its moments",
            lambda shape, k=nonzero, stddev=stddev: stddev * min(1, k / _fan_in(shape)) ** 0.5,
        )
        for name, nonzero, stddev in (("sparse", 15, 1.0), ("sparse, 4 of stddev 0.5", 4, 0.5))
    ),
]
