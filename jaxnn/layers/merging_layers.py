"""Layers that only move numbers: a batch of images made flat, and branches that join."""

from functools import reduce
from itertools import accumulate, pairwise

import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, Static, without_parameters


def Flatten() -> Layer:
    """(batch, ...) -> (batch, features): what a dense layer takes.

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
    """`y = x_1 + x_2 + ...` of a tuple of arrays of one shape; every `dx_i = dy`.

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
    """The arrays of a tuple one after another along `axis`; every `dx_i` is its own part of dy.

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
