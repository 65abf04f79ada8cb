import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn import optimizers, second_order, training
from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy, top_k
from jaxnn.models import MLP, SoftmaxRegression
from jaxnn.optimizers import adam, adjustable, sgd
from jaxnn.schedules import one_cycle
from jaxnn.training import (
    Compiled,
    Compiling,
    DivergenceError,
    Evaluated,
    FunctionalModel,
    Progress,
    Started,
    Stopped,
    TrainState,
    TrainStep,
    fit,
    host_loop,
    init_state,
    stream_key,
    supervised,
)
from jaxnn.training.batching import shuffled_order
from jaxnn.training.engine import Resident, run_steps

FUSED = first_of("fused", [True, False], ids=["fused", "stepwise"])
FROZEN = sgd(1e-30)  # leaves the parameters as they are
LINEAR = (
    lambda key, x: {"w": jax.random.normal(key, (x.shape[-1], 3)) / 10, "b": jnp.zeros(3)},
    lambda params, x: x @ params["w"] + params["b"][None],
)


def blobs(n=50, *, seed=0):
    """Three clouds of points."""
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=n).astype(np.int32)
    centres = np.array([[2.0, 0, 0, 1], [0, 2, 0, -1], [0, 0, 2, 0]])
    return {"image": (centres[label] + rng.normal(size=(n, 4)) / 2).astype(np.float32), "label": label}


class Normalized(nn.Module):
    """Batch statistics and dropout, whose mask shows in the output."""

    rate: float = 0.5

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(nn.Dense(8, name="first")(x))
        x = nn.Dropout(self.rate, deterministic=not train)(nn.relu(x))
        return nn.Dense(3, name="logits")(x)


def by_hand(model, data, optimizer, *, epochs, batch_size, key=0):
    """The loop of an Optax tutorial over the same batches, one step at a time, the padding cut off."""
    state = init_state(model, optimizer, jnp.asarray(data["image"][:1]), key=key)
    params, opt_state = state.params, state.opt_state
    apply = lambda params, x: FunctionalModel(model).apply(params, {}, x, train=False)[0]

    @jax.jit
    def step(params, opt_state, x, y):
        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    path = []
    for epoch in range(epochs):
        for rows in np.asarray(shuffled_order(len(data["label"]), batch_size, state.key, epoch)):
            rows = rows[rows >= 0]
            params, opt_state, loss = step(params, opt_state, data["image"][rows], data["label"][rows])
            path.append((jax.device_get(params), float(loss)))
    return path


def states_along(model, data, optimizer, *, epochs, batch_size, fused, key=0):
    """A copy of the state after every step, made by one call of `run_steps` each."""
    state = init_state(model, optimizer, jnp.asarray(data["image"][:1]), key=key)
    step = TrainStep(supervised(model, cross_entropy, metrics={"accuracy": accuracy}), optimizer.update)
    data, examples = Resident({k: jnp.asarray(v) for k, v in data.items()}, {}), len(data["label"])
    for epoch in range(epochs):
        order = shuffled_order(examples, batch_size, state.key, epoch)
        for i in range(len(order)):
            state, _ = run_steps(step, state, data, order, first=i, last=i + 1, fused=fused)
            yield jax.tree.map(jnp.copy, state)


# ----------------------------------------------------------------------------------------------- learning


def test_learns():
    fitted = fit(
        SoftmaxRegression(classes=3),
        blobs(200),
        optimizer=sgd(0.3),
        epochs=5,
        batch_size=20,
        validation=blobs(60, seed=1),
    )
    assert fitted.history[-1]["validation/accuracy"] > 0.95
    assert fitted.history[-1]["train/loss"] < fitted.history[0]["train/loss"] / 2
    assert not fitted.stopped
    assert [row["validation/count"] for row in fitted.history] == [60] * 5


