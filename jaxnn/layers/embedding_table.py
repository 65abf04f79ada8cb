"""The embedding: a row of a table for every integer."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxnn.layers.hand_written import Layer, Static, differentiable


def forward(table, ids):
    """`y[...] = table[ids[...]]`: the product with one-hot rows, not multiplied out."""
    y = table.at[ids].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
    return y, (ids, Static(table.shape))


def backward(residuals, dy):
    """`dtable[i]` sums `dy` over the places where `ids` is i."""
    ids, shape = residuals
    dtable = jnp.zeros(shape.value, dy.dtype).at[ids].add(dy, mode="drop", wrap_negative_indices=False)
    return dtable, None


_embed = differentiable(forward, backward)


def embed(
    table: Float[Array, "vocabulary features"], ids: Integer[Array, "*positions"]
) -> Float[Array, "*positions features"]:
    """`table[ids]`; its gradient adds every `dy` to the row that it came from, and rows not named get zeros.

    An id that names no row, a negative one too, gives NaN (so that it is seen: `table[ids]` would take the last row or
    the nearest) and no gradient.

    Args:
      table: (vocabulary, features).
      ids: integers of any shape.

    Raises:
      ValueError: ids that are no integers.

    >>> embed(jnp.array([[0.0, 1.0], [2.0, 3.0]]), jnp.array([1, 0, 7])).tolist()
    [[2.0, 3.0], [0.0, 1.0], [nan, nan]]
    """
    _check(ids)
    return _embed(table, ids)


def Embedding(vocabulary: int, features: int, *, embedding_init=None) -> Layer:
    """`embed` as a layer of a network; its parameter is `embedding`, rows of length about 1 unless given otherwise."""
    initializer = embedding_init or jax.nn.initializers.normal(features**-0.5)

    def init(key, ids):
        return {"embedding": initializer(key, (vocabulary, features), jnp.float32)}

    def checked(params, ids):
        _check(ids)
        return forward(params["embedding"], ids)

    def named_backward(residuals, dy):
        dtable, _ = backward(residuals, dy)
        return {"embedding": dtable}, None

    return Layer(init, checked, named_backward)


def _check(ids):
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise ValueError(f"`ids` must be integers; received {ids.dtype}. Take ids.astype(int)?")
