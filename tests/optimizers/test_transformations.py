"""Properties of everything that stands around an optimizer, over the rows of `transformation_references`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from catalog import over
from tolerances import assert_close

from jaxnn.optimizers.chaining import chain
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.verification.optimizer_references import descend
from jaxnn.verification.transformation_references import TRANSFORMATIONS

NEEDS_PARAMS = ("adaptive_grad_clip", "add_decayed_weights", "lookahead", "scale_by_trust_ratio")


def bowl(params):
    """No coordinate like another."""
    return sum(
        jnp.sum((1 + 0.1 * jnp.arange(x.size).reshape(x.shape)) * (x - 0.5) ** 2) for x in jax.tree.leaves(params)
    )


def bowl_start():
    rng = np.random.default_rng(3)
    return {name: jnp.asarray(rng.normal(size=shape)) for name, shape in (("w", (3, 2)), ("b", (4,)))}


def three_of(row, **changes):
    return row.ours(**changes), row.adjustable(**changes), row.theirs(**changes)


@over(TRANSFORMATIONS)
def test_makes_a_difference(row):
    """Each number changes the path; and as a link between Optax's it does what its reference does there."""
    changes = [{}, *({name: value * 0.7} for name, value in row.numbers.items())]
    between = [optax.chain(optax.scale(3.0), o, optax.trace(0.5)) for o in (row.ours(), row.theirs())]
    all_of_them = [*between, chain(optax.scale(3.0), row.theirs(), optax.trace(0.5)), *(row.ours(**c) for c in changes)]
    run = jax.jit(lambda start: [descend(o, bowl, start, steps=7) for o in all_of_them])
    a, b, c, first, *others = run(bowl_start())
    assert_close(a, b)
    assert_close(c, b)
    for change, other in zip(changes[1:], others, strict=True):
        assert any((x != y).any() for x, y in zip(*map(jax.tree.leaves, (first, other)), strict=True)), change


@over(TRANSFORMATIONS)
def test_keeps_dtypes_and_what_cannot_move(row, x64):
    halves = {dtype: jnp.linspace(0.5, 1.5, 3, dtype=dtype) for dtype in ("bfloat16", "float16", "float32", "float64")}
    params = {**halves, "n": jnp.arange(3), "frozen": None, "scalar": jnp.float32(2.0)}
    objective = lambda params: sum(jnp.sum(params[k].astype(float) ** 2) for k in (*halves, "scalar"))

    @jax.jit
    def step(optimizer_params):
        grads = jax.grad(objective, allow_int=True)(optimizer_params)
        results = []
        for optimizer in (row.ours(), row.adjustable()):
            state = optimizer.init(optimizer_params)
            updates, after = optimizer.update(grads, state, optimizer_params, unknown=1.0)
            for x, y in zip(*map(jax.tree.leaves, (state, after)), strict=True):
                assert (x.shape, x.dtype) == (y.shape, y.dtype)
            for k in (*halves, "scalar"):
                assert updates[k].dtype == optimizer_params[k].dtype, k
            results.append(apply_updates(optimizer_params, updates))
        return results

    for new in step(params):
        assert new["n"].tolist() == [0, 1, 2]
        assert new["frozen"] is None
        assert all(np.isfinite(np.asarray(x, float)).all() for x in jax.tree.leaves(new))


@over(TRANSFORMATIONS)
def test_maps_over_parameters_and_numbers(row):
    """A population with a learning rate each walks as its members do alone, by one program."""
    states = [row.adjustable(learning_rate=f * row.numbers["learning_rate"]).init(bowl_start()) for f in (1.0, 0.5)]
    walk = lambda state, start: descend(row.adjustable(), bowl, start, opt_state=state, steps=5)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
    starts = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), bowl_start())
    mapped, alone = jax.jit(lambda *args: (jax.vmap(walk)(*args), jax.lax.map(lambda a: walk(*a), args)))(
        stacked, starts
    )
    assert_close(mapped, alone)


@over(TRANSFORMATIONS)
def test_needs_params_or_not(row):
    optimizer, params = row.ours(), bowl_start()
    state = optimizer.init(params)
    if row.name.startswith(NEEDS_PARAMS):
        with pytest.raises(ValueError, match="needs the parameters; received params=None"):
            optimizer.update(params, state)
    else:
        assert_close(optimizer.update(params, state)[0], optimizer.update(params, state, params)[0])


@over(TRANSFORMATIONS)
def test_survives_no_parameters(row):
    for params in ({}, jnp.float32(2.0)):
        updates, _ = row.ours().update(params, row.ours().init(params), params)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)
