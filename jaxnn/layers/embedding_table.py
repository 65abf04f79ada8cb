"""An embedding replaces every integer by a row of a table."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxnn.layers.hand_written import Layer, Static, differentiable


def forward(table, ids):
    """Computes `y[...] = table[ids[...]]`.

    This equals the product of one-hot rows with the table, without the multiplications.
    """
    y = table.at[ids].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
    return y, (ids, Static(table.shape))


def backward(residuals, dy):
    """Computes `dtable[i]`, the sum of `dy` over the positions where `ids` is i."""
    ids, shape = residuals
    dtable = jnp.zeros(shape.value, dy.dtype).at[ids].add(dy, mode="drop", wrap_negative_indices=False)
    return dtable, None


_embed = differentiable(forward, backward)


def embed(
    table: Float[Array, "vocabulary features"], ids: Integer[Array, "*positions"]
) -> Float[Array, "*positions features"]:
    """Returns the rows `table[ids]`; the gradient adds each `dy` to the row that was read and is zero in other rows.

    An id that names no row gives NaN, so that the error is seen, and no gradient; negative ids name no row. Plain
    indexing, `table[ids]`, would use the last row for -1 and the nearest row for an id that is too large.

    Args:
      table: (vocabulary, features).
      ids: integers of any shape.

    Raises:
      ValueError: the ids are not integers.

    >>> embed(jnp.array([[0.0, 1.0], [2.0, 3.0]]), jnp.array([1, 0, 7])).tolist()
    [[2.0, 3.0], [0.0, 1.0], [nan, nan]]
    """
    _check(ids)
    return _embed(table, ids)


def Embedding(vocabulary: int, features: int, *, embedding_init=None, dtype=jnp.float32) -> Layer:
    """Returns a layer that computes `embed`; its parameter is `embedding`, by default with rows of length about 1.

    Other layers take their dtype from their inputs. The ids are integers and name none, so `dtype` is that of the table
    and of what the layer computes.

    >>> layer = Embedding(9, 4, dtype=jnp.bfloat16)
    >>> layer.init(jax.random.key(0), jnp.array([3]))["embedding"].dtype
    dtype(bfloat16)
    """
    initializer = embedding_init or jax.nn.initializers.normal(features**-0.5)

    def init(key, ids):
        return {"embedding": initializer(key, (vocabulary, features), dtype)}

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
