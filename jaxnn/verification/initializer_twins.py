"""Twins and moments of the initializers."""

import math

import jax

from jaxnn import initializers
from jaxnn.verification.rows import InitializerRow


def _uniform_within(scale, exponent):
    """`variance_scaling` draws within sqrt(3 s / F), so s = bound^2 F / 3."""

    def of_shape(shape):
        fan_in = math.prod(shape[:-1])
        return jax.nn.initializers.variance_scaling(scale**2 * fan_in ** (1 - 2 * exponent) / 3, "fan_in", "uniform")

    return of_shape


INITIALIZERS = [
    InitializerRow(
        "fan_in_uniform",
        initializers.fan_in_uniform,
        initializers.fan_in_uniform(),
        _uniform_within(1.0, 0.5),
        "jax.nn.initializers.variance_scaling",
        lambda shape: (3 * math.prod(shape[:-1])) ** -0.5,
    ),
    InitializerRow(
        "fan_in_uniform, 1998",
        initializers.fan_in_uniform,
        initializers.fan_in_uniform(2.4, exponent=1.0),
        _uniform_within(2.4, 1.0),
        "jax.nn.initializers.variance_scaling",
        lambda shape: 2.4 / math.prod(shape[:-1]) / 3**0.5,
    ),
]
