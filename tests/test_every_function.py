"""Properties of every activation, loss, metric, preprocessing and layer in the catalog."""

import catalog
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import FUNCTIONS, over
from tolerances import assert_close, directional_error

from jaxnn.verification.comparison import float_part, pullback

DTYPES = ("bfloat16", "float32", "float64")
GRADED = [row for row in FUNCTIONS if row not in (*catalog.METRICS, *catalog.PREPROCESSING)]
SMOOTH = [row for row in GRADED if row.smooth]


def arguments_of(row, *, batch=5, dtype="float32", seed=0):
    arrays = row.arguments(np.random.default_rng(seed), batch)
    return tuple(jnp.asarray(a, dtype if a.dtype.kind == "f" else None) for a in arrays)


@over(FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_agrees_with_its_oracle_and_keeps_dtype(row, dtype, x64):
    arguments = arguments_of(row, dtype=dtype)
    ours, theirs = row.ours(*arguments), row.oracle(*arguments)
    assert ours.dtype == (dtype if row.keeps_dtype else "float32")
    assert_close(ours, theirs)


@over(FUNCTIONS)
def test_compiles_once(row):
    traces = []
    counted = jax.jit(lambda *arguments: (traces.append(1), row.ours(*arguments))[1])
    for seed in range(3):
        arguments = arguments_of(row, seed=seed)
        assert_close(counted(*arguments), row.ours(*arguments))
    assert len(traces) == 1


@over(FUNCTIONS)
def test_works_under_vmap(row):
    members = [arguments_of(row, seed=seed) for seed in range(3)]
    mapped = jax.jit(jax.vmap(row.ours))(*(jnp.stack(column) for column in zip(*members, strict=True)))
    assert_close(mapped, jnp.stack([row.ours(*arguments) for arguments in members]))


@over([row for row in FUNCTIONS if row.batched])
def test_a_batch_of_one_is_a_row_of_a_batch(row):
    arguments = arguments_of(row, batch=4)
    alone = [a[2:3] if batched else a for a, batched in zip(arguments, row.batched, strict=True)]
    assert_close(row.ours(*alone), row.ours(*arguments)[2:3])


@over([row for row in FUNCTIONS if row.rejects])
def test_rejects_bad_shapes(row):
    arguments, message = row.rejects
    with pytest.raises((ValueError, TypeError), match=message):  # jaxtyping's errors are TypeErrors
        row.ours(*(jnp.asarray(a, jnp.float32 if a.dtype.kind == "f" else jnp.int32) for a in arguments))


@over(SMOOTH)
def test_gradient_is_that_of_central_differences(row, x64):
    arguments = arguments_of(row, dtype="float64")
    of_floats, floats = float_part(row.ours, arguments)
    assert directional_error(of_floats, floats) < 1e-6


@over([row for row in FUNCTIONS if row.twin_gradient])
def test_gradient_is_that_of_its_oracle(row, x64):
    """For any cotangent: what `jax.vjp` makes of ours, hand-written or not, and of theirs."""
    arguments = arguments_of(row, dtype="float64")
    assert_close(pullback(row.ours, arguments), pullback(row.oracle, arguments), rtol=1e-10)


@over([row for row in FUNCTIONS if row.extremes])
@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_inputs_never_give_nan(row, dtype, x64):
    arguments = arguments_of(row, dtype=dtype)
    for extreme in (1e4, -1e4, np.inf, -np.inf):
        x = jnp.full_like(arguments[0], extreme).at[0].set(arguments[0][0])
        value, pull = jax.vjp(row.ours, x, *arguments[1:])
        assert not jnp.isnan(value).any(), f"value at {extreme}"
        assert not jnp.isnan(pull(jnp.ones_like(value))[0]).any(), f"gradient at {extreme}"
