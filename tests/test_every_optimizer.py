"""Properties of every optimizer in the catalog, above all: step by step the path of its Optax twin."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from catalog import OPTIMIZERS, SCHEDULES, over
from tolerances import assert_close

from jaxnn.optimizers import apply_updates
from jaxnn.verification.optimizer_twins import PROBLEMS, STEPS, descend, rosenbrock, small_mlp

ADJUSTABLE = pytest.mark.parametrize("form", ["ours", "adjustable"])


def starts(dtype):
    return {problem: jax.tree.map(lambda x: jnp.asarray(x, dtype), start) for problem, start in PROBLEMS.items()}


def paths(optimizer, dtype="float32"):
    problems = starts(dtype)
    run = jax.jit(lambda params: [descend(optimizer, *pair) for pair in zip(problems, params, strict=True)])
    names = [problem.__name__ for problem in problems]
    return dict(zip(names, run(list(problems.values())), strict=True))


@over(OPTIMIZERS)
@ADJUSTABLE
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_walks_the_path_of_its_optax_twin(row, form, dtype, x64):
    rounded = {k: float(np.float32(v)) for k, v in row.numbers.items()}  # an adjustable number is a float32
    ours, theirs = paths(getattr(row, form)(**rounded), dtype), paths(row.theirs(**rounded), dtype)
    for problem, path in ours.items():
        final = jax.tree.map(lambda x: x[-1], path)
        moved = jax.tree.map(lambda x: jnp.abs(x[-1] - x[0]).max(), path)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(final)), problem
        assert max(jax.tree.leaves(moved)) > 1e-2, f"{problem} went nowhere"
        assert_close(path, theirs[problem])


@over(OPTIMIZERS)
@ADJUSTABLE
def test_a_host_loop_of_compiled_steps_walks_it_too(row, form):
    optimizer, start = getattr(row, form)(), starts("float32")[rosenbrock]
    in_scan = descend(optimizer, rosenbrock, start, steps=10)
    traces, params, state = [], start, optimizer.init(start)

    @jax.jit
    def step(params, state):
        traces.append(1)
        updates, state = optimizer.update(jax.grad(rosenbrock)(params), state, params)
        return apply_updates(params, updates), state

    for _ in range(10):
        params, state = step(params, state)
    assert len(traces) == 1
    assert_close(params, jax.tree.map(lambda x: x[-1], in_scan))


@over(OPTIMIZERS)
@ADJUSTABLE
@pytest.mark.parametrize(
    "schedule", [s for s in SCHEDULES if s.name in ("linear", "cosine", "one_cycle")], ids=lambda s: s.name
)
def test_follows_a_schedule_as_optax_does(row, form, schedule):
    """The largest rate is the row's own; the step that the schedule is given is counted from 0 in both."""
    peak = float(jax.vmap(schedule.ours)(jnp.arange(STEPS)).max())
    factor = row.numbers["learning_rate"] / peak
    ours = jax.tree_util.Partial(_scaled, schedule.ours, factor)
    theirs = lambda step: factor * schedule.oracle(step)  # noqa: E731
    start = starts("float32")[small_mlp]
    twins = getattr(row, form)(learning_rate=ours), row.theirs(learning_rate=theirs)
    assert_close(*jax.jit(lambda start: [descend(twin, small_mlp, start) for twin in twins])(start))


def _scaled(schedule, factor, step):
    return factor * schedule(step)


@over(OPTIMIZERS)
@ADJUSTABLE
def test_chains_with_optax_both_ways(row, form):
    ours, theirs, start = getattr(row, form)(), row.theirs(), starts("float32")[small_mlp]
    before = (optax.clip_by_global_norm(0.1), optax.add_decayed_weights(0.1))
    chains = [optax.chain(*before, optimizer, optax.scale(0.5), optax.trace(0.5)) for optimizer in (ours, theirs)]
    chains += [optax.chain(ours, theirs, ours), optax.chain(theirs, theirs, theirs)]
    a, b, c, d = jax.jit(lambda start: [descend(chain, small_mlp, start, steps=20) for chain in chains])(start)
    assert_close(a, b)
    assert_close(c, d)


@over(OPTIMIZERS)
def test_vmap_over_each_hyperparameter(row):
    """One program, mapped; each member walks the path of an optimizer made with that number alone."""
    start, factors = starts("float32")[small_mlp], (0.5, 0.9)
    changes = [{}, *({name: row.numbers[name] * factor} for name in row.numbers for factor in factors)]
    states = [row.adjustable(**change).init(start) for change in changes]
    run = jax.jit(lambda state: descend(row.adjustable(), small_mlp, start, opt_state=state, steps=20))
    mapped = jax.vmap(run)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
    for i, (change, state) in enumerate(zip(changes, states, strict=True)):
        member = jax.tree.map(lambda x: x[i], mapped)  # noqa: B023
        assert_close(member, run(state))
        if change and "eps" not in change:  # eps is too small to be seen
            assert (member["w1"] != mapped["w1"][0]).any(), f"{change} makes no difference"
    assert run._cache_size() == 1


@over(OPTIMIZERS)
@ADJUSTABLE
def test_keeps_dtypes_of_a_mixed_tree(row, form, x64):
    params = {dtype: jnp.ones(3, dtype) for dtype in ("bfloat16", "float32", "float64")}
    optimizer = getattr(row, form)()
    state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(params, state, params)
    assert {dtype: str(x.dtype) for dtype, x in updates.items()} == {dtype: dtype for dtype in params}
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), after)
    expected = row.theirs().update(params, row.theirs().init(params), params)[0]
    for dtype in params:
        assert_close(updates[dtype], expected[dtype], rtol=1e-6 if (form, dtype) == ("adjustable", "float64") else None)


@over(OPTIMIZERS)
@ADJUSTABLE
def test_survives_scalars_single_elements_and_no_parameters(row, form):
    optimizer = getattr(row, form)()
    for params in (jnp.float32(2.0), {"w": jnp.ones(1)}, {}):
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)


@over(OPTIMIZERS)
@ADJUSTABLE
def test_update_needs_no_params_and_passes_over_extra_arguments(row, form):
    optimizer, grads = getattr(row, form)(), jnp.ones(2)
    with_extra, _ = optimizer.update(grads, optimizer.init(grads), grads, value=1.0)
    assert_close(optimizer.update(grads, optimizer.init(grads))[0], with_extra)


@over(OPTIMIZERS)
def test_vmap_over_the_parameters(row):
    start = starts("float32")[small_mlp]
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), start)
    run = jax.jit(lambda params: descend(row.ours(), small_mlp, params, steps=3))
    assert_close(jax.tree.map(lambda x: x[0], jax.vmap(run)(stacked)), run(start))


@over(OPTIMIZERS)
def test_hyperparameters_are_documented(row):
    doc = inspect.getdoc(row.factory)
    for name in inspect.signature(row.factory).parameters:
        assert name in doc, f"{row.factory.__name__} does not explain {name}"


def test_apply_updates_keeps_the_parameters_dtype():
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    new = apply_updates(params, {"w": jnp.full(2, -0.5, jnp.float32)})
    assert new["w"].dtype == jnp.bfloat16
    assert new["w"].tolist() == [0.5, 0.5]
