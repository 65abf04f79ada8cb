"""Parameters become one vector here, for methods that need inner products and matrices over all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxnn.optimizers.leafwise_update import is_trainable
from jaxnn.signatures import accepted


class FlatParameters(NamedTuple):
    """Holds the n numbers of all floating leaves, in float32 or wider, and the functions that convert both ways."""

    w: jax.Array
    """the vector, of shape (n,)"""
    vector: Callable[[Any], jax.Array]
    """maps a tree like the parameters, such as their gradient, to (n,)"""
    params: Callable[[jax.Array], Any]
    """maps (n,) to parameters: each leaf in its dtype; leaves that cannot move (integers) keep their values"""
    updates: Callable[[jax.Array], Any]
    """maps (n,) to updates: each leaf in its dtype; leaves that cannot move get 0"""


def flatten_parameters(params) -> FlatParameters:
    """Joins the floating leaves of a tree, one after the other, into one vector.

    Raises:
      ValueError: `params` is None, or has complex leaves; later, `vector` gets a tree of another structure.

    >>> flat = flatten_parameters({"bias": jnp.array([1.0]), "kernel": jnp.array([[2.0, 3.0]]), "size": 4})
    >>> flat.w.tolist()
    [1.0, 2.0, 3.0]
    >>> flat.params(10 * flat.w)
    {'bias': Array([10.], dtype=float32), 'kernel': Array([[20., 30.]], dtype=float32), 'size': 4}
    """
    if params is None:
        raise ValueError(
            "`params` must be the parameters where the gradient was taken; received None. "
            "Call `update(grads, state, params, ...)`."
        )
    leaves, tree = jax.tree.flatten(params)
    if any(jnp.iscomplexobj(leaf) for leaf in leaves):
        raise ValueError("parameters must be real; received complex leaves. Optimize real and imaginary part as two.")
    moves = [is_trainable(leaf) for leaf in leaves]
    narrow, split = ravel_pytree([leaf for leaf, free in zip(leaves, moves, strict=True) if free])
    dtype = jnp.promote_types(narrow.dtype, jnp.float32)

    def vector(other):
        row, structure = jax.tree.flatten(other)
        if structure != tree:
            raise ValueError(
                f"gradients and parameters must have one structure; received {structure} beside {tree}. "
                "Was the gradient taken of other parameters?"
            )
        return ravel_pytree([x for x, free in zip(row, moves, strict=True) if free])[0].astype(dtype)

    def fill(v, fixed):
        parts = iter(split(v.astype(narrow.dtype)))
        return tree.unflatten(next(parts) if free else x for x, free in zip(fixed, moves, strict=True))

    still = [leaf if free else jnp.zeros_like(leaf) for leaf, free in zip(leaves, moves, strict=True)]
    return FlatParameters(narrow.astype(dtype), vector, lambda v: fill(v, leaves), lambda v: fill(v, still))


def flat_objective(value_fn: Callable, flat: FlatParameters, **extra) -> Callable[[jax.Array], jax.Array]:
    """Returns `value_fn` as a function of the vector.

    It gets those of the extra arguments that its signature names, such as a batch.
    """
    given = accepted(value_fn, **extra)

    def f(w):
        value = jnp.asarray(value_fn(flat.params(w), **given))
        if value.shape != ():
            raise ValueError(f"`value_fn` must return a scalar; received shape {value.shape}. Take the mean?")
        return value.astype(w.dtype)

    return f


def require(name: str, value, *, use: str):
    """Returns the extra argument `name` of an update, or raises ValueError if it is missing."""
    if value is None:
        raise ValueError(
            f"`{name}` must be given, {use}; received None. Call `update(grads, state, params, {name}=...)`."
        )
    return value


def dot(x, y):
    """Computes the inner product in full precision on every device."""
    return jnp.vdot(x, y, precision="highest")
