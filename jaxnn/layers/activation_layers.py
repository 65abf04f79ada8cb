"""These layers apply a function to every element.

Where possible, the derivative of an activation is written as a function of its output. The next layer keeps this output
anyway, because it is its input, so the activation needs no memory of its own for the backward pass.
"""

import math
from functools import partial

import jax.numpy as jnp
from jax import lax

from jaxnn import activations
from jaxnn.layers.hand_written import Layer, without_parameters


def Elementwise(f, derivative) -> Layer:
    """Returns a layer that computes `y = f(x)`, with the gradient `dx = derivative(y) dy`.

    The derivative is a function of the *output*.

    >>> cube = Elementwise(lambda x: x**3, lambda y: 3 * jnp.cbrt(y) ** 2)
    >>> y, residuals = cube.forward((), jnp.array([2.0]))
    >>> y.tolist(), cube.backward(residuals, jnp.ones(1))[1].round().tolist()
    ([8.0], [12.0])
    """

    def forward(params, x):
        y = f(x)
        return y, y

    def backward(y, dy):
        return (), derivative(y).astype(dy.dtype) * dy

    return Layer(without_parameters, forward, backward)


def ElementwiseOfInput(value_and_slope) -> Layer:
    """Returns a layer that computes `y, s = value_and_slope(x)`, with the gradient `dx = s dy`.

    It is for functions whose output does not determine the slope. The forward pass computes the output and the slope
    together, because they share their expensive parts.

    >>> square = ElementwiseOfInput(lambda x: (x**2, 2 * x))
    >>> y, residuals = square.forward((), jnp.array([-3.0]))
    >>> y.tolist(), square.backward(residuals, jnp.ones(1))[1].tolist()
    ([9.0], [-6.0])
    """

    def forward(params, x):
        return value_and_slope(x)

    def backward(slope, dy):
        return (), slope.astype(dy.dtype) * dy

    return Layer(without_parameters, forward, backward)


OUTPUT_DERIVATIVES = {
    "identity": jnp.ones_like,
    "relu": lambda y: y > 0,
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "scaled_tanh": lambda y: 2 / 3 * (1.7159 - y * y / 1.7159),
    "softplus": lambda y: -jnp.expm1(-y),
}
"""Maps the name of each activation without parameters to its derivative as a function of its output."""


def ReLU() -> Layer:
    """Returns a layer that computes `y = max(0, x)`; the derivative is 1 where y > 0, else 0."""
    return Elementwise(activations.relu, OUTPUT_DERIVATIVES["relu"])


def LeakyReLU(negative_slope: float = 0.01) -> Layer:
    """Returns a layer that computes `y = x` where x > 0, else `y = negative_slope x`.

    Derivative: 1 where y > 0, else `negative_slope`.

    Raises:
      ValueError: `negative_slope` is negative, so that the output does not show the sign of the input.
    """
    if negative_slope < 0:
        raise ValueError(f"`negative_slope` must be at least 0; received {negative_slope}. Take ElementwiseOfInput?")
    f = partial(activations.leaky_relu, negative_slope=negative_slope)
    return Elementwise(f, lambda y: jnp.where(y > 0, 1.0, negative_slope))


def ELU(alpha: float = 1.0) -> Layer:
    """Returns a layer that computes `y = x` where x > 0, else `y = alpha (exp(x) - 1)`.

    Derivative: 1 where y > 0, else `y + alpha`.

    Raises:
      ValueError: `alpha` is negative, so that the output does not show the sign of the input.
    """
    if alpha < 0:
        raise ValueError(f"`alpha` must be at least 0; received {alpha}. Take ElementwiseOfInput?")
    return Elementwise(partial(activations.elu, alpha=alpha), lambda y: jnp.where(y > 0, 1.0, y + alpha))


def Sigmoid() -> Layer:
    """Returns a layer that computes `y = 1 / (1 + exp(-x))`; the derivative is `y (1 - y)`."""
    return Elementwise(activations.sigmoid, OUTPUT_DERIVATIVES["sigmoid"])


def Tanh() -> Layer:
    """Returns a layer that computes `y = tanh(x)`; the derivative is `1 - y^2`."""
    return Elementwise(activations.tanh, OUTPUT_DERIVATIVES["tanh"])


def ScaledTanh() -> Layer:
    """Returns a layer that computes `y = A tanh(2x/3)` with A = 1.7159; the derivative is `2/3 (A - y^2 / A)`."""
    return Elementwise(activations.scaled_tanh, OUTPUT_DERIVATIVES["scaled_tanh"])


def Softplus() -> Layer:
    """Returns a layer that computes `y = log(1 + exp(x))`; the derivative is `1 - exp(-y)`, which is sigmoid(x)."""
    return Elementwise(activations.softplus, OUTPUT_DERIVATIVES["softplus"])


def SiLU() -> Layer:
    """Returns a layer that computes `y = x s` with s = sigmoid(x); the derivative is `s (1 + x (1 - s))`."""

    def value_and_slope(x):
        finite = _within_range(x)
        s = activations.sigmoid(finite)
        return jnp.where(x == jnp.inf, x, finite * s), s * (1 + finite * (1 - s))

    return ElementwiseOfInput(value_and_slope)


def GELU() -> Layer:
    """Returns a layer that computes `y = x P`, where P = erfc(-x / sqrt(2)) / 2 is the normal distribution function.

    Derivative: `P + x exp(-x^2/2) / sqrt(2 pi)`.
    """

    def value_and_slope(x):
        finite = _within_range(x)
        z = -(0.5**0.5) * finite
        p = lax.erfc(z) / 2
        slope = p + finite * jnp.exp(-(z * z)) * (2 * math.pi) ** -0.5  # erfc contains exp(-z z) too: computed once
        return jnp.where(x == jnp.inf, x, finite * p), slope

    return ElementwiseOfInput(value_and_slope)


def _within_range(x):
    """Returns `x` with each infinity replaced by the largest finite number of its sign: 0 times infinity is NaN."""
    largest = jnp.finfo(x.dtype).max
    return lax.clamp(-largest, x, largest)
