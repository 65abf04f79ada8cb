"""Batches that come one after another: the same training as that of arrays on the device."""

import jax
import numpy as np
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn import parallel, training
from jaxnn.losses import cross_entropy
from jaxnn.optimizers import adam
from jaxnn.training import Evaluated, Measures, Progress, Started, Stream, engine, host_loop, make_trial
from jaxnn.training.batching import shuffled_order, take_batch

RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(29, 4)).astype(np.float32), "label": (np.arange(29) % 3).astype(np.int32)}
KEY, BATCH, STEPS, EPOCHS = jax.random.key(0), 8, 4, 3  # the last batch of an epoch is padding but for five


def objective(params, model_state, batch, keys, *, train):
    x = batch["x"] + jax.random.normal(keys["noise"], batch["x"].shape) / 100 if train else batch["x"]
    loss = cross_entropy(x @ params, batch["label"])
    return Measures(loss, {"right": 1.0 * ((x @ params).argmax(axis=-1) == batch["label"])}), model_state


TRIAL = make_trial(objective, adam(0.05), lambda key, example: (jax.random.normal(key, (4, 3)), {}))
START = TRIAL.init(KEY, DATA)


def batches(epoch, first):
    """A generator of the batches that arrays on the device would have, the mask among their fields."""
    for rows in np.asarray(shuffled_order(len(DATA["x"]), BATCH, KEY, epoch))[first:]:
        yield {name: np.asarray(array) for name, array in take_batch(DATA, rows).items()}


class Loader:
    """An object that keeps nothing of where it is."""

    def __init__(self, data):
        self.data = data

    def batches(self, epoch, first):
        return list(batches(epoch, first))


STREAM = Stream(batches, steps_per_epoch=STEPS, batch_size=BATCH)


def run(data=STREAM, state=START, **how):
    return training.train(TRIAL.step, state, data, **{"epochs": EPOCHS, "batch_size": BATCH} | how)


def weights(fitted):
    return np.asarray(fitted.state.params)


def changed(**changes):
    """A stream whose batches of one step, by (epoch, step), are something else."""

    def source(epoch, first):
        for step, batch in enumerate(batches(epoch, first), start=first):
            change = changes.get(f"at_{epoch}_{step}", lambda batch: batch)
            yield change(batch)

    return Stream(source, steps_per_epoch=STEPS, batch_size=BATCH)


