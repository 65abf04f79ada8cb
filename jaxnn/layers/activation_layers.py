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


_SELU_SLOPE = 1.0507009873554805
_SELU_DEPTH = _SELU_SLOPE * 1.6732632423543772

OUTPUT_DERIVATIVES = {
    "identity": jnp.ones_like,
    "relu": lambda y: y > 0,
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "scaled_tanh": lambda y: 2 / 3 * (1.7159 - y * y / 1.7159),
    "softplus": lambda y: -jnp.expm1(-y),
    "log_sigmoid": lambda y: -jnp.expm1(y),
    "softsign": lambda y: (1 - jnp.abs(y)) ** 2,
    "selu": lambda y: jnp.where(y > 0, _SELU_SLOPE, y + _SELU_DEPTH),
    "relu6": lambda y: (y > 0) & (y < 6),
    "hard_tanh": lambda y: (y > -1) & (y < 1),
    "hard_sigmoid": lambda y: jnp.where((y > 0) & (y < 1), 1 / 6, 0.0),
    "soft_shrink": lambda y: y != 0,
    "hard_shrink": lambda y: y != 0,
}
"""Maps the name of each activation to its derivative as a function of its output, where one number decides it."""


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


def CELU(alpha: float = 1.0) -> Layer:
    """Returns a layer that computes `y = x` where x > 0, else `y = alpha (exp(x / alpha) - 1)`.

    Derivative: 1 where y > 0, else `y / alpha + 1`.

    Raises:
      ValueError: `alpha` is not greater than 0, so that the output does not show the sign of the input.
    """
    if alpha <= 0:
        raise ValueError(f"`alpha` must be greater than 0; received {alpha}. Take ReLU, its limit for alpha = 0?")
    return Elementwise(partial(activations.celu, alpha=alpha), lambda y: jnp.where(y > 0, 1.0, y / alpha + 1))


def SELU() -> Layer:
    """Returns a layer that computes `y = l x` where x > 0, else `y = l a (exp(x) - 1)`, with SELU's numbers l and a.

    Derivative: l where y > 0, else `y + l a`.
    """
    return Elementwise(activations.selu, OUTPUT_DERIVATIVES["selu"])


def ReLU6() -> Layer:
    """Returns a layer that computes `y = min(max(x, 0), 6)`; the derivative is 1 where 0 < y < 6, else 0."""
    return Elementwise(activations.relu6, OUTPUT_DERIVATIVES["relu6"])


def HardTanh() -> Layer:
    """Returns a layer that computes `y = min(max(x, -1), 1)`; the derivative is 1 where -1 < y < 1, else 0."""
    return Elementwise(activations.hard_tanh, OUTPUT_DERIVATIVES["hard_tanh"])


def HardSigmoid() -> Layer:
    """Returns a layer that computes `y = min(max(x + 3, 0), 6) / 6`; the derivative is 1/6 where 0 < y < 1, else 0."""
    return Elementwise(activations.hard_sigmoid, OUTPUT_DERIVATIVES["hard_sigmoid"])


def SoftShrink(threshold: float = 0.5) -> Layer:
    """Returns a layer that computes `y = sign(x) max(|x| - threshold, 0)`; the derivative is 1 where y != 0, else 0.

    Raises:
      ValueError: `threshold` is negative.
    """
    _check_threshold(threshold)
    return Elementwise(partial(activations.soft_shrink, threshold=threshold), OUTPUT_DERIVATIVES["soft_shrink"])


def HardShrink(threshold: float = 0.5) -> Layer:
    """Returns a layer that computes `y = x` where |x| > threshold, else 0; the derivative is 1 where y != 0, else 0.

    Raises:
      ValueError: `threshold` is negative.
    """
    _check_threshold(threshold)
    return Elementwise(partial(activations.hard_shrink, threshold=threshold), OUTPUT_DERIVATIVES["hard_shrink"])


def TanhShrink() -> Layer:
    """Returns a layer that computes `y = x - t` with t = tanh(x); the derivative is `t^2`."""

    def value_and_slope(x):
        t = jnp.tanh(x)
        return x - t, t * t

    return ElementwiseOfInput(value_and_slope)


def ThresholdLinear(*, above: float, otherwise: float) -> Layer:
    """Returns a layer that computes `y = x` where x > `above`, else `otherwise`; the derivative is 1 there, else 0."""
    f = partial(activations.threshold_linear, above=above, otherwise=otherwise)
    return ElementwiseOfInput(lambda x: (f(x), x > above))


def HardSwish() -> Layer:
    """Returns a layer that computes `y = x min(max(x + 3, 0), 6) / 6`.

    Derivative: 0 where x <= -3, 1 where x >= 3, and `x / 3 + 1/2` between.
    """

    def value_and_slope(x):
        return activations.hard_swish(x), jnp.where(x <= -3, 0.0, jnp.where(x >= 3, 1.0, x / 3 + 0.5))

    return ElementwiseOfInput(value_and_slope)


def Mish() -> Layer:
    """Returns a layer that computes `y = x t` with t = tanh(softplus(x)).

    Derivative: `t + x s (1 - t^2)` with s = sigmoid(x).
    """

    def value_and_slope(x):
        finite = _within_range(x)
        t = jnp.tanh(activations.softplus(finite))
        slope = t + finite * activations.sigmoid(finite) * (1 - t * t)
        return jnp.where(x == jnp.inf, x, finite * t), slope

    return ElementwiseOfInput(value_and_slope)


def Softsign() -> Layer:
    """Returns a layer that computes `y = x / (1 + |x|)`; the derivative is `(1 - |y|)^2`."""
    return Elementwise(activations.softsign, OUTPUT_DERIVATIVES["softsign"])


def LogSigmoid() -> Layer:
    """Returns a layer that computes `y = log sigmoid(x)`; the derivative is `1 - exp(y)`, which is sigmoid(-x)."""
    return Elementwise(activations.log_sigmoid, OUTPUT_DERIVATIVES["log_sigmoid"])


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


def _check_threshold(threshold):
    if threshold < 0:
        raise ValueError(f"`threshold` must be at least 0; received {threshold}. It is the width of what becomes 0.")


def _within_range(x):
    """Returns `x` with each infinity replaced by the largest finite number of its sign: 0 times infinity is NaN."""
    largest = jnp.finfo(x.dtype).max
    return lax.clamp(-largest, x, largest)
