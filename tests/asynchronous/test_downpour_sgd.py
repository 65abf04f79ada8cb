"""Asynchronous SGD: without staleness it is SGD, and with it the numbers do not depend on how they were come by."""

import dataclasses
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rings import first_of
from small_clusters import DRAW, WORKERS, check_near, check_same_bits, images, sequential, training

from jaxnn import optimizers
from jaxnn.asynchronous.backup_workers import synchronous
from jaxnn.asynchronous.downpour_on_devices import DRIVERS, downpour_waves
from jaxnn.asynchronous.downpour_sgd import compensated, downpour, replay, replicate
from jaxnn.asynchronous.event_logs import Log, log_of
from jaxnn.asynchronous.event_scan import Shards
from jaxnn.asynchronous.event_simulation import COMPUTE, FETCH, PUSH, Program, in_turns, simulate
from jaxnn.asynchronous.staleness_counts import staleness_of
from jaxnn.asynchronous.worker_times import Outage, WorkerTimes, round_times
from jaxnn.models import MLP
from jaxnn.training.batching import take_batch

DATA = images()
TIMES = WorkerTimes(WORKERS, spread=0.4, slowdown={1: 4.0}, latency=0.1)
LATE = simulate(TIMES, pushes=40)
FAIR = simulate(WorkerTimes(WORKERS), pushes=40)
OPTIMIZERS = {
    "sgd": optimizers.sgd(0.1),
    "momentum": optimizers.sgd(0.1, momentum=0.9),
    "adagrad": optimizers.adagrad(0.05),
    "optax.adam": optax.adam(1e-2),
}


