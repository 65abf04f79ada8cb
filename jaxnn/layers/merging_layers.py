"""These layers have no parameters: they flatten a batch of images, or join branches."""

from functools import reduce
from itertools import accumulate, pairwise

import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, Static, without_parameters


def Flatten() -> Layer:
    """Returns a layer that reshapes (batch, ...) to (batch, features), the shape that a dense layer accepts.

    >>> y, residuals = Flatten().forward((), jnp.zeros((2, 3, 4)))
    >>> y.shape, Flatten().backward(residuals, y)[1].shape
    ((2, 12), (2, 3, 4))
    """

    def forward(params, x):
        return x.reshape(x.shape[0], -1), Static(x.shape)

    def backward(shape, dy):
        return (), dy.reshape(shape.value)

    return Layer(without_parameters, forward, backward)


def Add() -> Layer:
    """Returns a layer that computes `y = x_1 + x_2 + ...` from a tuple of arrays of one shape; every `dx_i = dy`.

    >>> y, residuals = Add().forward((), (jnp.ones(2), jnp.array([1.0, 2.0])))
    >>> y.tolist(), [dx.tolist() for dx in Add().backward(residuals, y)[1]]
    ([2.0, 3.0], [[2.0, 3.0], [2.0, 3.0]])
    """

    def forward(params, x):
        shapes = [branch.shape for branch in x]
        if len({*shapes}) != 1:
            raise ValueError(
                f"the arrays of `x` must have one shape; received {shapes}. Project the shortcut, or Concatenate them?"
            )
        return reduce(jnp.add, x), Static(len(x))

    def backward(count, dy):
        return (), (dy,) * count.value

    return Layer(without_parameters, forward, backward)


def Concatenate(*, axis: int = -1) -> Layer:
    """Returns a layer that joins the arrays of a tuple along `axis`; every `dx_i` is the part of dy for x_i.

    >>> y, residuals = Concatenate().forward((), (jnp.ones((1, 2)), jnp.zeros((1, 1))))
    >>> y.tolist(), [dx.tolist() for dx in Concatenate().backward(residuals, y)[1]]
    ([[1.0, 1.0, 0.0]], [[[1.0, 1.0]], [[0.0]]])
    """

    def forward(params, x):
        shapes = [branch.shape for branch in x]
        others = {(*shape[: axis % len(shape)], *shape[axis % len(shape) + 1 :]) for shape in shapes}
        if len(others) != 1:
            raise ValueError(f"the arrays of `x` may differ along axis {axis} only; received shapes {shapes}.")
        return jnp.concatenate(x, axis), Static(tuple(shape[axis] for shape in shapes))

    def backward(sizes, dy):
        ends = pairwise(accumulate(sizes.value, initial=0))
        return (), tuple(lax.slice_in_dim(dy, start, end, axis=axis % dy.ndim) for start, end in ends)

    return Layer(without_parameters, forward, backward)
