"""Trainings of many kinds on the one core: each learns, resumes, is placed, and is a member of a population."""

import inspect
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import other_objectives
import pytest
from other_objectives import CASES
from rings import first_of
from tolerances import assert_close

from jaxnn import parallel, populations, training
from jaxnn.optimizers import sgd
from jaxnn.populations import grid, members_of
from jaxnn.training import (
    Measures,
    Progress,
    Start,
    Stream,
    TrainStep,
    copy_state,
    evaluate_objective,
    host_loop,
    make_trial,
)
from jaxnn.training.batching import Shuffle, first_example
from jaxnn.training.checked_arguments import as_constants
from jaxnn.training.compilation import bind
from jaxnn.training.engine import Resident, many_steps, run_steps
from jaxnn.training.evaluation import on_device
from jaxnn.training.placement_contract import ONE_DEVICE

EPOCHS, BATCH = 2, 8  # 27 examples: the last of an epoch's four batches is padding but for three
MOST_LINES = 25
PARTS = {"gan": ("GameStep", "gan"), "outputs": ("Branches", "branches")}
TRIALS = {name: case.build({"learning_rate": case.rate}) for name, case in CASES.items()}
EVERY = first_of("name", CASES, kind=lambda name: name == "gan")  # whose state is of its own kind


def start(name, seed=0):
    return Start(TRIALS[name].init, (jax.random.key(seed), first_example(CASES[name].data)))


def run(name, state=None, **how):
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "constants": CASES[name].constants, "fused": True} | how
    return training.train(TRIALS[name].step, state or start(name), CASES[name].data, **settings)


def plain(tree):
    """Typed keys as their bits."""
    is_key = lambda leaf: jax.dtypes.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def assert_identical(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, plain(ours), plain(theirs))


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
        stop = lambda event, last=last: isinstance(event, Progress) and event.step >= last  # noqa: E731
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
    order = Shuffle(27, BATCH)(whole.state.key, 0)
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


def test_a_constant_is_an_argument_of_the_program_and_no_part_of_the_state():
    """Another teacher is no new trace, and the same large one is not in the program's text."""
    traces, case = [], CASES["distillation"]
    trial = case.build({"learning_rate": case.rate})
    counted = lambda *args, **how: traces.append(1) or trial.objective(*args, **how)  # noqa: E731
    step, state = TrainStep(counted, trial.step.update), trial.init(*start("distillation").args)
    teachers = [{"w": jnp.asarray(case.constants["teacher"]["w"] * sign)} for sign in (1, -1)]
    ends = [
        training.train(
            step, state, case.data, epochs=2, batch_size=BATCH, constants={"teacher": teacher, "temperature": 2.0}
        )
        for teacher in teachers
    ]
    assert len(traces) == 1
    assert np.abs(ends[0].state.params - ends[1].state.params).max() > 0.1
    assert jax.tree.structure(ends[0].state) == jax.tree.structure(state)
    assert not teachers[0]["w"].is_deleted()


def test_constants_are_in_no_closure_of_what_is_compiled():
    trial, case = TRIALS["distillation"], CASES["distillation"]
    large = {"teacher": {"w": jnp.ones((2000, 3))}, "temperature": jnp.float32(1)}
    state, rows = trial.init(0, {"x": jnp.ones((1, 2000))}), {"x": jnp.ones((8, 2000))}
    order = np.arange(8, dtype=np.int32)[None]
    traced = jax.jit(bind(many_steps, trial.step)).trace(state, rows, large, order, np.int32(0), np.int32(1))
    assert sum(np.size(constant) for constant in traced.jaxpr.consts) < 100
    assert max(map(len, traced.lower().as_text().splitlines())) < 2000
    assert case.constants.keys() == large.keys()


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"x": 1.0}, r"must not have the names of a batch's fields; received \['x'\]"),
        ({"mask": 1.0}, r"must not have the names of a batch's fields; received \['mask'\]"),
        ({"teacher": "large"}, r"`constants` must hold arrays and numbers"),
    ],
)
def test_constants_that_would_hide_a_field_or_are_no_numbers_are_refused(constants, message):
    with pytest.raises(ValueError, match=message):
        run("denoising", constants=constants)
    with pytest.raises(ValueError, match=message):
        evaluate_objective(
            TRIALS["denoising"].objective, run("denoising").state, CASES["denoising"].data, constants=constants
        )
    with pytest.raises(ValueError, match=message):
        populations.train(CASES["denoising"].build, CASES["denoising"].data, RATES, constants=constants, epochs=1)


RATES = members_of(grid(learning_rate=[0.1]))


def test_validation_data_without_an_objective_are_refused():
    data = CASES["gan"].data
    with pytest.raises(ValueError, match="`objective` must be given where validation data are measured"):
        run("gan", validation=data)
    with pytest.raises(ValueError, match="`objective` must be given where validation data are measured"):
        populations.train(CASES["gan"].build, data, RATES, epochs=1, batch_size=8, validation=data)


def test_outputs_that_are_trees_are_predicted_as_such():
    outputs = training.predict(other_objectives.Branches(), run("outputs").state, other_objectives.DIGITS)
    assert {name: jax.tree.map(np.shape, tree) for name, tree in outputs.items()} == {
        "logits": ((27, 3), (27, 3)),
        "hidden": (27, 8),
    }


