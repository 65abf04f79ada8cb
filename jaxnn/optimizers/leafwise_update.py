"""`leafwise` turns an equation for one parameter into the update of a whole tree."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def leafwise(equation: Callable, grads, *slots, given=()) -> tuple:
    """Maps `equation(g, *s, *given) -> (update, *new_s)` over the floating leaves; returns a tree for each result.

    A half-precision leaf is computed in float32 and rounded once, at the end, so no hyperparameter is ever rounded.
    Every result has the dtype of the value that it replaces. A leaf that is not floating (an integer, or the float0
    that JAX returns as its gradient) has no update, and its slots do not change.

    Args:
      equation: maps the arrays of one leaf, elementwise or not.
      grads: a tree; None in it means a frozen subtree.
      slots: trees of the same structure, such as moments; a slot that is None as a whole stays None.
      given: trees of the same structure that are read only, such as parameters.

    Raises:
      ValueError: a slot has another structure.

    >>> updates, v = leafwise(lambda g, v: (-g, v + g * g), {"w": jnp.float32(3.0)}, {"w": jnp.bfloat16(1.0)})
    >>> updates, v
    ({'w': Array(-3., dtype=float32)}, {'w': Array(10, dtype=bfloat16)})
    """
    leaves, tree = jax.tree.flatten(grads)
    columns = [leaves, *(_leaves_like(tree, slot) for slot in slots)]
    read_only = [_leaves_like(tree, slot) for slot in given]
    rows = [_one(equation, row[: len(columns)], row[len(columns) :]) for row in zip(*columns, *read_only, strict=True)]
    results = zip(*rows, strict=True) if rows else columns
    absent = [False, *(slot is None for slot in slots)]
    return tuple(None if gone else tree.unflatten(column) for gone, column in zip(absent, results, strict=True))


def is_trainable(leaf) -> bool:
    """Returns True if a leaf is floating (or complex), so that a gradient can move it."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def widen(x):
    """Converts half precision to float32; returns anything else as it is.

    >>> widen(jnp.bfloat16(1)).dtype, widen(3)
    (dtype('float32'), 3)
    """
    dtype = None if x is None else jnp.result_type(x)
    is_half = dtype in (jnp.bfloat16, jnp.float16)
    return jnp.asarray(x, jnp.float32) if is_half else x


def filled_like(params, value=0.0, *, dtype=None):
    """Returns a tree like the parameters, filled with `value`; real floating leaves have `dtype` if it is given.

    >>> filled_like({"w": jnp.ones(2, jnp.bfloat16)}, 0.5, dtype="float32")
    {'w': Array([0.5, 0.5], dtype=float32)}
    """
    is_real = lambda p: is_trainable(p) and not jnp.iscomplexobj(p)
    return jax.tree.map(lambda p: jnp.full_like(p, value, dtype=dtype if is_real(p) else None), params)


def sizes_like(params, value=0.0):
    """Returns a tree for squares or absolute values, filled with `value`: a complex leaf has the dtype of its parts.

    >>> sizes_like({"w": jnp.ones(2, "complex64"), "b": jnp.ones(1, "bfloat16")})
    {'b': Array([0], dtype=bfloat16), 'w': Array([0., 0.], dtype=float32)}
    """
    part = lambda p: jnp.finfo(jnp.result_type(p)).dtype if jnp.iscomplexobj(p) else None
    return jax.tree.map(lambda p: jnp.full_like(p, value, dtype=part(p)), params)


def squared(g, weight=1):
    """Computes `weight |g|^2`, a real number: g times its conjugate.

    >>> float(squared(jnp.complex64(3 + 4j), 0.5))
    12.5
    """
    return jnp.real(weight * g * jnp.conj(g))


def refuse_complex(tree, method: str) -> None:
    """Raises ValueError if a leaf is complex, for methods that follow the sign of each number."""
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(tree)):
        raise ValueError(
            f"{method} needs real parameters, because a complex number has no sign; received complex leaves. Optimize "
            "real and imaginary part as two."
        )


def _one(equation, row, given):
    if not is_trainable(row[0]):
        return (_no_update(row[0]), *row[1:])
    results = equation(*(widen(x) for x in (*row, *given)))
    return tuple(None if x is None else y.astype(jnp.result_type(x)) for y, x in zip(results, row, strict=True))


def _no_update(g):
    return g if jnp.result_type(g) == jax.dtypes.float0 else jnp.zeros_like(g)


def _leaves_like(tree, slot):
    if slot is None:
        return [None] * tree.num_leaves
    try:
        return tree.flatten_up_to(slot)
    except ValueError as error:
        raise ValueError(
            f"gradients, parameters and optimizer state must have one structure; received gradients {tree} beside "
            f"{jax.tree.structure(slot)}. Was the state made by `init` of these parameters? ({error})"
        ) from None
