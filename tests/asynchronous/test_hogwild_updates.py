"""Hogwild: without delay it is SGD; with delay every coordinate is of a version of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of
from small_clusters import DRAW, WORKERS, check_same_bits, images, sequential, training

from jaxnn.asynchronous.downpour_sgd import downpour, replicate
from jaxnn.asynchronous.event_logs import Log, log_of
from jaxnn.asynchronous.event_simulation import in_turns, simulate
from jaxnn.asynchronous.hogwild_updates import hogwild, torn
from jaxnn.asynchronous.worker_times import WorkerTimes
from jaxnn.optimizers import adagrad, sgd

DATA = images()


def run(step, state, log):
    return jax.jit(partial(hogwild, step, log=log, workers=WORKERS, draw=DRAW))(state, DATA)


@first_of("optimizer", [sgd(0.1), adagrad(0.05)], ids=["sgd", "adagrad"])
def test_without_delay_it_is_sgd_bit_for_bit(optimizer):
    step, state = training(optimizer)
    ours, metrics = run(step, state, log_of(in_turns(WORKERS, 40)))
    theirs, expected = sequential(step, state, DATA, [(t % WORKERS, t // WORKERS) for t in range(40)])
    check_same_bits(ours, theirs)
    check_same_bits(metrics["loss"], expected["loss"])


@pytest.mark.full
def test_it_learns_under_delay_and_is_not_the_run_of_whole_reads():
    step, state = training(sgd(0.1))
    program = simulate(WorkerTimes(WORKERS, spread=0.3), pushes=200)
    torn_reads, metrics = run(step, state, log_of(program))
    whole, _ = jax.jit(partial(downpour, step, draw=DRAW))(replicate(state, WORKERS), DATA, program)
    differ = [
        (a != b).any() for a, b in zip(*map(jax.tree.leaves, (torn_reads.params, whole.server.params)), strict=True)
    ]
    assert all(differ)
    losses = np.asarray(metrics["loss"].sum)
    assert losses[-40:].mean() < 0.8 * losses[:40].mean()


def test_coordinates_are_uniform_over_the_versions_since_the_read():
    kept, versions = 5, jnp.arange(5, 10)  # slot v % 5 has version v
    ring = {
        "w": jnp.zeros((kept, 40, 50)).at[versions % kept].set(jnp.broadcast_to(versions[:, None, None], (5, 40, 50)))
    }
    read = np.asarray(torn(ring, 9, 3, key=jax.random.key(0))["w"])
    found, counts = np.unique(read, return_counts=True)
    assert found.tolist() == [6, 7, 8, 9]
    assert (np.abs(counts / 2000 - 0.25) < 0.05).all()
    assert (np.asarray(torn(ring, 8, 0, key=jax.random.key(0))["w"]) == 8).all()


def test_logs_of_gathered_gradients_are_refused():
    step, state = training(sgd(0.1))
    with pytest.raises(ValueError, match="one gradient for each of the versions"):
        run(step, state, log_of(simulate(WorkerTimes(2), pushes=4, n_push=2)))
    with pytest.raises(ValueError, match="none read before it was there"):
        run(step, state, Log(*np.array([(0, 0, 1, 0)]).T))