@FUSED
@first_of(
    ("model", "form"),
    [
        (LINEAR, adam),
        (LINEAR, optax.adam),
        (LINEAR, adjustable(adam)),
        (MLP(features=(8,), classes=3), adam),
    ],
    ids=["pair, ours", "pair, optax", "pair, adjustable", "linen, ours"],
)
def test_equals_a_hand_written_optax_loop_step_by_step(model, form, fused):
    """Epochs of 50 examples in batches of 16: the last one has 2 examples and 14 places of padding."""
    data, optimizer = blobs(50), form(learning_rate=0.01)
    path = by_hand(model, data, optax.adam(0.01), epochs=2, batch_size=16)
    for i, state in enumerate(states_along(model, data, optimizer, epochs=2, batch_size=16, fused=fused)):
        assert_close(state.params, path[i][0], rtol=1e-6 * (i + 1))  # a rounding error a step
    fitted = fit(model, data, optimizer=optimizer, epochs=2, batch_size=16, fused=fused)
    assert_close(fitted.state.params, path[-1][0], rtol=1e-6 * len(path))


@pytest.mark.full
@FUSED
def test_losses_reported_are_those_of_the_hand_written_loop(fused):
    data, losses = blobs(50), []
    path = by_hand(LINEAR, data, optax.sgd(0.1), epochs=2, batch_size=16)
    record = lambda event: losses.append(event.metrics["train/loss"]) if isinstance(event, Evaluated) else None
    fit(LINEAR, data, optimizer=sgd(0.1), epochs=2, batch_size=16, hooks=[record], fused=fused)
    by_epoch = np.array([loss for _, loss in path]).reshape(2, 4)
    np.testing.assert_allclose(losses, by_epoch @ [16, 16, 16, 2] / 50, rtol=1e-5)  # each example counts once


@pytest.mark.full
def test_numpy_jax_and_64_bit_inputs_are_one():
    data = blobs()
    forms = [
        data,
        {k: jnp.asarray(v) for k, v in data.items()},
        {"image": data["image"].astype(float), "label": data["label"].astype(int)},
    ]
    states = [fit(LINEAR, form, optimizer=sgd(0.1), epochs=1, batch_size=16).state.params for form in forms]
    assert_close(states[1], states[0], rtol=0)
    assert_close(states[2], states[0], rtol=0)


