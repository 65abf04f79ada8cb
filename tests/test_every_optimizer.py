"""Properties of every optimizer in the catalog, above all: step by step the path of its counterpart in Optax."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from catalog import OPTIMIZERS, SCHEDULES, over
from rings import first_of
from tolerances import assert_close

from jaxnn.optimizers import apply_updates
from jaxnn.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from jaxnn.optimizers.adam_family import adam, adamw, nadam, nadamw
from jaxnn.optimizers.adam_variants import adamax, adamaxw, amsgrad, radam
from jaxnn.optimizers.lars_and_lamb import lamb, lars
from jaxnn.optimizers.momentum_and_nesterov import sgd
from jaxnn.optimizers.muon_updates import muon
from jaxnn.optimizers.sign_methods import lion, rprop, sign_sgd
from jaxnn.verification.optimizer_references import descend

COVERS = {"optimizers.apply_updates"}

WITHOUT_SCHEDULE = {rprop}
compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiling is what costs here


def bowl(params):
    """Cheap to compile, and no coordinate like another."""
    weights = lambda x: 1 + 0.1 * jnp.arange(x.size).reshape(x.shape)
    return sum(jnp.sum(weights(x) * (x - 0.5) ** 2) for x in jax.tree.leaves(params))


def washboard(params):
    """Gradients whose signs change within a few small steps, or never: every hyperparameter has its say."""
    waves = lambda x: 1000 * 0.2 ** jnp.arange(x.size).reshape(x.shape)
    return sum(jnp.sum(jnp.cos(waves(x) * x) / waves(x)) for x in jax.tree.leaves(params))


def small_start():
    rng = np.random.default_rng(3)
    return {name: jnp.asarray(rng.normal(size=shape)) for name, shape in (("w", (3, 2)), ("b", (4,)))}


def three_of(row, **changes):
    return row.ours(**changes), row.adjustable(**changes), row.theirs(**changes)


def kinds(tree):
    return jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)


@over(OPTIMIZERS)
@first_of("form", ["adjustable", "ours"])
def test_traces_once_and_resumes_bit_for_bit(row, form, traced_once):
    optimizer, start = getattr(row, form)(), small_start()

    @compiled
    @traced_once
    def step(params, state):
        updates, state = optimizer.update(jax.grad(bowl)(params), state, params)
        return apply_updates(params, updates), state

    def walk(carry, steps):
        for _ in range(steps):
            carry = step(*carry)
        return carry

    halfway = walk((start, optimizer.init(start)), 3)
    restored = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), halfway)  # through the host, as a checkpoint goes
    there, again = walk(halfway, 3), walk(restored, 3)
    assert jax.tree.structure(there) == jax.tree.structure(again)
    jax.tree.map(np.testing.assert_array_equal, there, again)
    assert (there[0]["w"] != halfway[0]["w"]).any()


@pytest.mark.full
@over([row for row in OPTIMIZERS if row.factory not in WITHOUT_SCHEDULE])
def test_follows_a_schedule_as_its_reference_does(row):
    """The largest rate is the row's own; the step that the schedule is given is counted from 0 in both."""
    schedule = next(s for s in SCHEDULES if s.name == "one_cycle")
    factor = row.numbers["learning_rate"] / float(jax.vmap(schedule.ours)(jnp.arange(schedule.steps)).max())
    ours = jax.tree_util.Partial(_scaled, schedule.ours, factor)
    theirs = lambda step: factor * schedule.oracle(step)
    references = row.ours(learning_rate=ours), row.adjustable(learning_rate=ours), row.theirs(learning_rate=theirs)
    a, b, c = compiled(lambda start: [descend(o, bowl, start, steps=30) for o in references])(small_start())
    assert_close(a, c)
    assert_close(b, c)


def _scaled(schedule, factor, step):
    return factor * schedule(step)


