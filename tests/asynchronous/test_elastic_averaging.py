"""EASGD: the spring keeps the sum, and without it every worker is alone."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rings import first_of
from small_clusters import DRAW, WORKERS, check_near, check_same_bits, images, sequential, training

from jaxnn.asynchronous.elastic_averaging import easgd, elastic
from jaxnn.asynchronous.event_scan import Cluster
from jaxnn.asynchronous.event_simulation import PUSH, Program, simulate
from jaxnn.asynchronous.local_sgd_rounds import local_cluster
from jaxnn.asynchronous.worker_times import WorkerTimes
from jaxnn.optimizers import sgd

DATA = images()
TIMES = WorkerTimes(WORKERS, spread=0.3, slowdown={0: 2.0})


def run(step, cluster, program, alpha):
    return compiled(step)(cluster, DATA, program, alpha=alpha)


@cache
def compiled(step):
    """So that tests share it."""
    return jax.jit(partial(easgd, step, draw=DRAW))


def pushes(workers):
    kind = np.full(len(workers), PUSH)
    return Program(kind, np.array(workers), kind, kind)


def scattered(state):
    """A cluster whose workers have gone their own ways."""
    cluster = local_cluster(state, WORKERS)
    step_aside = lambda x: x + np.arange(WORKERS, dtype=x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
    return cluster._replace(workers=cluster.workers._replace(params=jax.tree.map(step_aside, cluster.workers.params)))


def total(cluster: Cluster):
    return jax.tree.map(lambda c, x: c + x.sum(axis=0), cluster.server.params, cluster.workers.params)


@first_of("alpha", [0.1, 0.5, 0.9, 1.0])
def test_moves_keep_the_sum_of_centre_and_workers(alpha):
    step, state = training(sgd(0.1))
    before = scattered(state)
    after, _ = run(step, before, pushes([0, 1, 2, 3, 3, 2]), alpha)
    check_near(total(after), total(before), atol=1e-5)
    moved = [abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (after.server.params, state.params)), strict=True)]
    assert min(moved) > 0.1
    assert after.server.step == 6


@pytest.mark.full
def test_the_spring_brings_all_together():
    step, state = training(sgd(0.1))
    after, _ = run(step, scattered(state), pushes([0, 1, 2, 3] * 60), 0.3)
    for x, c in zip(*map(jax.tree.leaves, (after.workers.params, after.server.params)), strict=True):
        np.testing.assert_allclose(x, np.broadcast_to(c, x.shape), atol=1e-5)


def test_elastic_is_the_formula():
    assert elastic(np.float32(3.0), np.float32(1.0), 0.25) == (2.5, 1.5)
    assert elastic(np.float32(3.0), np.float32(1.0), 1.0) == (1.0, 3.0)


@pytest.mark.full
@pytest.mark.parametrize("optimizer", [sgd(0.1, momentum=0.9, nesterov=True), optax.adam(1e-2)], ids=["eamsgd", "adam"])
def test_without_a_spring_every_worker_is_alone_with_its_shard(optimizer):
    step, state = training(optimizer)
    program = simulate(WorkerTimes(WORKERS), pushes=3 * WORKERS, n_push=3, n_fetch=None)
    after, metrics = run(step, local_cluster(state, WORKERS), program, 0.0)
    check_same_bits(after.server.params, state.params)
    for worker in range(WORKERS):
        expected, _ = sequential(step, state, DATA, [(worker, k) for k in range(9)])
        check_same_bits(jax.tree.map(lambda x: x[worker], after.workers.params), expected.params)  # noqa: B023
    assert metrics["staleness"].sum.sum() == 0


@pytest.mark.full
def test_the_centre_learns():
    step, state = training(sgd(0.1))
    program = simulate(TIMES, pushes=150, n_push=4, n_fetch=None)
    cluster, _ = run(step, local_cluster(state, WORKERS), program, 0.9 / WORKERS)
    batch = {**DATA, "mask": jnp.ones(len(DATA["label"]), bool)}
    loss = jax.jit(lambda params: step.mean_loss(params, state, batch)[0])
    losses = [float(loss(params)) for params in (state.params, cluster.server.params)]
    assert losses[1] < 0.7 * losses[0]
