import dataclasses
import os
import subprocess
import sys
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import populations, training
from jaxnn.layers import dropout
from jaxnn.losses import cross_entropy
from jaxnn.models import LeNet5
from jaxnn.optimizers import adam, sgd
from jaxnn.populations import Member, bootstraps, grid, k_fold, members_of
from jaxnn.populations.members import groups_of
from jaxnn.training import Compiled, Evaluated, Progress, Started
from jaxnn.training.early_stopping import epochs_since_best


def blobs(n=60, *, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=n).astype(np.int32)
    return {"image": (np.eye(4)[label] * 2 + rng.normal(size=(n, 4)) / 2).astype(np.float32), "label": label}


class Net(nn.Module):
    width: int = 8
    dropout_rate: float | None = None
    axis_name: str | None = None  # of devices that share a batch

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.tanh(nn.Dense(self.width)(x))
        if train and self.dropout_rate is not None:
            x = dropout(self.make_rng("dropout"), x, rate=self.dropout_rate)
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)(x))


DATA, TEST = blobs(), blobs(30, seed=1)
ONE = jax.devices()[:1]
fit = partial(populations.fit, Net(), DATA, optimizer=adam, batch_size=16, epochs=2, devices=ONE)


def alone(member, model=None, *, optimizer, data=DATA, validation=TEST, **more):
    """The same run by `training.fit`."""
    if member.split is not None:
        data, validation = ({k: v[rows] for k, v in data.items()} for rows in member.split)
    settings = {"epochs": 2, "batch_size": 16, "key": member.seed, "validation": validation} | more
    return training.fit(model or Net(), data, optimizer=optimizer, **settings)


def assert_same_run(population, i, fitted, rtol=2e-5):
    assert_close(population.states[i].params, jax.device_get(fitted.state.params), rtol=rtol)
    assert_close(population.states[i].model_state, jax.device_get(fitted.state.model_state), rtol=rtol)
    assert int(population.states[i].step) == int(fitted.state.step)
    for epoch, line in enumerate(fitted.history):
        for name in ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy"):
            assert population.history[name][epoch, i] == pytest.approx(line[name], rel=1e-4)


@pytest.mark.full
@pytest.mark.parametrize("mapping", ["vmap", "map"])
def test_each_member_equals_the_same_run_alone_over_seeds_and_rates(mapping):
    members = members_of(grid(learning_rate=[1e-3, 1e-2]), seeds=[3, 4])
    population = fit(members=members, validation=TEST, mapping=mapping)
    for i, member in enumerate(members):
        assert_same_run(population, i, alone(member, optimizer=adam(**member.hyperparameters)))


@pytest.mark.full
def test_members_of_one_seed_share_their_batches_and_equal_the_run_alone():
    members = members_of(grid(learning_rate=[1e-3, 1e-2, 3e-2]), seeds=[5])
    population = fit(members=members, validation=TEST)
    for i, member in enumerate(members):
        assert_same_run(population, i, alone(member, optimizer=adam(**member.hyperparameters)))


@pytest.mark.full
@pytest.mark.parametrize("splits", [k_fold(60, 3), bootstraps(60, 3)], ids=["folds", "bootstraps"])
def test_each_member_learns_from_its_rows_and_is_tested_on_the_rest(splits):
    members = members_of([{"learning_rate": 1e-2}], splits=splits)
    population = fit(members=members)
    assert len({len(split.train) for split in splits}) == 1 == len(groups_of(members))  # one program
    for i, member in enumerate(members):
        assert_same_run(population, i, alone(member, optimizer=adam(1e-2)))


@pytest.mark.full
def test_folds_of_unequal_size_are_programs_of_their_own():
    members = members_of([{"learning_rate": 1e-2}], splits=k_fold(60, 7))
    population = fit(members=members)
    for i in (0, 6):
        assert_same_run(population, i, alone(members[i], optimizer=adam(1e-2)))


@pytest.mark.full
def test_hyperparameters_of_optimizer_loss_model_and_start():
    settings = grid(learning_rate=[1e-2], b1=[0.8, 0.9], label_smoothing=[0.1], dropout_rate=[0.3, 0.45])
    settings = [setting | {"init.scale": 0.5} for setting in settings]
    members = members_of(settings)
    population = fit(members=members, validation=TEST)
    for i, member in [(0, members[0]), (3, members[3])]:
        given = member.hyperparameters
        model, optimizer = Net(dropout_rate=given["dropout_rate"]), adam(1e-2, b1=given["b1"])
        state = training.init_state(model, optimizer, DATA["image"][:1], key=0)
        halved = jax.tree.map(lambda p: p / 2 if p.ndim > 1 else p, state.params)
        start = state._replace(params=halved, opt_state=optimizer.init(halved))
        loss = partial(cross_entropy, label_smoothing=0.1)
        assert_same_run(population, i, alone(member, model, optimizer=optimizer, loss=loss, state=start), rtol=1e-4)


