"""What is special in steps and objectives of one's own: constants, outputs, hashes, and what is refused."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import other_objectives
import pytest
from other_objectives import BATCH, CASES, TRIALS, assert_identical, run, start
from rings import first_of

from jaxnn import parallel, populations, training
from jaxnn.optimizers import sgd
from jaxnn.populations import grid, members_of
from jaxnn.training import (
    Measures,
    Start,
    TrainStep,
    evaluate_objective,
    make_trial,
)
from jaxnn.training.compilation import bind
from jaxnn.training.engine import many_steps
from jaxnn.training.placement_contract import ONE_DEVICE


def test_a_constant_is_an_argument_of_the_program_and_no_part_of_the_state():
    """Another teacher is no new trace, and the same large one is not in the program's text."""
    traces, case = [], CASES["distillation"]
    trial = case.build({"learning_rate": case.rate})
    counted = lambda *args, **how: traces.append(1) or trial.objective(*args, **how)
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


@pytest.mark.full
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
    plain = lambda state, batch: trial.step(state, batch)
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
