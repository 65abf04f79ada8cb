"""A hand-written layer is a pair (forward, backward); this module connects such pairs to JAX and to networks.

forward(params, x, **static) -> (y, residuals)          residuals: a pytree of the arrays that backward needs
backward(residuals, dy, **static) -> (dparams, dx)      dparams has the structure of params, dx that of x
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from jaxnn.signatures import accepted


@jax.tree_util.register_static
@dataclass(frozen=True)
class Static:
    """Holds a static value in the residuals, as a tree node without leaves.

    `jit` and `vmap` carry the value in the structure of the tree and do not trace it.

    >>> jax.tree.leaves(Static((2, 3)))
    []
    """

    value: Hashable


def batch_minor(x):
    """Returns the same NHWC array, stored on CPU with the batch as the fastest-varying axis.

    Between convolutions this turns every copy and every elementwise operation into long contiguous runs, for any number
    of channels. On other platforms the function leaves the layout to XLA.
    """
    return with_layout_constraint(x, Layout((3, 1, 2, 0))) if jax.default_backend() == "cpu" else x


class Layer(NamedTuple):
    """Holds the pure functions of a layer whose sizes are chosen.

    `chain` and `graph` compose layers into networks, which are layers themselves. `forward` may also accept the
    keywords `train` (bool), `key` (for dropout) and `state` (running statistics).
    """

    init: Callable[..., Any]
    """Computes `(key, x) -> params`, with the shapes and the dtype that inputs like `x` need."""
    forward: Callable[..., tuple[Any, Any]]
    """Computes `(params, x) -> (y, residuals)`."""
    backward: Callable[..., tuple[Any, Any]]
    """Computes `(residuals, dy) -> (dparams, dx)`."""
    init_state: Callable[..., Any] = lambda x: ()
    """Computes `(x) -> state`, the values that a layer keeps and that have no gradient."""
    advance: Callable[[Any, Any], Any] = lambda state, residuals: state
    """Computes `(state, residuals) -> state` after a training step."""


def check_floats(x):
    """Raises a ValueError if `x` holds integers, to which the result of the layer would be rounded."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise ValueError(f"`x` must be floats; received {x.dtype}. Take x.astype(float)?")


def without_parameters(key, x) -> tuple[()]:
    """Returns `()`; this is the `init` of a layer that has no parameters."""
    return ()


def differentiable(forward, backward):
    """Returns the function `f(params, x, **static) -> y` whose gradient is `backward`.

    Args:
      forward: `(params, x, **static) -> (y, residuals)`, where residuals are a pytree of arrays.
      backward: `(residuals, dy, **static) -> (dparams, dx)`. None is the gradient of an argument that has no gradient,
        such as integers and keys.

    Forward-mode differentiation (`jax.jvp`) of the result raises an error; reverse over reverse works.

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
    """Returns `(y, residuals)` of a layer; its `forward` receives only those keywords that it accepts."""
    return layer.forward(params, x, **accepted(layer.forward, state=state, train=train, key=key))