@pytest.mark.full
def test_an_integer_scales_the_start_as_the_float_does():
    scaled = [fit(members=members_of([{"learning_rate": 1e-30, "init.scale": s}]), epochs=1) for s in (2, 2.0)]
    assert_close(*(population.states[0].params for population in scaled))
    plain = fit(members=members_of([{"learning_rate": 1e-30}]), epochs=1).states[0].params
    kernel = lambda params: params["Dense_0"]["kernel"]
    assert_close(kernel(scaled[0].states[0].params), 2 * kernel(plain), rtol=1e-5)


@pytest.mark.full
def test_the_keywords_of_a_pair_of_functions_are_hyperparameters():
    pair = (lambda key, x: {"w": jnp.ones((4, 3))}, lambda params, x, *, gain: gain * (x @ params["w"]))
    members = members_of(grid(gain=[1.0, 2.0], learning_rate=[0.1]))
    population = populations.fit(pair, DATA, members, optimizer=sgd, batch_size=60, epochs=1)
    for i, gain in enumerate([1.0, 2.0]):
        loss = lambda w, gain=gain: cross_entropy(gain * (DATA["image"] @ w), DATA["label"]).mean()
        expected = jnp.ones((4, 3)) - 0.1 * jax.grad(loss)(jnp.ones((4, 3)))
        assert_close(population.states[i].params["w"], expected)


@pytest.mark.full
def test_widths_and_batch_sizes_are_programs_of_their_own():
    members = members_of(grid(width=[4, 8], batch_size=[16, 30], learning_rate=[1e-2]))
    population = fit(members=members, validation=TEST)
    for i, member in [(0, members[0]), (3, members[3])]:
        given = member.hyperparameters
        optimizer = adam(given["learning_rate"])
        run = alone(member, Net(width=given["width"]), optimizer=optimizer, batch_size=given["batch_size"])
        assert_same_run(population, i, run)
        assert population.models[i].width == given["width"]


def test_one_compilation_for_the_whole_sweep_and_for_another_one_like_it():
    traces = []
    counting = lambda outputs, targets: traces.append(1) or cross_entropy(outputs, targets)
    first = members_of(grid(learning_rate=np.geomspace(1e-4, 1e-1, 6).tolist()), seeds=[0, 1])
    fit(members=first, loss=counting, chunk=5)  # three chunks, the last one filled up
    seen = len(traces)
    assert seen <= 3  # memory, and steps: no evaluation here
    second = members_of(grid(learning_rate=np.geomspace(1e-5, 1.0, 6).tolist()), seeds=[2, 3])
    fit(members=second, loss=counting, chunk=5)
    assert len(traces) == seen


@pytest.mark.full
def test_chunks_change_nothing():
    members = members_of(grid(learning_rate=[1e-4, 3e-4, 1e-3, 3e-3, 1e-2]), seeds=[1])
    whole = fit(members=members, validation=TEST)
    chunked = fit(members=members, validation=TEST, chunk=2)
    for a, b in zip(whole.states, chunked.states, strict=True):
        assert_close(a.params, b.params, rtol=1e-4)


TIGHT = 35_000  # bytes: one member in work, and not the states of forty


@pytest.mark.full
def test_little_memory_means_smaller_chunks_and_states_on_the_host():
    members = members_of(grid(learning_rate=np.geomspace(1e-3, 1e-1, 40).tolist()))
    whole = fit(members=members, validation=TEST)
    tight = fit(members=members, validation=TEST, memory=TIGHT)
    for a, b in zip(whole.states, tight.states, strict=True):
        assert_close(a.params, b.params, rtol=1e-4)
    with pytest.raises(ValueError, match=r"one member needs about .* MiB .*; 9\.54e-05 MiB may be filled.*memory="):
        fit(members=members, memory=100)


@pytest.mark.full
def test_a_smaller_population_in_chunks_of_one_size_compiles_nothing():
    traces = []
    counting = lambda outputs, targets: traces.append(1) or cross_entropy(outputs, targets)
    members = members_of(grid(learning_rate=np.geomspace(1e-3, 1e-1, 7).tolist()))
    first = fit(members=members, loss=counting, chunk=2)
    seen = len(traces)
    best = first.select([4, 1, 5])
    fit(members=best.members, loss=counting, chunk=2, population=best, epochs=4)
    assert len(traces) == seen
    with pytest.raises(ValueError, match="`chunk` must be at most the 1 members that fit into memory; received 2"):
        fit(members=members, chunk=2, memory=TIGHT)