@pytest.mark.full
@over(OPTIMIZERS)
def test_chains_with_optax_both_ways(row):
    """Links of Optax stand before, between and behind ours, plain and adjustable."""
    ours, adjustable, theirs = three_of(row)
    before = optax.clip_by_global_norm(1.0), optax.add_decayed_weights(0.1)
    chains = [
        optax.chain(*before, a, optax.scale(-30.0), b, optax.trace(0.5)) for a, b in [(ours, adjustable), (theirs,) * 2]
    ]
    assert_close(*compiled(lambda start: [descend(chain, bowl, start, steps=8) for chain in chains])(small_start()))


@pytest.mark.full
@over(OPTIMIZERS)
def test_vmap_over_each_hyperparameter(row, x64):
    """One program, mapped; each member walks the path of an optimizer made with that number alone."""
    start = small_start()
    changes = [{}, *({name: value * 0.9 or 0.01} for name, value in row.numbers.items())]
    states = [row.adjustable(**change).init(start) for change in changes]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    run = lambda state: descend(row.adjustable(), washboard, start, opt_state=state, steps=15)
    mapped, alone = compiled(lambda states: (jax.vmap(run)(states), jax.lax.map(run, states)))(stacked)
    assert_close(mapped, alone, rtol=1e-10)  # the washboard doubles a rounding error in every step
    for i, change in enumerate(changes[1:], start=1):
        assert any((x[i] != x[0]).any() for x in jax.tree.leaves(alone)), f"{change} makes no difference"


@pytest.mark.full
@over(OPTIMIZERS)
def test_vmap_and_pmap_over_the_parameters(row):
    """A stack of parameters, on one device and on two: each walks as it does alone."""
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), small_start())
    run = lambda params: descend(row.ours(), bowl, params, steps=3)
    mapped, alone = compiled(lambda stacked: (jax.vmap(run)(stacked), jax.lax.map(run, stacked)))(stacked)
    assert_close(mapped, alone)
    assert_close(jax.pmap(run, devices=jax.devices()[:2])(stacked), alone)


@over(OPTIMIZERS)
def test_keeps_dtypes_of_a_mixed_tree(row, x64):
    """Half precision is computed in float32: the reference, less careful, is given float32."""
    params = {dtype: jnp.linspace(0.5, 1.5, 3, dtype=dtype) for dtype in ("bfloat16", "float16", "float32", "float64")}
    wide = {dtype: x.astype(jnp.promote_types(dtype, "float32")) for dtype, x in params.items()}
    ours, adjustable, theirs = three_of(row)
    first = lambda o, params: o.update(params, o.init(params), params)
    *results, (expected, _) = compiled(lambda: (first(ours, params), first(adjustable, params), first(theirs, wide)))()
    for optimizer, (updates, state) in zip((ours, adjustable), results, strict=True):
        assert kinds(updates) == kinds(params)
        assert kinds(state) == kinds(jax.eval_shape(optimizer.init, params))
        for dtype in params:
            as_float32 = 1e-6 if optimizer is adjustable and dtype == "float64" else None  # its numbers are
            assert_close(updates[dtype], expected[dtype], rtol=as_float32)


@over(OPTIMIZERS)
@first_of("form", ["adjustable", "ours"])
def test_what_cannot_move_passes_through(row, form):
    """Integers, whose gradient is float0, and None stay what they are; the rest moves as if it were alone."""
    optimizer, alone = getattr(row, form)(), {"w": jnp.asarray([[0.3, -0.4], [1.0, 0.2]])}
    mixed = {**alone, "n": jnp.arange(3), "frozen": None, "deep": {"none": None}}

    def first(params):
        grads = jax.grad(lambda params: bowl(params["w"]), allow_int=True)(params)
        updates, state = optimizer.update(grads, optimizer.init(params), params)
        assert "n" not in updates or updates["n"].dtype == jax.dtypes.float0
        return apply_updates(params, updates), state

    (after, state), (expected, _) = compiled(lambda: (first(mixed), first(alone)))()
    assert_close(after["w"], expected["w"])
    assert after["n"].tolist() == [0, 1, 2]
    assert (after["frozen"], after["deep"]) == (None, {"none": None})
    assert kinds(state) == kinds(jax.eval_shape(optimizer.init, mixed))


