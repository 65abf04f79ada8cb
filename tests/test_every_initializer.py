"""Properties of every initializer in the catalog."""

import jax
import jax.numpy as jnp
import numpy as np
from catalog import INITIALIZERS, over
from rings import first_of
from tolerances import assert_close

CASES = [((3, 2, 4, 8), "float32"), ((7, 5), "bfloat16"), ((7, 5), "float32"), ((5, 7), "float64")]
over_cases = first_of(("shape", "dtype"), CASES, ids=str)


def test_every_row_says_what_it_draws():
    assert [row.name for row in INITIALIZERS if not (row.oracle or row.std)] == []


@over(INITIALIZERS)
@over_cases
def test_keeps_shape_and_dtype(row, shape, dtype, x64):
    ours = row.ours(jax.random.key(3), shape, dtype)
    assert (ours.shape, ours.dtype) == (shape, dtype)


@over(INITIALIZERS)
def test_draws_float32_unless_told(row):
    assert row.ours(jax.random.key(0), (2, 3)).dtype == jnp.float32


@over(INITIALIZERS)
def test_depends_on_the_key_alone_compiled_and_mapped_too(row):
    keys = jax.random.split(jax.random.key(0), 3)
    draw = lambda key: row.ours(key, (4, 5))
    assert_close(jax.jit(jax.vmap(draw))(keys), jnp.stack([draw(key) for key in keys]))
    assert (draw(keys[0]) != draw(keys[1])).any() == (row.std is not None)


@over(INITIALIZERS)
def test_survives_a_fan_in_of_one(row):
    assert np.isfinite(row.ours(jax.random.key(0), (1, 1))).all()
