"""Synchronous rounds: the gradient of the joined batch, without that of who came too late."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_clusters import DRAW, EXAMPLES, WORKERS, check_near, check_same_bits, images, sequential, training

from jaxnn.asynchronous.backup_workers import mean_of, synchronous
from jaxnn.asynchronous.event_scan import Shards
from jaxnn.asynchronous.worker_times import WorkerTimes, round_times
from jaxnn.optimizers import adagrad, sgd
from jaxnn.training.batching import take_batch

DATA = images()


def run(step, state, accepted, data=DATA, draw=DRAW):
    return jax.jit(partial(synchronous, step, draw=draw))(state, data, accepted)


@pytest.mark.full
def test_all_workers_in_lock_step_are_the_step_of_the_joined_batch():
    step, state = training(sgd(0.1, momentum=0.9))
    ours, _ = run(step, state, np.ones((20, WORKERS), bool))
    together = jax.jit(lambda state, k: step(state, take_batch(DATA, joined(state.key, k)))[0])
    for k in range(20):
        state = together(state, k)
    check_near(ours, state)


def joined(key, k):
    return jnp.concatenate([DRAW(key, worker, k) for worker in range(WORKERS)])


@pytest.mark.full
def test_one_worker_is_sgd():
    step, state = training(adagrad(0.05))
    draw = Shards(EXAMPLES, 5, 1)
    ours, _ = run(step, state, np.ones((20, 1), bool), draw=draw)
    # not to the last bit: a product that `vmap` made for one worker is another program on some processors
    check_near(ours, sequential(step, state, DATA, [(0, k) for k in range(20)], draw)[0])


@pytest.mark.full
def test_who_came_too_late_has_no_influence():
    """The straggler's examples may be anything, as long as it is the one that is dropped."""
    rounds = round_times(WorkerTimes(WORKERS, slowdown={2: 9.0}), 10, backup=1)
    assert rounds.accepted.all(axis=0).tolist() == [True, True, False, True]
    spoilt = DATA | {"image": DATA["image"].at[30:45].set(255 - DATA["image"][30:45])}  # the third shard
    step, state = training(sgd(0.1))
    check_same_bits(run(step, state, rounds.accepted)[0], run(step, state, rounds.accepted, spoilt)[0])
    everybody = np.ones_like(rounds.accepted)
    one, other = (jax.tree.leaves(run(step, state, everybody, data)[0].params) for data in (DATA, spoilt))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_the_mean_is_over_those_that_arrived():
    tree = {"w": jnp.arange(12.0).reshape(4, 3)}
    kept = jnp.array([True, False, False, True])
    assert mean_of(tree, kept)["w"].tolist() == [4.5, 5.5, 6.5]


def test_a_row_of_flags_is_refused():
    step, state = training(sgd(0.1))
    with pytest.raises(ValueError, match=r"must have shape \(rounds, workers\); received \(4,\)"):
        run(step, state, np.ones(4, bool))
