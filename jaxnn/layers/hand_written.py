"""Layers in both directions: pairs (forward, backward), and what JAX and a network need of them.

forward(params, x, **static) -> (y, residuals)          residuals: a pytree of arrays, what backward needs
backward(residuals, dy, **static) -> (dparams, dx)      dparams like params, dx like x
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, NamedTuple

import jax
from jax.experimental.layout import Layout, with_layout_constraint

from jaxnn.signatures import accepted


@jax.tree_util.register_static
@dataclass(frozen=True)
class Static:
    """A leafless node of the residuals: `jit` and `vmap` carry its value in the tree's structure, untraced.

    >>> jax.tree.leaves(Static((2, 3)))
    []
    """

    value: Hashable


def batch_minor(x):
    """The same NHWC array, kept on CPU with the batch as the fastest-varying axis; elsewhere XLA knows better.

    Between convolutions this turns every copy and every elementwise operation into long contiguous runs, whatever the
    number of channels.
    """
    return with_layout_constraint(x, Layout((3, 1, 2, 0))) if jax.default_backend() == "cpu" else x


class Layer(NamedTuple):
    """A layer with its sizes chosen: pure functions that `chain` and `graph` compose into networks, themselves layers.

    `forward` may also take the keywords `train` (bool), `key` (of dropout) and `state` (running statistics).
    """

    init: Callable[..., Any]
    """`(key, x) -> params`, in the shapes and the dtype that inputs like `x` need"""
    forward: Callable[..., tuple[Any, Any]]
    """`(params, x) -> (y, residuals)`"""
    backward: Callable[..., tuple[Any, Any]]
    """`(residuals, dy) -> (dparams, dx)`"""
    init_state: Callable[..., Any] = lambda x: ()
    """`(x) -> state`: what a layer keeps that has no gradient"""
    advance: Callable[[Any, Any], Any] = lambda state, residuals: state
    """`(state, residuals) -> state` after a training step"""


def without_parameters(key, x) -> tuple[()]:
    """The `init` of a layer that has none."""
    return ()


def differentiable(forward, backward):
    """The layer `f(params, x, **static) -> y` whose gradient is `backward`.

    Args:
      forward: `(params, x, **static) -> (y, residuals)`, residuals a pytree of arrays.
      backward: `(residuals, dy, **static) -> (dparams, dx)`; None stands for the gradient of what has none, such as
        integers and keys.

    Forward-mode differentiation (`jax.jvp`) of the result raises; reverse over reverse works.

    >>> forward = lambda w, x: (w * x * x, (w, x))
    >>> backward = lambda residuals, dy: (residuals[1] ** 2 * dy, 2 * residuals[0] * residuals[1] * dy)
    >>> [float(g) for g in jax.grad(differentiable(forward, backward), (0, 1))(3.0, 2.0)]
    [4.0, 12.0]
    """

    @wraps(forward)
    def layer(params, x, **static):
        f = jax.custom_vjp(lambda params, x: forward(params, x, **static)[0])
        f.defvjp(partial(forward, **static), partial(backward, **static))
        return f(params, x)

    return layer


def run(layer: Layer, params, x, *, state=(), train: bool = False, key=None):
    """`(y, residuals)` of a layer, which is given those of the keywords that it takes."""
    return layer.forward(params, x, **accepted(layer.forward, state=state, train=train, key=key))