def test_an_evaluation_draws_the_same_at_every_call():
    state, measured = run("vae").state, []
    for _ in range(2):
        measured.append(evaluate_objective(TRIALS["vae"].objective, state, CASES["vae"].data))
    assert measured[0] == measured[1]
    assert set(measured[0]) == {"loss", "kl", "count"}


@first_of("fused", [True, False], ids=["fused", "stepwise"])
def test_a_step_of_ones_own_is_traced_once(fused):
    traces = []

    class Counted(other_objectives.GameStep):
        def __call__(self, state, batch):
            traces.append(1)
            return super().__call__(state, batch)

    trial = TRIALS["gan"]
    step, state = Counted(trial.step.critic, trial.step.generator), trial.init(*start("gan").args)
    for epochs in (1, 3):
        state = training.train(step, state, CASES["gan"].data, epochs=epochs, batch_size=BATCH, fused=fused).state
    assert len(traces) == 1


@dataclass
class Scaled:
    """An objective that has no hash, for it can be changed."""

    factor: np.ndarray

    def __call__(self, params, model_state, batch, keys, *, train):
        return Measures(((batch["x"] @ params - batch["x"]) ** 2).sum(axis=-1) * self.factor), model_state


@first_of("placement", ["shard_map", "automatic"])
def test_what_has_no_hash_is_served(placement):
    data, optimizer = CASES["vae"].data, sgd(0.01)
    trial = make_trial(Scaled(np.float32(2)), optimizer, lambda key, example: (jnp.zeros((6, 6)), {}))
    settings = {"epochs": 1, "batch_size": BATCH, "validation": data}
    there = parallel.placement(placement, jax.devices()[:2])
    placed, alone = (
        training.train(trial.step, trial.init(0, data), data, **settings, placement=p) for p in (there, ONE_DEVICE)
    )
    np.testing.assert_allclose(placed.state.params, alone.state.params, rtol=0, atol=1e-6)
    assert placed.history[0] == pytest.approx(alone.history[0], rel=1e-5)


def test_a_step_that_knows_no_axis_is_refused_where_each_device_has_a_part():
    trial, data = TRIALS["denoising"], CASES["denoising"].data
    plain = lambda state, batch: trial.step(state, batch)  # noqa: E731
    there = parallel.placement("shard_map", jax.devices()[:2])
    with pytest.raises(ValueError, match="`step` must be a dataclass with a field `axis_name`"):
        training.train(plain, trial.init(0, data), data, epochs=1, batch_size=BATCH, placement=there)
    build, shares = lambda values: trial._replace(step=plain), {"devices": jax.devices()[:2], "data_shards": 2}
    with pytest.raises(ValueError, match="`step` must be a dataclass with a field `axis_name`"):
        populations.train(build, data, members_of(), epochs=1, batch_size=BATCH, **shares)


def test_a_step_of_ones_own_without_a_hash_is_served():
    trial, data = TRIALS["denoising"], CASES["denoising"].data

    @dataclass
    class Changeable:
        objective: object
        calls: int = 0

        def __call__(self, state, batch):
            self.calls += 1
            return trial.step(state, batch)

    step = Changeable(trial.objective)
    ours = training.train(step, trial.init(0, data), data, epochs=1, batch_size=BATCH, validation=data)
    theirs = training.train(trial.step, trial.init(0, data), data, epochs=1, batch_size=BATCH, validation=data)
    assert_identical(ours.state, theirs.state)
    assert ours.history == theirs.history
    assert step.calls == 1


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda state, batch: state._replace(step=state.step + 1), r"must return \(state, metrics\).*a TrainState"),
        (lambda state, batch: (state, {"loss": jnp.float32(1)}), r"pairs \(sum, count\) of numbers; 'loss' is"),
        (lambda state, batch: (state, {"loss": (batch["x"][:, 0], batch["mask"])}), r"pairs \(sum, count\) of numbers"),
    ],
)
@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_returns_something_else_is_refused(step, message, fused):
    data = CASES["denoising"].data
    with pytest.raises(ValueError, match=message):
        training.train(step, TRIALS["denoising"].init(0, data), data, epochs=1, batch_size=BATCH, fused=fused)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": np.array(["a"] * 27)}, r"`data\['x'\]` must hold numbers"),
        ({"x": np.arange(27) + 2**33}, r"`data\['x'\]` must fit into 32 bits"),
        ({"x": np.full((27, 6), np.nan)}, r"`data\['x'\]` must be finite; example 0 is not, one of 27"),
        ((batch for batch in []), "`data` must be a dict of arrays, or a Stream; received a generator"),
    ],
)
def test_data_that_no_device_can_hold_are_refused(data, message):
    trial = TRIALS["denoising"]
    with pytest.raises(ValueError, match=message):
        training.train(trial.step, trial.init(0, CASES["denoising"].data), data, epochs=1, batch_size=BATCH)


def test_a_start_takes_a_seed_and_data_of_any_form():
    trial, data = TRIALS["denoising"], {"x": CASES["denoising"].data["x"].tolist()}
    fitted = training.train(trial.step, Start(trial.init, (0, CASES["denoising"].data)), data, epochs=2, batch_size=8)
    assert_identical(fitted.state, run("denoising").state)
