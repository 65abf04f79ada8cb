"""The same seed and the same global batch end at the same parameters, wherever they were computed."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn import parallel
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP, LeNet5
from jaxnn.optimizers import adam, sgd
from jaxnn.training import TrainStep, evaluate, fit, init_state, supervised

MANY = ("pmap", "shard_map", "automatic")


class Residual(nn.Module):
    """A stem, one residual block, batch norm everywhere: over the whole batch, or a device's rows."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, axis_name=self.axis_name)
        conv = partial(nn.Conv, kernel_size=(3, 3), use_bias=False)
        x = nn.relu(norm(name="norm0")(conv(4, name="stem")(x)))
        y = norm(name="norm2")(conv(4, name="conv2")(nn.relu(norm(name="norm1")(conv(4, name="conv1")(x)))))
        return nn.Dense(10)(nn.relu(x + y).mean(axis=(1, 2)))


class Rows(nn.Module):
    """An LSTM that reads an image row by row."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        hidden = nn.RNN(nn.LSTMCell(12))(x.reshape(len(x), x.shape[1], -1))
        return nn.Dense(10)(hidden[:, -1])


def images(n=44, size=8, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (n, size, size, 1), np.uint8)
    return {"image": image, "label": rng.integers(0, 10, n).astype(np.int32)}


MODELS = {
    "mlp": (MLP(features=(16,)), images()),
    "lenet5": (LeNet5(), images(size=28)),
    "batch-norm residual": (Residual(), images()),
    "lstm": (Rows(), images()),
}
SETTINGS = {"epochs": 2, "batch_size": 16, "key": 3, "optimizer": sgd(0.1, momentum=0.9)}


def train(name, placement, *, model=None, **changes):
    ours, data = MODELS[name]
    synchronized = name.startswith("batch") and placement in ("pmap", "shard_map")
    model = model or (Residual(axis_name=parallel.AXIS) if synchronized else ours)
    settings = SETTINGS | changes
    devices = settings.pop("devices")
    return fit(model, data, validation=images(21, data["image"].shape[1], 1), **settings,
               placement=parallel.placement(placement, jax.devices()[:devices]))  # fmt: skip


@pytest.fixture(scope="module")
def alone():
    """`single`, once for each model."""
    made = {}
    return lambda name: made.setdefault(name, train(name, "single", devices=1)) if name not in made else made[name]


def check_same(ours, theirs):
    """To 1e-6: weights here are of the order of 1, and a sum over devices rounds in another order."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=1e-6), ours, theirs)


def check_equal(fitted, expected):
    check_same(fitted.state.params, expected.state.params)
    check_same(fitted.state.model_state, expected.state.model_state)
    for ours, theirs in zip(fitted.history, expected.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
        assert ours["validation/count"] == 21  # exact, though 21 is no multiple of the devices


CASES = [(name, devices) for name in MODELS for devices in (8, 4, 2, 1)]


@first_of("placement", MANY)
@first_of(("name", "devices"), CASES)
def test_every_placement_ends_at_the_parameters_of_one_device(name, devices, placement, alone):
    check_equal(train(name, placement, devices=devices), alone(name))


@first_of("placement", MANY)
def test_the_gradient_is_summed_once(placement):
    """One step of gradient descent: a gradient taken N times would show N times the step."""
    model, data = MODELS["mlp"]
    step = TrainStep(supervised(model, cross_entropy), sgd(1.0).update)
    state = init_state(model, sgd(1.0), data["image"][:1], key=3)
    expected = jax.grad(lambda p: step.mean_loss(p, state, whole(data))[0])(state.params)
    moved = train("mlp", placement, devices=4, epochs=1, batch_size=44, optimizer=sgd(1.0)).state.params
    assert_close(jax.tree.map(jnp.subtract, state.params, jax.device_get(moved)), expected, rtol=1e-4)


@pytest.mark.parametrize("placement", ["pmap", "shard_map", "local_rows"])
def test_one_device_sums_with_nobody(placement):
    step = TrainStep(supervised(MLP(), cross_entropy), sgd(1.0).update)
    one, two = (parallel.placement(placement, jax.devices()[:n]).local_step(step) for n in (1, 2))
    assert one == step != two
    assert two.axis_name == parallel.AXIS


def whole(data):
    return {"image": data["image"], "label": data["label"], "mask": jnp.ones(len(data["label"]), bool)}


@pytest.mark.full
def test_batch_norm_per_device_is_another_training_and_its_statistics_agree_on_all_devices(alone):
    fitted = train("batch-norm residual", "shard_map", devices=4, model=Residual())
    leaf = jax.tree.leaves(fitted.state.model_state)[0]
    assert len(leaf.addressable_shards) == 4
    copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
    assert all((copy == copies[0]).all() for copy in copies)
    other = alone("batch-norm residual").state.params["stem"]["kernel"]
    assert np.abs(np.asarray(fitted.state.params["stem"]["kernel"]) - np.asarray(other)).max() > 1e-4


@first_of("fused", [True, False], ids=["fused", "stepwise"])
def test_the_step_is_traced_once_over_epochs_and_runs(fused):
    traces = []
    loss = lambda outputs, labels: traces.append(1) or cross_entropy(outputs, labels)
    train("mlp", "shard_map", devices=4, loss=loss, fused=fused)
    seen = len(traces)
    train("mlp", "shard_map", devices=4, loss=loss, fused=fused, epochs=3)
    assert len(traces) == seen


@pytest.mark.full
def test_goes_on_on_another_number_of_devices(alone):
    half = train("mlp", "shard_map", devices=8, epochs=1)
    resumed = train("mlp", "automatic", devices=2, state=jax.device_get(half.state))
    check_same(resumed.state.params, alone("mlp").state.params)


@first_of("placement", ["single", *MANY])
def test_evaluation_is_exact_for_fewer_examples_than_devices(placement):
    model, data = MODELS["mlp"]
    state = init_state(model, adam(1e-3), data["image"][:1], key=0)
    few = {name: array[:3] for name, array in data.items()}
    there = parallel.placement(placement)
    assert evaluate(model, there.put(state), few, placement=there) == pytest.approx(evaluate(model, state, few))


def test_bad_placements_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match="unknown placement 'smap'; did you mean 'pmap'"):
        parallel.placement("smap")
    with pytest.raises(ValueError, match="must be one or more; received none"):
        parallel.placement("pmap", [])
    with pytest.raises(ValueError, match=r"a multiple of the 8 devices .* received 20\. Take 16"):
        train("mlp", "pmap", devices=8, batch_size=20)
