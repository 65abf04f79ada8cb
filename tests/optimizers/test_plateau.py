"""The fall on a plateau: Optax's where both say the same, a plain loop where they do not."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn.optimizers import adjustable, sgd
from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters
from jaxnn.optimizers.chaining import chain
from jaxnn.optimizers.plateau import plateau_scale, reduce_on_plateau

COVERS = {"optimizers.PlateauScale", "optimizers.plateau_scale", "optimizers.reduce_on_plateau"}


def scales(machine, metrics):
    def step(state, metric):
        state = machine.update(state, metric)
        return state, state.scale

    return jax.jit(lambda metrics: jax.lax.scan(step, machine.init(), metrics)[1])(jnp.asarray(metrics))


def by_hand(metrics, *, factor, patience, rtol=1e-4, atol=0.0, cooldown=0, min_scale=0.0, mode="min"):
    """The rule as one would write it on a host."""
    scale, best, waited, cooling, path = 1.0, None, 0, 0, []
    for metric in metrics:
        if best is None:
            improved = not math.isnan(metric)
        else:
            gain = best - metric if mode == "min" else metric - best
            improved = gain > rtol * abs(best) + atol
        best = metric if improved else best
        if cooling:
            cooling, waited = cooling - 1, 0
        else:
            waited = 0 if improved else waited + 1
            if waited == patience:
                scale, waited, cooling = max(scale * factor, min_scale), 0, cooldown
        path.append(scale)
    return np.array(path)


SETTINGS = [
    {"factor": 0.5, "patience": 3},
    {"factor": 0.3, "patience": 1, "cooldown": 2, "min_scale": 0.05},
    {"factor": 0.7, "patience": 2, "rtol": 0.1, "atol": 0.05, "cooldown": 1},
]


def random_metrics(choices):
    return np.random.default_rng(0).choice(np.float32(choices), size=(300, 25))


@first_of("settings", SETTINGS)
def test_is_the_rule_and_for_losses_above_zero_optaxs(settings):
    losses, theirs = (
        random_metrics([0.2, 0.5, 0.9, 0.95, 1.0, 1.3, math.nan]),
        optax.contrib.reduce_on_plateau(**settings),
    )
    ours = jax.vmap(lambda row: scales(plateau_scale(**settings), row))(losses)
    by_the_rule = [by_hand(row.tolist(), **settings) for row in losses]
    np.testing.assert_allclose(ours, by_the_rule, rtol=1e-5)
    step = lambda state, loss: theirs.update(jnp.ones(()), state, value=loss)[::-1]
    run = lambda row: jax.lax.scan(step, theirs.init(jnp.ones(())), row)[1]
    assert_close(ours, jax.jit(jax.vmap(run))(jnp.asarray(losses)))
    assert len(np.unique(ours)) > 3


def test_the_greatest_is_sought_where_the_mode_says_so():
    metrics = random_metrics([-2.0, -1.0, -0.9, 0.0, 0.5, 0.9, math.nan])
    settings = {"factor": 0.5, "patience": 2, "rtol": 0.2, "cooldown": 1}
    for mode in ("min", "max"):
        ours = jax.vmap(lambda row: scales(plateau_scale(**settings, mode=mode), row))(metrics)  # noqa: B023
        np.testing.assert_allclose(ours, [by_hand(row.tolist(), **settings, mode=mode) for row in metrics], rtol=1e-6)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_acts_on_the_nth_evaluation_without_improvement(patience):
    assert scales(plateau_scale(0.5, patience=patience), [1.0] * (patience + 1)).tolist() == [1.0] * patience + [0.5]


def test_below_zero_a_worse_loss_is_no_improvement():
    """Optax's threshold for best = -1 and rtol 0.1 is -0.9: it takes -0.95 for better."""
    losses, settings = [-1.0, -0.95, -0.95], {"factor": 0.5, "patience": 2, "rtol": 0.1}
    assert scales(plateau_scale(**settings), losses).tolist() == [1.0, 1.0, 0.5]


def test_nan_and_infinity_are_no_improvement_and_are_forgotten():
    machine = plateau_scale(0.5, patience=2)
    assert scales(machine, [math.nan, math.nan, 1.0]).tolist() == [1.0, 0.5, 0.5]
    state = machine.init()
    for loss in (math.inf, math.nan, 3.0):
        state = machine.update(state, loss)
    assert float(state.best) == 3.0
    assert int(state.waited) == 0


