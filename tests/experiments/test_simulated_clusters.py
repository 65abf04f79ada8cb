"""Ways of working together: mapped over rates and seeds, and followed in parts, as the same runs alone and whole."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from experiment_files import load

from jaxnn import asynchronous, optimizers
from jaxnn.asynchronous.event_simulation import split

clusters = load("simulated_clusters")
TIMES = asynchronous.WorkerTimes(2, spread=0.3, slowdown={0: 5.0}, latency=0.1)
EQUAL = {"workers": 2, "gradients": 16, "points": 2}


@pytest.fixture(scope="module")
def task():
    """Logistic regression of two classes."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 3)).astype(np.float32)
    split = {"image": jnp.asarray(images), "label": jnp.asarray((images[:, 0] > 0.2).astype(np.int32))}
    model = (lambda key, x: {"w": jnp.zeros((3, 2))}, lambda params, x: x @ params["w"])
    return clusters.Task(model, split, split, batch_size=4)


@pytest.mark.full
def test_rates_and_seeds_mapped_are_the_runs_alone(task):
    program = asynchronous.simulate(TIMES, pushes=8)
    run, factory = clusters.to_server(task, program, workers=2), optimizers.adjustable(optimizers.sgd)
    mapped = clusters.over_rates(task, factory, (0.01, 1.0), run=run, seeds=2)
    assert mapped.shape == (2, 2)
    for seed in range(2):
        alone = run(*task.start(optimizers.sgd(1.0), seed), task.train)
        assert mapped[seed, 1] == pytest.approx(task.accuracy(alone))


@pytest.mark.full
def test_a_curve_ends_where_the_whole_run_does(task):
    (curve,) = clusters.follow(task, clusters.by_events(optimizers.sgd(0.3), **EQUAL), TIMES)
    program = asynchronous.simulate(TIMES, pushes=16)
    first, second = split(program, 2)
    length = 2 * len(first.kind)
    whole = asynchronous.Program(*(column[:length] for column in program))
    ended = clusters.to_server(task, whole, workers=2)(*task.start(optimizers.sgd(0.3), 0), task.train)
    assert curve.accuracy[-1] == pytest.approx(task.accuracy(ended))
    assert curve.time.tolist() == [first.time[-1], second.time[-1]]
    assert curve.messages == 32


def test_all_ways_compute_equally_many_gradients_and_the_barrier_costs_time(task):
    plans = {
        "synchronous": clusters.in_rounds(optimizers.sgd(0.3), **EQUAL).plan(TIMES),
        "backup": clusters.in_rounds(optimizers.sgd(0.3), backup=1, **EQUAL).plan(TIMES),
        "local": clusters.in_local_rounds(optimizers.sgd(0.3), local_steps=4, **EQUAL).plan(TIMES),
        "pairs": clusters.by_events(optimizers.sgd(0.3), order={"n_push": 2}, **EQUAL).plan(TIMES),
    }
    assert sum(part.size for part in plans["synchronous"].parts) == 16
    assert {name: plan.messages for name, plan in plans.items()} == {
        "synchronous": 32, "backup": 32, "local": 8, "pairs": 16}  # fmt: skip
    assert plans["backup"].time[-1] < 0.5 * plans["synchronous"].time[-1]


@pytest.mark.full
def test_rounds_can_be_followed(task):
    outer = optimizers.sgd(0.7, momentum=0.9)
    for way in (clusters.in_rounds(optimizers.sgd(0.3), **EQUAL),
                clusters.in_local_rounds(optimizers.sgd(0.3), local_steps=4, outer=outer, **EQUAL),
                clusters.by_events(optimizers.sgd(0.3), run=partial(asynchronous.easgd, alpha=0.4),
                                   begin=asynchronous.local_cluster, order={"n_push": 4, "n_fetch": None},
                                   **EQUAL)):  # fmt: skip
        one, other = clusters.follow(task, way, TIMES, seeds=2)
        assert one.accuracy.shape == one.time.shape == (2,)
        assert (one.time != other.time).all()  # a seed has times of its own
        assert one.accuracy[-1] > 0.5


def test_parts_must_have_events():
    with pytest.raises(ValueError, match="`parts` must be between 1 and the 6 events; received 7"):
        split(asynchronous.in_turns(1, 2), 7)