@pytest.mark.full
def test_who_diverges_is_marked_and_does_not_stop_the_others():
    members = members_of(grid(learning_rate=[0.05, 1e38, 0.1]))
    population = populations.fit(Net(), DATA, members, optimizer=sgd, batch_size=16, epochs=3, validation=TEST)
    assert population.diverged.tolist() == [False, True, False]
    assert population.epochs[1] < 3
    assert np.isnan(population.history["validation/loss"][-1, 1])
    assert_same_run(population, 2, alone(members[2], optimizer=sgd(0.1), epochs=3))
    assert population.best("validation/accuracy") != 1


@pytest.mark.full
def test_who_stalls_stops_and_costs_nothing_once_a_chunk_is_free():
    members = members_of(grid(learning_rate=[1e-30, 1e-2, 2e-30, 2e-2]))  # two never improve
    work, found = [], {}
    hook = lambda event: work.append(event.examples) if isinstance(event, Progress) else None
    settings = {"epochs": 5, "patience": 2, "monitor": "validation/loss", "chunk": 2}
    population = fit(members=members, validation=TEST, hooks=[hook], **settings)
    assert population.epochs.tolist() == [3, 5, 3, 5]
    assert sum(work) == 60 * (3 * 4 + 2 * 2)
    for i in (1, 3):
        found[i] = alone(members[i], optimizer=adam(**members[i].hyperparameters), epochs=5)
        assert_same_run(population, i, found[i])
    stopped = alone(members[0], optimizer=adam(1e-30), epochs=3)
    assert_same_run(population, 0, stopped)


@pytest.mark.full
def test_who_stalls_beside_a_member_that_goes_on_keeps_the_state_of_then():
    members = members_of(grid(learning_rate=[1e-5, 1e-2]))
    start = fit(members=members, validation=TEST, epochs=1)
    worse = dataclasses.replace(
        start, history=start.history | {"validation/loss": start.history["validation/loss"] * [0, 1]}
    )
    population = fit(members=members, validation=TEST, epochs=5, patience=2, population=worse)
    assert population.epochs.tolist() == [3, 5]
    assert int(population.states[0].step) == 3 * 4
    check = alone(members[0], optimizer=adam(1e-5), epochs=3).state.params
    assert_close(population.states[0].params, jax.device_get(check), rtol=2e-5)


@pytest.mark.full
def test_goes_on_where_it_was_and_with_other_rates():
    members = members_of(grid(learning_rate=[1e-3, 1e-2]), seeds=[3, 4])
    through = fit(members=members, validation=TEST, epochs=4)
    half = fit(members=members, validation=TEST, epochs=2)
    resumed = fit(members=members, validation=TEST, epochs=4, population=half)
    for a, b in zip(through.states, resumed.states, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    np.testing.assert_array_equal(resumed.history["validation/loss"], through.history["validation/loss"])
    frozen = [member._replace(hyperparameters={"learning_rate": 1e-30}) for member in members]
    still = fit(members=frozen, epochs=3, population=half.select([0, 1, 2, 3]))
    assert_close(still.states[0].params, half.states[0].params)


@pytest.mark.full
def test_hooks_hear_of_the_whole_and_may_stop_it():
    events = []
    members = members_of(grid(learning_rate=[1e-3, 1e-2, 1e-1]))
    stop = lambda event: events.append(event) or isinstance(event, Evaluated)
    population = fit(members=members, validation=TEST, epochs=3, hooks=[stop])
    assert [type(event) for event in events] == [Started, Compiled, Progress, Evaluated]
    assert events[0].steps == 3 * 3 * 4
    assert events[2].step == 3 * 4 == events[3].step
    assert events[3].metrics["validation/loss"] == np.median(population.history["validation/loss"][0])
    assert events[3].state().epochs.tolist() == [1, 1, 1] == population.epochs.tolist()


@pytest.mark.full
def test_convolutions_are_mapped_one_after_the_other_on_cpu():
    rng = np.random.default_rng(0)
    data = {"image": rng.integers(0, 255, (20, 28, 28, 1), np.uint8), "label": rng.integers(0, 10, 20).astype(np.int32)}
    members = members_of(grid(learning_rate=[1e-3, 1e-2]))
    population = populations.fit(LeNet5(), data, members, optimizer=adam, batch_size=10, epochs=1)
    run = alone(members[1], LeNet5(), optimizer=adam(1e-2), data=data, epochs=1, batch_size=10, validation=None)
    assert_close(population.states[1].params, jax.device_get(run.state.params))
    kernels = {"conv": jnp.zeros((3, 3, 1, 1))}, {"dense": jnp.zeros((3, 3))}
    chosen = [populations.mapping.choose_mapping(params) for params in kernels]
    assert chosen == (["map", "vmap"] if jax.default_backend() == "cpu" else ["vmap", "vmap"])


ONE_ORDER, ORDERS = (
    members_of(grid(learning_rate=[0.03, 0.1, 0.3])),
    members_of([{"learning_rate": 0.1}], seeds=[3, 4, 5]),
)


@pytest.mark.full
@pytest.mark.parametrize(
    ("shards", "mapping", "members"), [(4, "vmap", ORDERS), (2, "map", ONE_ORDER)], ids=["2 x 4", "4 x 2"]
)
def test_members_whose_batches_are_divided_equal_the_run_alone_batch_norm_and_all(shards, mapping, members):
    """To 1e-6; three members do not fill the shares of devices, nor examples the last batch, nor tests their parts."""
    settings = {"validation": TEST, "mapping": mapping, "devices": jax.devices(), "data_shards": shards}
    population = populations.fit(
        Net(axis_name="data"), DATA, members, optimizer=sgd, batch_size=16, epochs=2, **settings
    )
    for i in (0, 2):
        fitted = alone(members[i], optimizer=sgd(**members[i].hyperparameters))
        assert_same_run(population, i, fitted)
        for name in ("params", "model_state"):
            ours, theirs = (jax.tree.leaves(getattr(s, name)) for s in (population.states[i], fitted.state))
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=1e-6)


