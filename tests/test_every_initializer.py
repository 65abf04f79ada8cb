"""Properties of every initializer in the catalog."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import INITIALIZERS, over
from tolerances import assert_close


@over(INITIALIZERS)
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((7, 5), "bfloat16"), ((7, 5), "float32"), ((7, 5), "float64"), ((3, 2, 4, 8), "float32")],
    ids=str,
)
def test_agrees_with_its_oracle_and_keeps_dtype(row, shape, dtype, x64):
    key = jax.random.key(3)
    ours, theirs = row.ours(key, shape, dtype), row.oracle(shape)(key, shape, dtype)
    assert ours.dtype == dtype
    assert_close(ours, theirs)


@over(INITIALIZERS)
def test_draws_float32_unless_told(row):
    assert row.ours(jax.random.key(0), (2, 3)).dtype == jnp.float32


@over(INITIALIZERS)
def test_depends_on_the_key_alone_compiled_and_mapped_too(row):
    keys = jax.random.split(jax.random.key(0), 3)
    draw = lambda key: row.ours(key, (4, 5))  # noqa: E731
    assert_close(jax.jit(jax.vmap(draw))(keys), jnp.stack([draw(key) for key in keys]))
    assert (draw(keys[0]) != draw(keys[1])).any()


@over(INITIALIZERS)
def test_survives_a_fan_in_of_one(row):
    assert np.isfinite(row.ours(jax.random.key(0), (1, 1))).all()
