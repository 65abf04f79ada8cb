"""Trainings of many kinds on the one core: each learns, resumes, is placed, and is a member of a population."""

import inspect

import jax
import numpy as np
import other_objectives
import pytest
from other_objectives import BATCH, CASES, EPOCHS, TRIALS, assert_identical, plain, run, start
from rings import first_of
from tolerances import assert_close

from jaxnn import parallel, populations, training
from jaxnn.populations import grid, members_of
from jaxnn.training import (
    Progress,
    Stream,
    copy_state,
    host_loop,
)
from jaxnn.training.batching import shuffled_order
from jaxnn.training.checked_arguments import as_constants
from jaxnn.training.engine import Resident, run_steps
from jaxnn.training.evaluation import on_device

MOST_LINES = 25
PARTS = {"gan": ("GameStep", "gan"), "outputs": ("Branches", "branches")}
EVERY = first_of("name", CASES, kind=lambda name: name == "gan")  # whose state is of its own kind


@pytest.mark.parametrize("name", CASES)
def test_each_takes_few_lines(name):
    parts = PARTS.get(name, [CASES[name].build.__name__])
    lines = [line.strip() for part in parts for line in inspect.getsource(getattr(other_objectives, part)).splitlines()]
    assert len([line for line in lines if line and not line.startswith('"""')]) <= MOST_LINES


@EVERY
def test_each_learns(name):
    history = run(name, epochs=20).history
    assert history[-1]["train/loss"] < 0.8 * history[0]["train/loss"]


@EVERY
def test_each_resumes_bit_for_bit_at_any_step_and_so_do_its_means(name, monkeypatch):
    monkeypatch.setattr(host_loop, "FIRST_CALL", 1)
    monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", 0.0)
    whole, reached = run(name), []
    for last in range(1, 8):
        stop = lambda event, last=last: isinstance(event, Progress) and event.step >= last
        stopped = run(name, hooks=[stop])
        again = run(name, stopped.state, totals=stopped.totals, history=stopped.history)
        reached.append(int(stopped.state.step))
        assert_identical(again.state, whole.state)
        assert [*stopped.history, *again.history] == whole.history
    assert reached == [2, 3, 4, 4, 6, 7, 8]  # a step was running when the hook heard of the one before


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_each_begins_anywhere(name):
    """From every step, the first included."""
    case, step, whole = CASES[name], TRIALS[name].step, run(name)
    order = shuffled_order(27, BATCH, whole.state.key, 0)
    data = Resident(on_device(case.data), as_constants(case.constants, case.data))
    for steps in range(4):
        state = copy_state(TRIALS[name].init(*start(name).args))
        state, _ = run_steps(step, state, data, order, first=0, last=steps, fused=True)
        assert_identical(run(name, state).state, whole.state)


@first_of("name", CASES)
@first_of(("placement", "devices"), [(p, n) for p in ("automatic", "shard_map") for n in (8, 2, 1)])
def test_each_ends_at_the_parameters_of_one_device(name, placement, devices):
    """Where the mathematics allows it: on devices of `shard_map` each draws for its rows, and they are its batch."""
    case, there = CASES[name], parallel.placement(placement, jax.devices()[:devices])
    ours, theirs = run(name, placement=there), run(name)
    off = max(float(np.abs(a - b).max()) for a, b in zip(*map(floats, (ours.state, theirs.state)), strict=True))
    if placement == "shard_map" and devices > 1 and (case.draws or case.of_batch):
        assert off > 1e-4
    else:
        assert off <= 1e-6
        assert ours.history[-1] == pytest.approx(theirs.history[-1], rel=1e-5)


def floats(state):
    return [leaf for leaf in jax.tree.leaves(plain(state)) if leaf.dtype.kind == "f"]


@EVERY
def test_each_is_a_member_of_a_population(name):
    case, own = CASES[name], {"epochs": EPOCHS, "batch_size": BATCH, "constants": CASES[name].constants}
    validation = None if TRIALS[name].objective is None else case.data
    members = members_of(grid(learning_rate=[case.rate, case.rate / 2]), seeds=[0, 1])
    settings = own | {"validation": validation, "devices": jax.devices()[:1]}
    population = populations.train(case.build, case.data, members, **settings)
    for i in (0, 1):  # of the rate of `TRIALS`
        alone = run(name, start(name, seed=i), validation=validation)
        assert_close(floats(population.states[i]), floats(alone.state), rtol=2e-5)
        for metric, values in population.history.items():
            assert values[:, i] == pytest.approx([row[metric] for row in alone.history], rel=1e-4)
    assert any((a != b).any() for a, b in zip(*(floats(population.states[i]) for i in (0, 2)), strict=True))


@pytest.mark.full
def test_devices_draw_for_their_rows_where_each_has_a_batch_of_its_own():
    """On two devices of `shard_map` a step is that of the mean over halves, each of which is a batch."""
    trial, rows = TRIALS["triplet"], first_rows("triplet", 16)
    state = copy_state(trial.init(*start("triplet").args))
    halves = [{name: array[part] for name, array in rows.items()} for part in (slice(0, 8), slice(8, 16))]
    gradients = [jax.jit(trial.step.gradient)(state, half)[0] for half in halves]
    expected = state.params - CASES["triplet"].rate * (gradients[0] + gradients[1]) / 2
    ends = [one_step("triplet", state, rows, name) for name in ("shard_map", "automatic")]
    np.testing.assert_allclose(ends[0], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ends[1], jax.jit(trial.step)(state, rows)[0].params, rtol=0, atol=1e-6)
    assert np.abs(ends[0] - ends[1]).max() > 1e-4


def first_rows(name, count):
    """A batch of which each half has all classes."""
    rows = np.arange(27).reshape(3, 9).T.ravel()[:count]
    return {name: array[rows] for name, array in CASES[name].data.items()} | {"mask": np.ones(count, bool)}


def one_step(name, state, rows, placement):
    stream = Stream(lambda epoch, first: [rows], steps_per_epoch=1, batch_size=len(rows["mask"]))
    there = parallel.placement(placement, jax.devices()[:2])
    return np.asarray(training.train(TRIALS[name].step, state, stream, epochs=1, placement=there).state.params)