@first_of("source", [batches, Loader(DATA).batches], ids=["generator", "loader"])
def test_ends_where_the_same_batches_on_the_device_do(source):
    streamed, resident = run(Stream(source, STEPS, BATCH), validation=DATA), run(DATA, fused=False, validation=DATA)
    assert_close(weights(streamed), weights(resident))
    assert int(streamed.state.examples) == int(resident.state.examples) == 29 * EPOCHS
    for ours, theirs in zip(streamed.history, resident.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


@first_of(("placement", "devices"), [(p, n) for p in ("automatic", "shard_map", "fully_sharded") for n in (8, 2)])
def test_ends_at_the_parameters_of_one_device(placement, devices):
    """But for the noise, which on devices of `shard_map` is drawn for each one's rows."""
    there = parallel.placement(placement, jax.devices()[:devices])
    limit = 0.01 if placement == "shard_map" else 1e-6
    np.testing.assert_allclose(weights(run(placement=there)), weights(run()), rtol=0, atol=limit)


def test_resumes_bit_for_bit_at_any_step(monkeypatch):
    monkeypatch.setattr(host_loop, "FIRST_CALL", 1)
    monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", 0.0)
    whole, opened = run(), []
    source = lambda epoch, first: opened.append((epoch, first)) or batches(epoch, first)
    for last in range(1, STEPS * EPOCHS):
        stop = lambda event, last=last: isinstance(event, Progress) and event.step >= last
        stopped = run(hooks=[stop])
        opened.clear()
        again = run(Stream(source, STEPS, BATCH), stopped.state, totals=stopped.totals, history=stopped.history)
        np.testing.assert_array_equal(weights(again), weights(whole))
        assert [*stopped.history, *again.history] == whole.history
        place = divmod(int(stopped.state.step), STEPS)
        assert opened == [place, *((epoch, 0) for epoch in range(place[0] + 1, EPOCHS))][: EPOCHS - place[0]]


def test_hooks_hear_what_they_hear_of_arrays():
    told = {"stream": [], "arrays": []}
    for data, name in ((STREAM, "stream"), (DATA, "arrays")):
        run(data, fused=False, hooks=[told[name].append])
    assert told["stream"][0] == told["arrays"][0] == Started(0, STEPS * EPOCHS, STEPS, BATCH)
    ends = [[(e.step, e.epoch) for e in told[name] if isinstance(e, Evaluated)] for name in told]
    assert ends[0] == ends[1] == [(4, 1), (8, 2), (12, 3)]
    assert [e.step for e in told["stream"] if isinstance(e, Progress)][-1] == STEPS * EPOCHS


def test_the_next_batch_is_asked_for_while_a_step_is_running(monkeypatch):
    monkeypatch.setattr(host_loop, "FIRST_CALL", 1)
    monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", 0.0)
    order = []

    def source(epoch, first):
        for step, batch in enumerate(batches(epoch, first), start=first):
            order.append(f"batch {step}")
            yield batch

    spied = {"call": engine.call, "read_metrics": host_loop.read_metrics}
    monkeypatch.setattr(engine, "call", lambda *a, **k: order.append("step") or spied["call"](*a, **k))
    monkeypatch.setattr(host_loop, "read_metrics", lambda *a: order.append("read") or spied["read_metrics"](*a))
    run(Stream(source, STEPS, BATCH), epochs=1)
    expected = [
        "batch 0",
        "step",
        "batch 1",
        "step",
        "batch 2",
        "read",
        "step",
        "batch 3",
        "read",
        "step",
        "read",
        "read",
    ]
    assert order == expected


def without(name):
    return lambda batch: {k: v for k, v in batch.items() if k != name}


def raising(batch):
    raise OSError("no such shard")


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        (
            "at_0_2",
            lambda batch: batch | {"x": batch["x"][:, :3]},
            r"'x'; received float32\[8, 3\] at step 2 of epoch 0",
        ),
        (
            "at_1_0",
            lambda batch: batch | {"x": batch["x"][:, :3]},
            r"'x'; received float32\[8, 3\] at step 0 of epoch 1",
        ),
        ("at_1_1", lambda batch: batch | {"label": batch["label"] / 1}, r"'label'; received float64\[8\] at step 1 of"),
        ("at_0_1", lambda batch: batch | {"more": batch["label"]}, r"'more'; received int32\[8\] at step 1 .* nothing"),
        ("at_2_3", without("label"), r"'label'; received nothing at step 3 of epoch 2"),
        ("at_0_1", lambda batch: {k: v[:5] for k, v in batch.items()}, r"arrays of 8 rows.* at step 1 of epoch 0. Pad"),
        (
            "at_0_0",
            lambda batch: batch | {"mask": np.ones(8)},
            r"'mask' .* booleans, of shape \(8,\); received float64",
        ),
        (
            "at_0_0",
            lambda batch: batch | {"x": np.array(list("abcdefgh"))},
            r"`batch\['x'\] at step 0 of epoch 0` must hold numbers",
        ),
        ("at_0_1", lambda batch: batch["x"], r"must give dicts of arrays; received a ndarray at step 1 of epoch 0"),
        ("at_0_3", lambda batch: None, r"must give dicts of arrays; received a NoneType at step 3 of epoch 0"),
    ],
)
def test_a_batch_that_is_not_like_the_first_is_named(where, change, message):
    with pytest.raises(ValueError, match=message):
        run(changed(**{where: change}))


def test_a_source_that_ends_early_or_raises_is_named():
    short = Stream(lambda epoch, first: list(batches(epoch, first))[: 4 - epoch - first], STEPS, BATCH)
    with pytest.raises(ValueError, match=r"ended before step 3 of epoch 1; expected 4 batches an epoch"):
        run(short)
    with pytest.raises(RuntimeError, match=r"raised OSError at step 2 of epoch 2: no such shard") as caught:
        run(changed(at_2_2=raising))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(RuntimeError, match=r"raised TypeError at step 0 of epoch 0"):
        run(Stream(lambda epoch: batches(epoch, 0), STEPS, BATCH))


def test_without_a_mask_every_example_counts():
    plain = Stream(lambda epoch, first: map(without("mask"), batches(epoch, first)), STEPS, BATCH)
    assert int(run(plain, epochs=1).state.examples) == STEPS * BATCH
    assert int(run(epochs=1).state.examples) == 29


def test_wide_numbers_are_as_those_of_arrays():
    wide = lambda batch: batch | {"x": batch["x"].astype(np.float64), "label": batch["label"].astype(np.int64)}
    ends = run(Stream(lambda epoch, first: map(wide, batches(epoch, first)), STEPS, BATCH))
    np.testing.assert_array_equal(weights(ends), weights(run()))


@pytest.mark.full
def test_batches_that_lie_on_the_device_and_constants_are_served():
    there = Stream(lambda epoch, first: map(jax.device_put, batches(epoch, first)), STEPS, BATCH)
    np.testing.assert_array_equal(weights(run(there, constants={"table": np.ones(3)})), weights(run()))
    with pytest.raises(ValueError, match=r"must not have the names of a batch's fields; received \['label'\]"):
        run(there, constants={"label": 1.0})


def test_a_stream_is_traced_once():
    traces = []
    counted = lambda *args, **how: traces.append(1) or objective(*args, **how)
    step = training.TrainStep(counted, TRIAL.step.update)
    state = training.train(step, START, STREAM, epochs=1).state
    training.train(step, state, STREAM, epochs=3)
    assert len(traces) == 1