def test_maps_over_every_number_without_compiling_again(traced_once):
    losses = jnp.asarray([3.0, 2.0, 2.0, 2.0, 1.99, 2.0, 2.0, 2.0])
    names = ("factor", "patience", "rtol", "atol", "cooldown", "min_scale")
    numbers = np.array([[0.5, 2, 1e-4, 0, 0, 0.0], [0.3, 1, 0.1, 0, 1, 0.1], [0.5, 3, 0.0, 0.1, 2, 0.0]])

    @jax.jit
    @jax.vmap
    @traced_once
    def run(row):
        return scales(plateau_scale(**dict(zip(names, row, strict=True))), losses)

    mapped = run(jnp.asarray(numbers, jnp.float32))
    run(jnp.asarray(numbers, jnp.float32) * 0.9)
    for path, row in zip(mapped, numbers.tolist(), strict=True):
        np.testing.assert_allclose(path, by_hand(losses.tolist(), **dict(zip(names, row, strict=True))), rtol=1e-5)


def test_drives_an_adjustable_optimizer_inside_one_program():
    """A scan of epochs: train, evaluate, adjust; nothing is read by the host."""
    machine, optimizer = plateau_scale(0.5, patience=1), adjustable(sgd)(learning_rate=1.0)

    def epoch(carry, loss):
        state, opt_state = carry
        state = machine.update(state, loss)
        opt_state = with_hyperparameters(opt_state, learning_rate=1.0 * state.scale)
        updates, opt_state = optimizer.update(jnp.ones(()), opt_state)
        return (state, opt_state), updates

    start = machine.init(), optimizer.init(jnp.zeros(()))
    updates = jax.jit(lambda losses: jax.lax.scan(epoch, start, losses)[1])(jnp.asarray([2.0, 1.0, 1.0, 0.5, 0.5]))
    assert updates.tolist() == [-1.0, -1.0, -0.5, -0.5, -0.25]


@pytest.mark.parametrize("accumulation_size", [1, 3])
def test_as_a_link_it_is_optaxs(accumulation_size, x64):
    settings = {"factor": 0.9, "patience": 2, "cooldown": 1, "accumulation_size": accumulation_size}
    values = jnp.asarray(np.random.default_rng(0).normal(2, 0.3, size=150) - np.arange(150) / 150)
    g = {"w": jnp.array([1.0, -3.0]), "b": jnp.ones(2, jnp.bfloat16)}

    def path(link, g=g):
        step = lambda state, value: link.update(g, state, value=value)[::-1]
        return jax.jit(lambda: jax.lax.scan(step, link.init(g), values)[1])()

    ours = path(chain(sgd(0.1), reduce_on_plateau(**settings)))
    alone = {"w": g["w"]}  # Optax's scale has the lowest precision of the tree, ours does not
    theirs = path(chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(**settings)), alone)
    assert ours["b"].dtype == jnp.bfloat16
    assert_close(ours["w"], theirs["w"])
    assert len(np.unique(ours["w"][:, 0])) > 5  # it has fallen that often


def test_integers_and_none_pass():
    params = {"w": jnp.ones(2), "n": jnp.arange(3), "frozen": None}
    grads = jax.grad(lambda p: jnp.sum(p["w"]), allow_int=True)(params)
    updates, _ = reduce_on_plateau().update(grads, reduce_on_plateau().init(params), value=1.0)
    assert updates["n"].dtype == jax.dtypes.float0
    assert updates["frozen"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1.0}, "`factor` must be at least 0 and less than 1; received 1.0"),
        ({"patience": 0}, "`patience` must be finite and at least 1; received 0"),
        ({"cooldown": -1}, "`cooldown` must be finite and at least 0; received -1"),
        ({"rtol": -0.1}, "`rtol` must be finite and at least 0"),
        ({"atol": math.nan}, "`atol` must be finite and at least 0; received nan"),
        ({"min_scale": -0.1}, "`min_scale` must be finite and at least 0"),
        ({"mode": "maxx"}, "unknown mode 'maxx'; did you mean 'max'"),
    ],
)
def test_errors(settings, message):
    for make in (plateau_scale, reduce_on_plateau):
        with pytest.raises(ValueError, match=message):
            make(**settings)


def test_a_link_without_its_metric_says_so():
    with pytest.raises(ValueError, match=r"needs the metric: call `update\(grads, state, params, value=loss\)`"):
        reduce_on_plateau().update(jnp.ones(1), reduce_on_plateau().init(jnp.ones(1)))
    with pytest.raises(ValueError, match="`accumulation_size` must be finite and at least 1"):
        reduce_on_plateau(accumulation_size=0)