class Noisy(nn.Module):
    """Batch statistics and dropout: what a worker has beside its parameters."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(x.reshape(len(x), -1)))
        return nn.Dense(10)(nn.Dropout(0.3, deterministic=not train)(nn.relu(x)))


def run(step, state, program, *, workers=WORKERS, draw=DRAW, **settings):
    """The cluster and the metrics."""
    return compiled(step, workers, draw, tuple(settings.items()))(state, DATA, program)


@cache
def compiled(step, workers, draw, settings):
    """So that tests share it: compiling takes all the time here."""
    start = partial(replicate, workers=workers)
    return jax.jit(lambda state, *rest: downpour(step, start(state), *rest, draw=draw, **dict(settings)))


@first_of("name", ["sgd", "adagrad", "optax.adam"])
def test_without_staleness_it_is_sgd_bit_for_bit(name):
    step, state = training(OPTIMIZERS[name])
    cluster, _ = run(step, state, in_turns(WORKERS, 40))
    expected, _ = sequential(step, state, DATA, [(t % WORKERS, t // WORKERS) for t in range(40)])
    check_same_bits(cluster.server, expected)


@pytest.mark.full
@pytest.mark.parametrize("model", [MLP(features=(8,)), Noisy()], ids=["mlp", "batch norm and dropout"])
def test_one_worker_is_sgd_bit_for_bit_however_long_its_messages_take(model):
    step, state = training(OPTIMIZERS["momentum"], model)
    draw = Shards(len(DATA["label"]), 5, 1)
    program = simulate(WorkerTimes(1, spread=1.0, latency=3.0), pushes=40)
    cluster, metrics = run(step, state, program, workers=1, draw=draw)
    expected, losses = sequential(step, state, DATA, [(0, t) for t in range(40)], draw)
    check_same_bits(cluster.server, expected)
    check_same_bits(metrics["loss"].sum[program.kind == COMPUTE], losses["loss"].sum)


def test_two_runs_are_the_same_bits_and_another_seed_of_the_times_is_not():
    step, state = training(OPTIMIZERS["adagrad"])
    programs = [simulate(dataclasses.replace(TIMES, seed=seed), pushes=40) for seed in (0, 0, 1)]
    first, again, other = (run(step, state, program)[0] for program in programs)
    check_same_bits(first, again)
    assert any(
        (a != b).any() for a, b in zip(*map(jax.tree.leaves, (first.server.params, other.server.params)), strict=True)
    )


def test_the_staleness_that_the_server_measures_is_that_of_the_log():
    step, state = training(OPTIMIZERS["sgd"])
    program = LATE
    _, metrics = run(step, state, program)
    late = metrics["staleness"]
    assert late.sum[program.kind == PUSH].tolist() == staleness_of(log_of(program)).tolist()
    assert late.count.tolist() == (program.kind == PUSH).tolist()
    assert metrics["accuracy"].count.tolist() == (5 * (program.kind == COMPUTE)).tolist()


SETTINGS = {
    "every step": ({}, {}),
    "own gradients between fetches": ({"n_fetch": 4}, {"local_rate": 0.1}),
    "gathered": ({"n_push": 2, "n_fetch": 3}, {"local_rate": 0.1}),
    "bounded": ({"bound": 1}, {}),
    "compensated and weighted": ({}, {"compensation": 0.5, "weight": lambda late: 1 / (1 + late)}),
}


@pytest.mark.full
@pytest.mark.parametrize("name", SETTINGS)
def test_a_log_replays_bit_for_bit(name):
    order, settings = SETTINGS[name]
    step, state = training(OPTIMIZERS["adagrad"])
    program = simulate(dataclasses.replace(TIMES, outages=(Outage(3, 8.2, 15.0),)), pushes=60, **order)
    cluster, _ = run(step, state, program, **settings)
    rows = list(zip(*log_of(program), strict=True))
    again = partial(replay, step, log=Log(*zip(*rows, strict=True)), workers=WORKERS, draw=DRAW, **settings)
    check_same_bits(jax.jit(again)(state, DATA)[0], cluster.server)


@pytest.mark.full
def test_a_program_in_pieces_ends_where_the_whole_does():
    step, state = training(OPTIMIZERS["adagrad"])
    program = LATE
    cluster, whole = replicate(state, WORKERS), run(step, state, program)[0]
    go_on, half = jax.jit(partial(downpour, step, draw=DRAW)), len(program.kind) // 2
    for part in (slice(None, half), slice(half, None)):
        cluster, _ = go_on(cluster, DATA, Program(*(c[part] for c in program)))
    check_same_bits(cluster, whole)


@pytest.mark.full
def test_learning_rates_and_programs_are_mapped_over():
    adjustable = optimizers.adjustable(optimizers.sgd)(learning_rate=0.1)
    step, state = training(adjustable)
    programs = [simulate(dataclasses.replace(TIMES, seed=seed), pushes=30) for seed in (0, 1)]
    length = min(len(program.kind) for program in programs)
    programs = [Program(*(column[:length] for column in program)) for program in programs]
    rates = np.float32([0.01, 0.1, 0.5])

    def server(rate, program):
        own = state._replace(opt_state=optimizers.with_hyperparameters(state.opt_state, learning_rate=rate))
        return downpour(step, replicate(own, WORKERS), DATA, program, draw=DRAW)[0].server

    over_rates = jax.jit(jax.vmap(partial(server, program=programs[0])))(rates)
    over_programs = jax.jit(jax.vmap(server))(rates[:2], jax.tree.map(lambda *c: np.stack(c), *programs))
    alone = jax.jit(server)
    for i, rate in enumerate(rates):
        check_near(jax.tree.map(lambda x: x[i], over_rates.params), alone(rate, programs[0]).params)  # noqa: B023
    for i in range(2):
        check_near(jax.tree.map(lambda x: x[i], over_programs.params), alone(rates[i], programs[i]).params)  # noqa: B023


@pytest.mark.full
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["momentum", "optax.adam"])
def test_waves_of_devices_are_equally_fast_workers(driver, name):
    step, state = training(OPTIMIZERS[name])
    program = FAIR
    waves = partial(downpour_waves, step, workers=WORKERS, waves=10, draw=DRAW, driver=driver)
    server, metrics = waves(state, DATA)
    expected, theirs = run(step, state, program)
    check_near(server, expected.server)
    mine = np.asarray(metrics["loss"].sum)
    order = np.lexsort((program.local_step, program.worker))
    computed = order[program.kind[order] == COMPUTE]
    np.testing.assert_allclose(mine, theirs["loss"].sum[computed].reshape(mine.shape), rtol=1e-5)


@pytest.mark.full
def test_waves_carry_batch_statistics_as_the_events_do():
    step, state = training(OPTIMIZERS["sgd"], Noisy())
    server, _ = downpour_waves(step, state, DATA, workers=WORKERS, waves=5, draw=DRAW)
    check_near(server, run(step, state, simulate(WorkerTimes(WORKERS), pushes=5 * WORKERS))[0].server)


@pytest.mark.full
def test_a_bound_of_zero_descends_by_the_sum_of_a_round():
    """N updates by gradients of one point are one of N times their mean: plain SGD is linear in them."""
    step, state = training(optimizers.sgd(0.05))
    fast, _ = training(optimizers.sgd(0.05 * WORKERS))
    cluster, _ = run(step, state, simulate(TIMES, pushes=10 * WORKERS, bound=0))
    rounds = round_times(TIMES, 10)
    expected, _ = jax.jit(partial(synchronous, fast, draw=DRAW))(state, DATA, rounds.accepted)
    check_near(cluster.server.params, expected.params)


@pytest.mark.full
def test_a_push_is_the_sum_of_what_was_gathered_since_the_last():
    step, state = training(optimizers.sgd(0.1))
    cluster, _ = run(step, state, simulate(WorkerTimes(1), pushes=1, n_push=3, n_fetch=3), workers=1)
    batches = [take_batch(DATA, DRAW(state.key, 0, k)) for k in range(3)]
    summed = lambda params: sum(step.mean_loss(params, state, batch)[0] for batch in batches)
    expected = jax.tree.map(lambda w, g: w - 0.1 * g, state.params, jax.jit(jax.grad(summed))(state.params))
    check_near(cluster.server.params, expected)


@pytest.mark.full
def test_a_worker_descends_by_itself_between_fetches():
    """Alone, with the server's own rate, it is never late: it makes every update itself, too."""
    step, state = training(optimizers.sgd(0.1))
    program = simulate(WorkerTimes(1), pushes=20, n_fetch=7)
    expected, _ = sequential(step, state, DATA, [(0, t) for t in range(20)])
    check_near(run(step, state, program, workers=1, local_rate=0.1)[0].server.params, expected.params)
    stale = run(step, state, program, workers=1)[0].server.params
    assert max(np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (stale, expected.params)), strict=True)) > 1e-3


