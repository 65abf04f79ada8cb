"""Properties of every schedule in the catalog."""

import jax
import jax.numpy as jnp
import numpy as np
from catalog import SCHEDULES, over
from tolerances import assert_close

ENDLESS = ("exponential", "step_decay", "inverse_time", "warm_restarts", "cyclic", "warmup, then a staircase")


def steps_of(row):
    return jnp.arange(row.steps + row.steps // 4)


@over(SCHEDULES)
def test_takes_integers_and_traced_steps_alike(row):
    traced = jax.jit(row.ours)(jnp.int32(7))
    assert traced.dtype == jnp.float32
    assert_close(traced, row.ours(7))


@over(SCHEDULES)
def test_is_a_pytree_of_its_numbers(row, traced_once):
    """So a new peak is a new argument, not a new program; `vmap` and `grad` reach it."""
    value = jax.jit(traced_once(lambda schedule, step: schedule(step)))
    as_arrays = jax.tree.map(jnp.float32, row.ours)
    doubled = jax.tree.map(lambda x: 2 * x, as_arrays)
    assert_close(value(as_arrays, 5), row.ours(5))
    assert_close(value(doubled, 5), doubled(5))
    many = jax.tree.map(lambda *leaves: jnp.stack(leaves), as_arrays, doubled)
    assert_close(jax.vmap(lambda schedule: schedule(5))(many), jnp.stack([row.ours(5), doubled(5)]))
    gradient = jax.grad(lambda schedule: schedule(5.0))(as_arrays)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(gradient))
    assert any(float(leaf) != 0 for leaf in jax.tree.leaves(gradient))


@over([row for row in SCHEDULES if not row.name.startswith(ENDLESS)])
def test_stays_where_it_ends(row):
    assert_close(row.ours(row.steps), row.ours(10 * row.steps))


@over(SCHEDULES)
def test_runs_inside_a_scan(row):
    last, values = jax.lax.scan(lambda step, _: (step + 1, row.ours(step)), jnp.int32(0), length=row.steps)
    assert (int(last), values.dtype) == (row.steps, jnp.float32)
    assert_close(values, jax.vmap(row.ours)(jnp.arange(row.steps)))