def test_other_fields_losses_metrics_and_preprocessing():
    """A regression on fields of other names, its inputs preprocessed, its metrics a dict."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2)).astype(np.float32)
    data = {"x": x * 100, "y": x @ np.array([2.0, -1.0], np.float32)}
    model = (lambda key, x: jnp.zeros(2), lambda params, x: x @ params)
    fitted = fit(
        model,
        data,
        optimizer=sgd(0.1),
        epochs=30,
        batch_size=16,
        loss=lambda outputs, targets: (outputs - targets) ** 2,
        metrics={"absolute": lambda outputs, targets: jnp.abs(outputs - targets)},
        preprocess=lambda x: x / 100,
        fields=("x", "y"),
        validation=data,
    )
    np.testing.assert_allclose(fitted.state.params, [2, -1], atol=1e-3)
    assert set(fitted.history[-1]) == {
        "train/loss",
        "train/absolute",
        "validation/loss",
        "validation/absolute",
        "validation/count",
    }


def test_bytes_become_floats():
    data = blobs()
    scaled = np.clip(data["image"] * 30 + 100, 0, 255).astype(np.uint8)
    as_bytes = fit(LINEAR, data | {"image": scaled}, optimizer=sgd(0.1), epochs=1, batch_size=16)
    as_floats = fit(
        LINEAR, data | {"image": scaled.astype(np.float32) / 255}, optimizer=sgd(0.1), epochs=1, batch_size=16
    )
    assert_close(as_bytes.state.params, as_floats.state.params)


@pytest.mark.full
def test_top_k_is_reported():
    fitted = fit(
        LINEAR, blobs(), optimizer=sgd(0.1), epochs=1, batch_size=16, metrics={"top3": top_k(3)}, validation=blobs()
    )
    assert fitted.history[0]["validation/top3"] == fitted.history[0]["train/top3"] == 1.0


# ------------------------------------------------------------------------------------- compiled once, donated


class Counted:
    """`LINEAR` that counts how often its training pass is traced."""

    def __init__(self):
        self.traces = 0

    def pair(self):
        def apply(params, x, train):
            self.traces += train
            return LINEAR[1](params, x)

        return LINEAR[0], apply


@first_of("fused", [True, False, None])
def test_the_step_is_traced_once_over_epochs_evaluations_and_another_learning_rate(fused):
    counted = Counted()
    model, optimizer = counted.pair(), adjustable(sgd)
    common = {"epochs": 3, "batch_size": 16, "validation": blobs(30, seed=1), "fused": fused}
    slow = fit(model, blobs(), optimizer=optimizer(learning_rate=0.01), **common)
    fast = fit(model, blobs(), optimizer=optimizer(learning_rate=0.5), **common)
    assert counted.traces == 1
    assert fast.history[-1]["train/loss"] < slow.history[-1]["train/loss"]


def test_the_callers_arrays_live_on_and_so_does_the_state_given():
    data = {k: jnp.asarray(v) for k, v in blobs().items()}
    weights, key = {"w": jnp.ones((4, 3)), "b": jnp.zeros(3)}, jax.random.key(7)
    model, optimizer = (lambda key, x: weights, LINEAR[1]), adjustable(adam)(learning_rate=0.1)
    first = fit(model, data, optimizer=optimizer, epochs=1, batch_size=16, key=key)
    second = fit(model, data, optimizer=optimizer, epochs=1, batch_size=16, key=key)
    assert_close(second.state.params, first.state.params, rtol=0)
    given = training.init_state(LINEAR, optimizer, data["image"][:1], key=key)
    fit(model, data, optimizer=optimizer, epochs=1, batch_size=16, state=given)
    alive = (data, weights, key, optimizer.init(weights), given)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(alive))


@pytest.mark.full
def test_the_key_may_be_a_seed_and_decides():
    run = lambda key: fit(LINEAR, blobs(), optimizer=sgd(0.1), epochs=1, batch_size=16, key=key).state.params
    assert_close(run(5), run(jax.random.key(5)), rtol=0)
    assert (run(5)["w"] != run(6)["w"]).any()


# ------------------------------------------------------------------------------- fused and stepwise, resuming


@first_of("model", [LINEAR, Normalized(), MLP(features=(8,), classes=3)], ids=["pair", "batch norm", "mlp"])
def test_fused_and_stepwise_give_the_same_numbers(model):
    common = {"optimizer": adam(0.01), "epochs": 3, "batch_size": 16, "validation": blobs(30)}
    fused, stepwise = (fit(model, blobs(), fused=fused, **common) for fused in (True, False))
    assert_close(fused.state.params, stepwise.state.params)
    assert_close(fused.state.model_state, stepwise.state.model_state)
    assert_close(fused.history, stepwise.history)


@FUSED
def test_resumes_bit_for_bit_from_any_step(fused):
    """Batch statistics, dropout, moments and a schedule: all of it is in the state."""
    model, optimizer = Normalized(), adjustable(adam)(learning_rate=one_cycle(0.05, steps=12))
    common = {"optimizer": optimizer, "epochs": 3, "batch_size": 16, "fused": fused, "key": 3}
    start = init_state(model, optimizer, blobs()["image"][:1], key=3)
    whole = _data(fit(model, blobs(), state=start, **common).state)
    along = states_along(model, blobs(), optimizer, epochs=3, batch_size=16, fused=fused, key=3)
    for steps, state in enumerate(along, start=1):
        again = fit(model, blobs(), state=state, **common)
        assert int(again.state.step) == 12
        for ours, expected in zip(jax.tree.leaves(_data(again.state)), jax.tree.leaves(whole), strict=True):
            np.testing.assert_array_equal(ours, expected, err_msg=f"resumed after {steps} steps")


@pytest.mark.full
def test_resumes_from_the_state_that_a_stop_hands_out(monkeypatch):
    monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", 0.0)  # one step a call, after the first
    common = {"optimizer": adjustable(adam)(learning_rate=0.01), "epochs": 3, "batch_size": 2}
    stop = lambda event: isinstance(event, Progress) and event.step >= 30
    whole, stopped = fit(Normalized(), blobs(), **common), fit(Normalized(), blobs(), hooks=[stop], **common)
    assert stopped.stopped
    assert int(stopped.state.step) == 31  # the next step was already running when the hook was told of this one
    again = fit(Normalized(), blobs(), state=stopped.state, **common)
    for ours, expected in zip(jax.tree.leaves(_data(again.state)), jax.tree.leaves(_data(whole.state)), strict=True):
        np.testing.assert_array_equal(ours, expected)


def _data(state):
    return state._replace(key=jax.random.key_data(state.key))


def test_a_finished_state_is_returned_as_it_is():
    done = fit(LINEAR, blobs(), optimizer=sgd(0.1), epochs=2, batch_size=16)
    kept = jax.tree.map(np.asarray, done.state.params)
    again = fit(LINEAR, blobs(), optimizer=sgd(0.1), epochs=2, batch_size=16, state=done.state)
    assert_close(again.state.params, kept, rtol=0)
    assert again.history == []


# -------------------------------------------------------------------------------- model state and randomness


@pytest.mark.full
def test_batch_statistics_follow_the_batches():
    """One step: running = 0.9 running + 0.1 batch, over the rows of the batch."""
    data = blobs(16)
    fitted = fit(Normalized(), data, optimizer=FROZEN, epochs=1, batch_size=16)
    hidden = data["image"] @ np.asarray(fitted.state.params["first"]["kernel"])
    running = fitted.state.model_state["batch_stats"]["norm"]
    assert_close(running["mean"], 0.1 * hidden.mean(axis=0))
    assert_close(running["var"], 0.9 + 0.1 * hidden.var(axis=0))


@pytest.mark.full
def test_evaluation_uses_running_statistics_and_no_dropout():
    data = blobs(50)
    fitted = fit(Normalized(), data, optimizer=sgd(0.1), epochs=2, batch_size=25, validation=data)
    variables = {"params": fitted.state.params, **fitted.state.model_state}
    logits = Normalized().apply(variables, data["image"], train=False)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, data["label"]).mean()
    np.testing.assert_allclose(fitted.history[-1]["validation/loss"], expected, rtol=1e-5)
    alone = training.predict(Normalized(), fitted.state, data["image"][:1])
    assert_close(alone, logits[:1])  # an example's logits do not depend on its batch


@pytest.mark.full
def test_dropout_differs_by_step_and_can_be_replayed():
    """The mask of any step follows from the key and the step alone."""
    state = init_state(Normalized(), FROZEN, jnp.ones((1, 4)), key=0)
    step = jax.jit(TrainStep(supervised(Normalized(), cross_entropy), FROZEN.update))
    batch = {k: jnp.asarray(v) for k, v in blobs(16).items()} | {"mask": jnp.ones(16, bool)}
    losses = []
    for i in range(4):
        at_i = state._replace(step=jnp.int32(i))
        _, metrics = step(at_i, batch)
        logits, _ = Normalized().apply(
            {"params": state.params, **state.model_state},
            batch["image"],
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": stream_key(state.key, "dropout", i)},
        )
        losses.append(float(metrics["loss"].sum))
        np.testing.assert_allclose(losses[-1], cross_entropy(logits, batch["label"]).sum(), rtol=1e-5)
    assert len(set(losses)) == 4


def test_the_order_differs_by_epoch_and_covers_every_example_once():
    orders = [np.asarray(shuffled_order(23, 5, jax.random.key(0), epoch)) for epoch in range(3)]
    for order in orders:
        assert order.shape == (5, 5)
        assert (order < 0).sum() == 2
        assert sorted(order[order >= 0]) == list(range(23))
    assert len({tuple(order.ravel()) for order in orders}) == 3


# ------------------------------------------------------------------------------------------- hooks and errors


@FUSED
def test_hooks_hear_everything_in_order(fused):
    events = []
    fit(
        LINEAR,
        blobs(),
        optimizer=sgd(0.1),
        epochs=2,
        batch_size=16,
        hooks=[events.append],
        fused=fused,
        validation=blobs(30),
    )
    kinds = [type(event) for event in events]
    assert kinds[:3] == [Started, Compiling, Compiled]
    assert events[0] == Started(step=0, steps=8, steps_per_epoch=4, batch_size=16)
    assert events[2].fused is fused
    ends = [i for i, kind in enumerate(kinds) if kind is Evaluated]
    assert len(ends) == 2
    assert ends[-1] == len(kinds) - 1
    assert [(events[i].step, events[i].epoch) for i in ends] == [(4, 1), (8, 2)]
    for epoch, (start, end) in enumerate([(3, ends[0]), (ends[0] + 1, ends[1])]):
        progress = events[start:end]
        assert {type(event) for event in progress} == {Progress}
        assert {event.epoch for event in progress} == {epoch}
        assert [event.step for event in progress] == sorted({event.step for event in progress})
        assert progress[-1].step == 4 * (epoch + 1)
        assert sum(event.examples for event in progress) == 50
        assert all(event.seconds >= 0 and set(event.metrics) == {"loss", "accuracy"} for event in progress)
    assert set(events[-1].metrics) == {
        "train/loss",
        "train/accuracy",
        "validation/loss",
        "validation/accuracy",
        "validation/count",
    }


def test_every_hook_is_told_though_an_earlier_one_stops():
    told = []
    fit(
        LINEAR,
        blobs(),
        optimizer=sgd(0.1),
        epochs=3,
        batch_size=16,
        hooks=[lambda event: True, lambda event: told.append(event)],
    )
    assert Evaluated in {type(event) for event in told}


def test_a_hook_stops_in_mid_epoch(monkeypatch):
    monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", 0.0)
    events, steps_per_epoch = [], 500

    def stop(event):
        events.append(event)
        return isinstance(event, Progress) and event.step >= 10

    fitted = fit(LINEAR, blobs(500), optimizer=sgd(0.1), epochs=2, batch_size=1, hooks=[stop])
    assert fitted.stopped
    assert isinstance(events[-1], Stopped)
    assert events[-1].step == int(fitted.state.step) == int(events[-1].state.step)
    assert 10 <= events[-1].step < steps_per_epoch
    assert events[-1].epoch == 0
    assert fitted.history == []
    assert sum(event.examples for event in events if isinstance(event, Progress)) == events[-1].step


@first_of("kind", [Progress, Evaluated])
def test_a_hook_that_asks_once_at_the_end_of_an_epoch_is_heard(kind):
    """With one call an epoch, every `Progress` is the epoch's last."""
    fitted = fit(
        LINEAR, blobs(), optimizer=sgd(0.1), epochs=3, batch_size=25, hooks=[lambda event: isinstance(event, kind)]
    )
    assert fitted.stopped
    assert int(fitted.state.step) == 2
    assert len(fitted.history) == 1