@pytest.mark.full
def test_members_spread_over_devices_equal_those_on_one():
    code = """
import numpy as np, jax
from test_population_training import *
assert len(jax.devices()) == 4
members = members_of(grid(learning_rate=[1e-3, 1e-2, 3e-2]), seeds=[1, 2])
for mapping in ("vmap", "map"):
    spread = fit(members=members, validation=TEST, mapping=mapping, devices=None)
    one = fit(members=members, validation=TEST, mapping=mapping)
    for a, b in zip(spread.states, one.states, strict=True):
        assert_close(a.params, b.params, rtol=1e-4)
    np.testing.assert_allclose(spread.history["validation/loss"], one.history["validation/loss"], rtol=1e-5)
print("equal")
"""
    paths = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, "at least one member"),
        ({"members": [Member(0, {"learning_rat": 0.1})]}, "'learning_rat'; did you mean 'learning_rate'"),
        ({"members": [Member(0, {"learning_rate": 0.1}), Member(0, {})]}, "all members must set the same"),
        ({"members": [Member(0, {"learning_rate": float("nan")})]}, "must be finite; member 0 has nan"),
        ({"epochs": 0}, "`epochs` must be at least 1"),
        ({"patience": 0}, "`patience` must be at least 1"),
        ({"chunk": 0}, "`chunk` must be at least 1"),
        ({"data_shards": 2}, "`data_shards` must divide the number of devices; received 2 for 1. Pass `devices="),
        ({"data_shards": 3, "devices": jax.devices()[:6]}, "the 3 devices .* received 16. Take 15"),
        ({"members": [Member(0, {"learning_rate": 0.1, "batch_size": 8.0})]}, "must be an integer; member 0 has 8.0"),
        ({"batch_size": 61}, "between 1 and the number of examples, 60"),
        ({"mapping": "pmap"}, "unknown mapping 'pmap'"),
        ({"members": members_of([{"learning_rate": 0.1}], splits=k_fold(70, 2))}, r"lie in \[0, 60\)"),
        ({"members": [Member(0, {"learning_rate": 0.1}, split) for split in (None, k_fold(60, 2)[0])]}, "or none"),
    ],
)
def test_bad_arguments_are_refused_with_a_remedy(changes, message):
    with pytest.raises(ValueError, match=message):
        fit(**{"members": members_of([{"learning_rate": 0.1}])} | changes)


def test_a_name_that_two_pieces_take_is_ambiguous():
    smoothed = lambda learning_rate, label_smoothing: sgd(learning_rate)
    with pytest.raises(ValueError, match=r"must name one of \['optimizer.label_smoothing', 'loss.label_smoothing'\]"):
        fit(members=members_of([{"learning_rate": 0.1, "label_smoothing": 0.1}]), optimizer=smoothed)


def test_epochs_since_best_ignores_nan():
    assert epochs_since_best(np.array([[2.0, np.nan], [1.0, np.nan], [np.nan, 3.0]])).tolist() == [1, 0]