def complex_start():
    """Numbers of every phase, and the gradients of three steps at them, which differ in phase from step to step."""
    rng = np.random.default_rng(5)
    numbers = lambda *shape: jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape), "complex64")
    return {"w": numbers(3, 2), "b": numbers(4)}, {"w": numbers(3, 3, 2), "b": numbers(3, 4)}


def walked(optimizer, params, grads):
    def step(carry, g):
        updates, state = optimizer.update(g, carry[1], carry[0])
        params = apply_updates(carry[0], updates)
        return (params, state), params

    return jax.lax.scan(step, (params, optimizer.init(params)), grads)[1]


@over(OPTIMIZERS)
def test_complex_parameters_turn_with_their_gradients_or_are_refused(row):
    """No direction of the complex plane is another: real numbers times a phase walk the real path times that phase.

    Where the reference is Optax, also its path, with phases that change; but its AdaDelta squares complex numbers as
    they are (optax 0.2.8, `update_moment`).
    """
    params, grads = complex_start()
    optimizer, reference = row.ours(), row.theirs()
    if row.factory is rprop:
        with pytest.raises(ValueError, match="rprop needs real parameters"):
            optimizer.init(params)
        return
    phase = jnp.exp(0.7j).astype("complex64")
    real = lambda tree: jax.tree.map(jnp.real, tree)
    parts = lambda tree: jax.tree.map(lambda x: jnp.stack([x.real, x.imag]), tree)
    turned = lambda tree: jax.tree.map(lambda x: phase * x.real, tree)
    served = row.against.startswith("optax") and row.factory is not adadelta

    def paths(params, grads):
        theirs = walked(reference, params, grads) if served else None
        alike = walked(optimizer, turned(params), turned(grads)), turned(walked(optimizer, real(params), real(grads)))
        return parts((walked(optimizer, params, grads), theirs, *alike))

    ours, theirs, rotated, expected = compiled(paths)(params, grads)
    assert_close(rotated, expected)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(ours))
    if served:
        assert_close(ours, theirs)


@over(OPTIMIZERS)
@first_of("form", ["adjustable", "ours"])
def test_survives_scalars_single_elements_and_no_parameters(row, form):
    optimizer = getattr(row, form)()
    first = lambda params: optimizer.update(params, optimizer.init(params), params)
    for params in (
        jnp.float32(2.0),
        {"w": jnp.ones(1), "k": jnp.ones((1, 1))},
        {"e": jnp.ones((0, 3)), "f": jnp.ones((3, 0))},
        {},
        [None],
    ):
        updates, state = jax.eval_shape(first, params)
        assert kinds(updates) == kinds(params)
        assert kinds(state) == kinds(jax.eval_shape(optimizer.init, params))


@over(OPTIMIZERS)
@first_of("form", ["adjustable", "ours"])
def test_passes_over_extra_arguments_and_says_when_it_needs_params(row, form):
    """The same program with and without an extra argument; without parameters too, unless it computes with them."""
    optimizer, params = getattr(row, form)(), {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    state = jax.eval_shape(optimizer.init, params)
    program = lambda **extra: str(jax.make_jaxpr(partial(optimizer.update, **extra))(params, state, params))
    assert program() == program(value=1.0)
    if row.factory in (lars, lamb) or any("weight_decay" in name for name in row.numbers) or row.factory is nadamw:
        with pytest.raises(ValueError, match=r"needs the parameters; received params=None"):
            jax.eval_shape(optimizer.update, params, state)
    else:
        jax.eval_shape(optimizer.update, params, state)


@over([row for row in OPTIMIZERS if row.against.startswith("optax") and row.factory is not muon])
def test_reads_and_keeps_no_more_than_its_reference(row):
    """Passes over memory of a compiled step, as XLA counts them, and bytes of state: at most Optax's (and a step)."""
    params = {"w": jnp.ones((64, 64)), "b": jnp.ones(1000)}

    def cost(optimizer):
        def step(params, state, grads):
            updates, state = optimizer.update(grads, state, params)
            return apply_updates(params, updates), state

        state = jax.eval_shape(optimizer.init, params)
        program = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
        return program.cost_analysis()["bytes accessed"], sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))

    (passes, kept), (their_passes, their_kept) = cost(row.ours()), cost(row.theirs())
    assert passes < 1.01 * their_passes  # a step counter is no pass
    assert kept <= their_kept + 4


