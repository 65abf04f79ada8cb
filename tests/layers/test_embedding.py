import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.layers.embedding_table import Embedding, embed

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def test_repeated_ids_add_up():
    gradient = jax.grad(lambda table: (embed(table, jnp.array([1, 1, 3])) * jnp.array([[1.0], [10.0], [100.0]])).sum())
    assert gradient(jnp.zeros((4, 1))).tolist() == [[0], [11], [0], [100]]


def test_ids_that_name_no_row_are_seen_and_teach_nothing():
    table, ids = jnp.ones((3, 2)), jnp.array([-1, 3, 2, -4])
    y, pull = jax.vjp(lambda table: embed(table, ids), table)
    assert np.isnan(y).all(axis=1).tolist() == [True, True, False, True]
    assert pull(jnp.ones_like(y))[0].tolist() == [[0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32])
def test_ids_of_any_integer_dtype(dtype):
    table = jnp.arange(6.0).reshape(3, 2)
    assert_close(embed(table, jnp.array([[2, 0]], dtype)), table[jnp.array([[2, 0]])])


def test_refuses_ids_that_are_no_integers():
    layer = Embedding(3, 2)
    params = layer.init(jax.random.key(0), jnp.zeros(1, jnp.int32))
    with pytest.raises(ValueError, match="`ids` must be integers; received float32"):
        layer.forward(params, jnp.zeros(3))


def test_rows_start_with_length_about_one():
    rows = Embedding(2000, 64).init(jax.random.key(0), jnp.zeros(1, jnp.int32))["embedding"]
    assert abs(float((rows**2).sum(axis=1).mean()) - 1) < 0.02
