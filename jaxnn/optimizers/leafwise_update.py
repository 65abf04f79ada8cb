"""From an equation for one parameter to the update of a whole tree."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def leafwise(equation: Callable, grads, *slots) -> tuple:
    """Maps `equation(g, *s) -> (update, *new_s)` over the floating leaves; returns a tree for each result.

    A half-precision leaf is computed in float32 and rounded once, at the end: no hyperparameter is ever rounded. Every
    result takes the dtype of what it replaces. What is not floating (integers, and the float0 that JAX gives as their
    gradient) has no update, and its slots stay.

    Args:
      equation: of arrays of one leaf, elementwise or not.
      grads: a tree; None in it stands for a frozen subtree.
      slots: trees of the same structure: moments, parameters.

    Raises:
      ValueError: a slot of another structure.

    >>> updates, v = leafwise(lambda g, v: (-g, v + g * g), {"w": jnp.float32(3.0)}, {"w": jnp.bfloat16(1.0)})
    >>> updates, v
    ({'w': Array(-3., dtype=float32)}, {'w': Array(10, dtype=bfloat16)})
    """
    leaves, tree = jax.tree.flatten(grads)
    columns = [leaves, *(_leaves_like(tree, slot) for slot in slots)]
    rows = [_one(equation, *row) for row in zip(*columns, strict=True)]
    return tuple(tree.unflatten(column) for column in (zip(*rows, strict=True) if rows else columns))


def is_trainable(leaf) -> bool:
    """Whether a leaf is floating (or complex): what can move by a gradient."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def _one(equation, g, *slots):
    if not is_trainable(g):
        return (_no_update(g), *slots)
    results = equation(*(_wide(x) for x in (g, *slots)))
    return tuple(result.astype(jnp.result_type(x)) for result, x in zip(results, (g, *slots), strict=True))


def _wide(x):
    dtype = jnp.result_type(x)
    return jnp.asarray(x, jnp.promote_types(dtype, jnp.float32)) if jnp.issubdtype(dtype, jnp.floating) else x


def _no_update(g):
    return g if jnp.result_type(g) == jax.dtypes.float0 else jnp.zeros_like(g)


def _leaves_like(tree, slot):
    try:
        return tree.flatten_up_to(slot)
    except ValueError as error:
        raise ValueError(
            f"gradients, parameters and optimizer state must have one structure; received gradients {tree} beside "
            f"{jax.tree.structure(slot)}. Was the state made by `init` of these parameters? ({error})"
        ) from None