def test_stopping_at_the_very_end_is_no_stop():
    last = lambda event: isinstance(event, Evaluated) and event.epoch == 2
    assert not fit(LINEAR, blobs(), optimizer=sgd(0.1), epochs=2, batch_size=25, hooks=[last]).stopped


@FUSED
def test_divergence_is_an_error_that_says_where(fused):
    infinite = lambda outputs, targets: jnp.inf * cross_entropy(outputs, targets)
    with pytest.raises(
        DivergenceError, match=r"the loss became (nan|inf) between step \d+ and step \d+. Lower the learning rate"
    ):
        fit(LINEAR, blobs(), optimizer=sgd(0.1), loss=infinite, epochs=1, batch_size=16, fused=fused)


def test_examples_that_are_not_finite_are_named_before_anything_is_compiled():
    data = blobs()
    data["image"][17] = np.nan
    with pytest.raises(ValueError, match=r"`train\['image'\]` must be finite; example 17 is not, one of 1"):
        fit(LINEAR, data, optimizer=sgd(0.1), epochs=1, batch_size=16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be between 1 and the number of examples, 50; received 0"),
        ({"batch_size": 51}, "`batch_size` must be between 1 and the number of examples, 50; received 51"),
        ({"epochs": 0}, "`epochs` must be at least 1; received 0"),
        ({"train": {}}, r"`data` must have the fields .* received \[\]"),
        ({"train": {"image": np.zeros((20, 4))}}, r"must have the fields .*label.* received .*image"),
        (
            {"train": {"image": np.zeros((3, 4)), "label": np.zeros(2, int)}},
            r"received shapes {'image': \(3, 4\), 'label': \(2,\)}",
        ),
        ({"train": {"image": np.zeros((0, 4)), "label": np.zeros(0, int)}}, "positive length"),
        ({"train": {"image": np.zeros((3, 4)), "label": np.float32(1)}}, "one common, positive length"),
        ({"validation": {"image": np.zeros((3, 4)), "label": np.zeros(2, int)}}, "one common, positive length"),
        ({"model": None}, "`model` must be a Flax linen module or a pair of functions .* received None"),
        ({"model": (len,)}, "`model` must be"),
        ({"model": MLP}, "Pass an instance, such as"),
    ],
)
def test_bad_arguments_are_refused_with_a_remedy(changes, message):
    arguments = {"model": LINEAR, "train": blobs(), "optimizer": sgd(0.1), "epochs": 1, "batch_size": 16} | changes
    with pytest.raises(ValueError, match=message):
        fit(arguments.pop("model"), arguments.pop("train"), **arguments)


