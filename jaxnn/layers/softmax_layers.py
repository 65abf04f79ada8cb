"""These activations read many features at once: softmax and its relatives, and the gated linear unit."""

from functools import partial

import jax.numpy as jnp

from jaxnn import activations
from jaxnn.layers.hand_written import Layer, Static, without_parameters


def softmax_backward(residuals, dy):
    """Computes `dx_j = p_j (dy_j - sum_k p_k dy_k)`."""
    p, axis = residuals
    return (), p * (dy - (p * dy).sum(axis.value, keepdims=True))


def softmin_backward(residuals, dy):
    """Computes `dx_j = -p_j (dy_j - sum_k p_k dy_k)`."""
    return (), -softmax_backward(residuals, dy)[1]


def log_softmax_backward(residuals, dy):
    """Computes `dx_j = dy_j - p_j sum_k dy_k` with `p = exp(y)`."""
    y, axis = residuals
    return (), dy - jnp.exp(y) * dy.sum(axis.value, keepdims=True)


def glu_forward(_, x, *, axis):
    """Computes `y = a s` with `s = sigmoid(b)`, where a and b are the halves of x."""
    a, b = jnp.split(x, 2, axis)
    return activations.glu(x, axis=axis), (a, activations.sigmoid(b), Static(axis))


def glu_backward(residuals, dy):
    """Computes `da = s dy` and `db = a s (1 - s) dy`."""
    a, s, axis = residuals
    return (), jnp.concatenate([s * dy, a * (s * (1 - s)) * dy], axis.value)


def Softmax(*, axis: int = -1) -> Layer:
    """Returns a layer that computes `p_k = exp(x_k) / sum_j exp(x_j)`; the gradient is `p (dy - sum_k p_k dy_k)`.

    Losses that take logits compute it themselves, more exactly; the layer is for attention and mixtures.
    """
    return Layer(without_parameters, _of_output(activations.softmax, axis), softmax_backward)


def Softmin(*, axis: int = -1) -> Layer:
    """Returns a layer that computes the softmax p of `-x`; the gradient is `-p (dy - sum_k p_k dy_k)`."""
    return Layer(without_parameters, _of_output(activations.softmin, axis), softmin_backward)


def LogSoftmax(*, axis: int = -1) -> Layer:
    """Returns a layer that computes `y = x - log sum_j exp(x_j)`; the gradient is `dy - exp(y) sum_k dy_k`."""
    return Layer(without_parameters, _of_output(activations.log_softmax, axis), log_softmax_backward)


def GLU(*, axis: int = -1) -> Layer:
    """Returns a layer that computes `activations.glu`: `y = a s` with `s = sigmoid(b)`, for the halves a and b of x.

    Gradient: `da = s dy` and `db = a s (1 - s) dy`.
    """
    return Layer(without_parameters, partial(glu_forward, axis=axis), glu_backward)


def _of_output(f, axis):
    """Returns the forward pass whose residual is its output."""

    def forward(_, x):
        y = f(x, axis=axis)
        return y, (y, Static(axis))

    return forward