@over([row for row in OPTIMIZERS if row.name not in ("sgd", "sign_sgd")])  # which keep nothing of the parameters
def test_refuses_a_tree_of_another_structure(row):
    optimizer, params = row.ours(), {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match="one structure"):
        optimizer.update({"u": jnp.ones(2)}, optimizer.init(params), {"u": jnp.ones(2)})


@pytest.mark.parametrize("factory", {row.factory: None for row in OPTIMIZERS}, ids=lambda f: f.__name__)
def test_hyperparameters_are_documented(factory):
    doc = inspect.getdoc(factory)
    arguments = doc[doc.index("Args:") :]
    for name in inspect.signature(factory).parameters:
        assert name in arguments, f"{factory.__name__} does not explain {name}"


TARGETS = {  # the rates with which Optax's own tests (optax/_src/alias_test.py, 0.2.8) ask for both minima
    sgd: {"learning_rate": 1e-3, "momentum": 0.9},
    adagrad: {"learning_rate": 1.0},
    rmsprop: {"learning_rate": 5e-3, "momentum": 0.9},
    adadelta: {"learning_rate": 0.1},
    adam: {"learning_rate": 1e-1},
    adamw: {"learning_rate": 1e-1},
    adamax: {"learning_rate": 1e-1},
    adamaxw: {"learning_rate": 1e-1},
    amsgrad: {"learning_rate": 1e-1},
    nadam: {"learning_rate": 1e-2},
    nadamw: {"learning_rate": 1e-2},
    radam: {"learning_rate": 5e-3},
    lion: {"learning_rate": 1e-2, "weight_decay": 1e-4},
    rprop: {"learning_rate": 1e-1},
    sign_sgd: {"learning_rate": 1e-1},
    lars: {"learning_rate": 1.0},
    lamb: {"learning_rate": 1e-3},
    muon: {"learning_rate": 1e-2},  # Optax's contrib tests
}


@first_of("factory", TARGETS, ids=lambda f: f.__name__)
def test_reaches_the_targets_of_optax(factory):
    """The parabola and Rosenbrock's valley to 3e-2 within 10 000 steps; the sign alone cannot follow the valley."""
    problems = [
        ([-1.0, 10.0, 1.0], [1.0, -1.0, 1.0], lambda w: jnp.sum((w - jnp.asarray([1.0, -1.0, 1.0])) ** 2)),
        ([0.0, 0.0], [1.0, 1.0], lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2),
    ]
    starts, targets, objectives = zip(*(problems[:1] if factory is sign_sgd else problems), strict=True)
    optimizer = factory(**TARGETS[factory])

    def step(_, carry):
        params, state = carry
        grads = [jax.grad(f)(w) for f, w in zip(objectives, params, strict=True)]
        updates, state = optimizer.update(grads, state, params)
        return apply_updates(params, updates), state

    params = [jnp.asarray(w) for w in starts]
    params, _ = compiled(lambda carry: jax.lax.fori_loop(0, 10_000, step, carry))((params, optimizer.init(params)))
    for w, target in zip(params, targets, strict=True):
        np.testing.assert_allclose(w, target, rtol=3e-2, atol=3e-2)


def test_every_optimizer_is_asked_for_the_targets():
    assert {row.factory for row in OPTIMIZERS} == set(TARGETS)


def test_apply_updates_keeps_the_parameters_dtype():
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    new = apply_updates(params, {"w": jnp.full(2, -0.5, jnp.float32)})
    assert new["w"].dtype == jnp.bfloat16
    assert new["w"].tolist() == [0.5, 0.5]
