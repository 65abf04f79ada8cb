import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import populations
from jaxnn.optimizers import sgd
from jaxnn.populations import members_of
from jaxnn.populations.ensembles import average_probabilities
from jaxnn.populations.member_predictions import predict_members
from jaxnn.populations.snapshots import Snapshots, average_parameters
from jaxnn.schedules import warm_restarts
from jaxnn.training import TrainState, evaluate, fit, predict

LINEAR = (
    lambda key, x: {"w": jax.random.normal(key, (x.shape[-1], 3)), "b": jnp.zeros(3)},
    lambda params, x: x @ params["w"] + params["b"][None],
)
OPTIMIZER = sgd(warm_restarts(0.5, steps=6))


def blobs(n=60, *, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=n).astype(np.int32)
    return {"image": (np.eye(3, 4)[label] + rng.normal(size=(n, 4))).astype(np.float32), "label": label}


def run(epochs, **more):
    return fit(LINEAR, blobs(), optimizer=OPTIMIZER, epochs=epochs, batch_size=20, validation=blobs(seed=1), **more)


@pytest.mark.full
def test_snapshots_are_the_states_of_shorter_runs():
    """Were they no copies, the run that goes on would have given their memory to its next step."""
    snapshots = Snapshots(2)
    last = run(7, hooks=[snapshots]).state
    assert snapshots.epochs == [2, 4, 6]
    for state, epochs in zip(snapshots.states, snapshots.epochs, strict=True):
        shorter = run(epochs).state
        assert_close(state.params, shorter.params, rtol=0)
        assert int(state.step) == int(shorter.step) == 3 * epochs
        assert (jax.random.key_data(state.key) == jax.random.key_data(shorter.key)).all()
    assert np.abs(snapshots.states[-1].params["w"] - last.params["w"]).max() > 1e-4


@pytest.mark.full
def test_a_run_can_go_on_from_a_snapshot_and_its_snapshots_are_added():
    snapshots = Snapshots(2)
    whole = run(6, hooks=[snapshots])
    continued = Snapshots(2)
    run(4, hooks=[continued])
    resumed = run(6, hooks=[continued], state=jax.device_put(continued.states[-1]))
    assert continued.epochs == snapshots.epochs
    assert_close(resumed.state.params, whole.state.params, rtol=0)
    run(2, hooks=[continued])
    assert continued.epochs == [2]  # a new run, not a longer one


def test_they_are_a_population_with_the_history_until_then():
    test = blobs(seed=1)
    snapshots = Snapshots(2)
    fitted = run(5, hooks=[snapshots])
    population = snapshots.population(LINEAR)
    assert len(population) == 2
    expected = [evaluate(LINEAR, state, test)["loss"] for state in snapshots.states]
    np.testing.assert_allclose(population.last("validation/loss"), expected, rtol=1e-6)
    history = population.history["train/loss"]
    assert history.shape == (4, 2)
    assert np.isnan(history[2:, 0]).all()
    np.testing.assert_allclose(history[:, 1], [row["train/loss"] for row in fitted.history[:4]])
    outputs = predict_members(population, test["image"])
    for own, state in zip(outputs, snapshots.states, strict=True):
        assert_close(own, predict(LINEAR, state, test["image"]))
    assert average_probabilities(outputs).shape == (60, 3)


def test_a_hook_asks_for_no_stop():
    assert not run(3, hooks=[Snapshots(1)]).stopped


@pytest.mark.parametrize("every", [0, -2])
def test_refuses_cycles_of_no_epoch(every):
    with pytest.raises(ValueError, match=f"`every_epochs` must be at least 1; received {every}"):
        Snapshots(every)


def test_refuses_to_predict_before_the_first_and_to_watch_a_population():
    with pytest.raises(ValueError, match=r"at least one snapshot must have been taken.*for 3 epochs or more"):
        Snapshots(3).population(LINEAR)
    with pytest.raises(ValueError, match=r"must be a hook of training.fit.*received a population's event"):
        populations.fit(
            LINEAR, blobs(), members_of(), optimizer=sgd(0.1), epochs=1, batch_size=20, hooks=[Snapshots(1)]
        )


# -------------------------------------------------------------------------------------------- mean weights


def state(i, dtype=np.float32):
    params = {"w": np.full((2, 3), 3.0**i, dtype), "count": np.int32(i)}
    return TrainState(np.int32(i), params, {"mean": np.float32([i, -i])}, {"m": np.float32(i)}, jax.random.key(i), 0)


def test_the_mean_of_the_weights_and_the_rest_of_the_last():
    mean = average_parameters([state(0), state(1), state(2)])
    np.testing.assert_allclose(mean.params["w"], np.full((2, 3), 13 / 3), rtol=1e-7)
    np.testing.assert_allclose(mean.model_state["mean"], [1, -1])
    assert (mean.step, mean.params["count"], mean.opt_state["m"]) == (2, 2, 2)
    assert (jax.random.key_data(mean.key) == jax.random.key_data(jax.random.key(2))).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float32])
def test_the_dtype_is_kept_and_the_sum_is_wide(dtype):
    mean = average_parameters([state(1, dtype)] * 300)
    assert mean.params["w"].dtype == dtype
    assert (np.asarray(mean.params["w"], np.float32) == 3).all()


def test_of_a_linear_model_the_mean_of_the_weights_gives_the_mean_of_the_logits():
    snapshots, x = Snapshots(1), blobs(seed=1)["image"]
    run(4, hooks=[snapshots])
    logits = predict_members(snapshots.population(LINEAR), x)
    assert_close(predict(LINEAR, average_parameters(snapshots.states), x), logits.mean(axis=0))


def test_refuses_states_that_have_no_mean():
    with pytest.raises(ValueError, match="`states` must hold at least one TrainState; received none"):
        average_parameters([])
    other = state(1)._replace(params={"w": np.ones((3, 3), np.float32), "count": np.int32(1)})
    with pytest.raises(ValueError, match="`states` must be of one model; number 1 has the shapes"):
        average_parameters([state(0), other])