@pytest.mark.full
def test_compensation_is_the_formula_and_nothing_without_staleness():
    g, w, f = jnp.array([2.0, -1.0]), jnp.array([1.5, 1.0]), jnp.array([1.0, 3.0])
    assert compensated(g, w, f, 0.5).tolist() == [2 + 0.5 * 4 * 0.5, -1 + 0.5 * 1 * -2]
    step, state = training(OPTIMIZERS["sgd"])
    fresh = [run(step, state, in_turns(WORKERS, 40), compensation=c)[0].server for c in (None, 2.0)]
    check_near(*fresh)
    late = [run(step, state, LATE, compensation=c)[0].server.params for c in (None, 2.0)]
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, late), strict=True))


def test_compensation_undoes_a_delay_where_the_hessian_is_g_squared():
    """f(w) = -log(w) has g = -1/w and h = g^2: with lambda = 1 the late gradient is exact to first order."""
    f, w = jnp.float32(1.0), jnp.float32(1.01)
    late, exact = -1 / f, -1 / w
    assert abs(compensated(late, w, f, 1.0) - exact) < 0.02 * abs(late - exact)


@pytest.mark.full
def test_too_late_gradients_can_be_dropped():
    step, state = training(OPTIMIZERS["sgd"])
    dropped = run(step, state, FAIR, weight=lambda late: jnp.where(late > 0, 0.0, 1.0))[0].server
    expected, _ = sequential(step, state, DATA, [(0, 0)])  # all but the very first are late
    check_same_bits(dropped.params, expected.params)
    assert dropped.step == 40


def test_shards_are_those_of_the_worker_and_repeat():
    key = jax.random.key(1)
    for worker in range(WORKERS):
        rows = np.asarray(jax.vmap(partial(DRAW, key, worker))(jnp.arange(200)))
        assert np.unique(rows).tolist() == list(range(15 * worker, 15 * worker + 15))
    assert DRAW(key, 1, 5).tolist() == DRAW(key, 1, 5).tolist() != DRAW(key, 1, 6).tolist()
    uneven = Shards(10, 64, 3)
    assert [len(np.unique(uneven(key, worker, 0))) for worker in range(3)] == [3, 3, 4]


def test_bad_clusters_are_refused_with_a_remedy():
    step, state = training(OPTIMIZERS["sgd"])
    with pytest.raises(ValueError, match=r"must name workers 0 to 1; received 3\. Make a larger cluster"):
        downpour(step, replicate(state, 2), DATA, in_turns(WORKERS, 8), draw=DRAW)
    with pytest.raises(ValueError, match="must be FETCH, COMPUTE or PUSH"):
        downpour(step, replicate(state, 1), DATA, Program(*np.array([[FETCH, 3], [0, 0], [0, 0], [0, 0]])), draw=DRAW)
    with pytest.raises(ValueError, match=r"received axis_name='data'\. Leave `axis_name` out"):
        downpour(dataclasses.replace(step, axis_name="data"), replicate(state, 2), DATA, in_turns(2, 8), draw=DRAW)
    with pytest.raises(ValueError, match="`workers` must be at least 1; received 0"):
        replicate(state, 0)
    with pytest.raises(ValueError, match="unknown driver 'smap'"):
        downpour_waves(step, state, DATA, workers=2, waves=1, draw=DRAW, driver="smap")
    with pytest.raises(ValueError, match="at most the number of devices, 8; received 9"):
        downpour_waves(step, state, DATA, workers=9, waves=1, draw=DRAW)
    with pytest.raises(ValueError, match="`workers` must be between 1 and `examples`"):
        Shards(examples=3, batch_size=1, workers=4)
