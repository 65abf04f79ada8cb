"""Local SGD and DiLoCo: with one local step synchronous SGD, with one worker SGD."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rings import first_of
from small_clusters import DRAW, WORKERS, check_near, check_same_bits, images, sequential, training

from jaxnn.asynchronous.backup_workers import synchronous
from jaxnn.asynchronous.event_scan import Shards
from jaxnn.asynchronous.local_sgd_rounds import diloco, local_cluster, local_sgd
from jaxnn.optimizers import adamw, sgd

DATA = images()


def run(step, cluster, *, method=local_sgd, draw=DRAW, **settings):
    return compiled(method, step, draw, tuple(settings.items()))(cluster, DATA)


@cache
def compiled(method, step, draw, settings):
    """So that tests share it."""
    return jax.jit(partial(method, step, draw=draw, **dict(settings)))


@pytest.mark.full
def test_with_one_local_step_it_is_synchronous_sgd():
    step, state = training(sgd(0.1))
    cluster, metrics = run(step, local_cluster(state, WORKERS), rounds=30, local_steps=1)
    everybody = np.ones((30, WORKERS), bool)
    expected, theirs = jax.jit(partial(synchronous, step, draw=DRAW))(state, DATA, everybody)
    check_near(cluster.server.params, expected.params)
    np.testing.assert_allclose(metrics["loss"].sum[:, 0], theirs["loss"].sum, rtol=1e-4)


@first_of("optimizer", [sgd(0.1, momentum=0.9), optax.adam(1e-2)], ids=["momentum", "optax.adam"])
def test_one_worker_is_alone(optimizer):
    step, state = training(optimizer)
    draw = Shards(len(DATA["label"]), 5, 1)
    cluster, _ = run(step, local_cluster(state, 1), rounds=5, local_steps=4, draw=draw)
    expected, _ = sequential(step, state, DATA, [(0, k) for k in range(20)], draw)
    check_near(cluster.server.params, expected.params)
    assert cluster.server.step == 5


@pytest.mark.full
def test_diloco_with_an_outer_step_of_one_is_local_sgd():
    step, state = training(adamw(1e-2))
    outer = sgd(1.0)
    plain, _ = run(step, local_cluster(state, WORKERS), rounds=5, local_steps=3)
    cluster = local_cluster(state, WORKERS, outer=outer)
    check_near(
        run(step, cluster, method=diloco, outer=outer, rounds=5, local_steps=3)[0].server.params, plain.server.params
    )


@pytest.mark.full
@pytest.mark.parametrize("library", ["ours", "optax"])
def test_the_outer_optimizer_is_nesterovs_on_the_difference(library):
    outer = (sgd if library == "ours" else optax.sgd)(0.7, momentum=0.9, nesterov=True)
    step, state = training(adamw(1e-2))
    cluster = local_cluster(state, WORKERS, outer=outer)
    v = jax.tree.map(jnp.zeros_like, state.params)
    for _ in range(2):
        w = cluster.server.params
        mean = run(step, cluster, rounds=1, local_steps=3)[0].server.params  # the same workers, without an outer step
        delta = jax.tree.map(jnp.subtract, w, mean)
        v = jax.tree.map(lambda v, d: 0.9 * v + d, v, delta)
        expected = jax.tree.map(lambda w, v, d: w - 0.7 * (0.9 * v + d), w, v, delta)
        cluster, _ = run(step, cluster, method=diloco, outer=outer, rounds=1, local_steps=3)
        check_near(cluster.server.params, expected)


@pytest.mark.full
def test_rounds_go_on_where_they_stopped():
    step, state = training(sgd(0.1, momentum=0.9))
    whole, metrics = run(step, local_cluster(state, WORKERS), rounds=6, local_steps=3)
    half, _ = run(step, local_cluster(state, WORKERS), rounds=3, local_steps=3)
    check_same_bits(run(step, half, rounds=3, local_steps=3)[0], whole)
    assert metrics["loss"].sum.shape == (6, 3, WORKERS)
    assert metrics["loss"].sum[-1].mean() < metrics["loss"].sum[0].mean()
    with pytest.raises(ValueError, match="`workers` must be at least 1"):
        local_cluster(state, 0)