def test_the_state_is_complete():
    assert TrainState._fields == ("step", "params", "model_state", "opt_state", "key", "examples")


@pytest.mark.full
@pytest.mark.parametrize(
    "optimizer",
    [second_order.lbfgs(), second_order.newton_cg(damping=1e-3, max_steps=20), optax.lbfgs()],
    ids=["lbfgs", "newton_cg", "optax.lbfgs"],
)
def test_second_order_methods_get_the_loss_of_the_batch(optimizer):
    data = blobs()
    fitted = fit(LINEAR, data, optimizer=optimizer, epochs=8, batch_size=50, key=1)
    descended = fit(LINEAR, data, optimizer=sgd(1.0), epochs=8, batch_size=50, key=1)
    assert fitted.history[-1]["train/loss"] < 0.5 * descended.history[-1]["train/loss"]


def test_a_plateau_of_the_training_loss_lowers_the_rate():
    steps_of_an_epoch = 5
    plateau = optimizers.reduce_on_plateau(0.5, patience=1, accumulation_size=steps_of_an_epoch)
    optimizer = optimizers.chain(FROZEN, plateau)  # the loss never falls
    state = fit(LINEAR, blobs(), optimizer=optimizer, epochs=4, batch_size=10).state
    assert float(state.opt_state[1].plateau.scale) == 0.125  # the first epoch is the best so far


@pytest.mark.full
@pytest.mark.parametrize("batch_size", [8, 25, 32, 50])
def test_another_batch_size_on_resume_does_exactly_what_is_left(batch_size):
    data, seen = blobs(), []
    half = fit(LINEAR, data, optimizer=sgd(0.1), epochs=2, batch_size=16).state
    count = lambda event: seen.append(event.examples) if isinstance(event, Progress) else None
    fitted = fit(LINEAR, data, optimizer=sgd(0.1), epochs=4, batch_size=batch_size, state=half, hooks=[count])
    assert (int(fitted.state.examples), sum(seen), len(fitted.history)) == (200, 100, 2)
    assert int(fitted.state.step) == 8 + 2 * -(-50 // batch_size)


def test_another_batch_size_within_an_epoch_is_refused_where_it_does_not_fit():
    state = init_state(LINEAR, sgd(0.1), jnp.ones((1, 4)), key=0)._replace(examples=jnp.uint32(66), step=jnp.int32(5))
    with pytest.raises(ValueError, match=r"received one that has seen 16 examples of its epoch\. Go on with"):
        fit(LINEAR, blobs(), optimizer=sgd(0.1), epochs=3, batch_size=25, state=state)
