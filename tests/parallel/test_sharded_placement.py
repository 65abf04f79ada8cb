"""Divided parameters end where whole ones do, are divided all the way, and never were whole."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of

from jaxnn import parallel
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adam, sgd
from jaxnn.parallel.sharded_placement import Sharded, shard_by
from jaxnn.parallel.sharding_rules import Largest, ShardingRules, fully_sharded, tensor_parallel
from jaxnn.training import TrainStep, evaluate, fit, init_state, supervised


class ConvNet(nn.Module):
    """Two convolutions, batch norm, and dropout, whose mask is that of the whole batch."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.relu(nn.Conv(8, (3, 3), name="conv1")(x))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        x = nn.relu(nn.Conv(16, (3, 3), strides=2, name="conv2")(x))
        return nn.Dense(10, name="logits")(nn.Dropout(0.2, deterministic=not train)(x.reshape(len(x), -1)))


class Bag(nn.Module):
    """Embedded pixels, summed, and a layer."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        hidden = nn.Embed(256, 16, name="pixels")(x.reshape(len(x), -1)).mean(axis=1)
        return nn.Dense(10, name="logits")(hidden)


def images(n=44, size=8, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (n, size, size, 1), np.uint8)
    return {"image": image, "label": rng.integers(0, 10, n).astype(np.int32)}


MODELS = {"mlp": MLP(features=(32, 16)), "conv": ConvNet(), "embedding": Bag()}
PREPROCESS = {"embedding": lambda x: x.astype(jnp.int32)}
LAYERS = {
    "mlp": {"columns": ["hidden1"], "rows": ["hidden2"]},
    "conv": {"columns": ["conv1"], "rows": ["conv2"]},
    "embedding": {"embeddings": ["pixels"]},
}
SETTINGS = {"epochs": 2, "batch_size": 16, "key": 3, "optimizer": sgd(0.1, momentum=0.9)}
FSDP = fully_sharded(at_least=64)


def place(name, kind, devices, model=1):
    layers = {"fsdp": FSDP, "tensor": tensor_parallel(**LAYERS[name])}
    layers["both"] = tensor_parallel(**LAYERS[name], largest=Largest(at_least=64))
    return shard_by(layers[kind], model=model, devices=jax.devices()[:devices])


def train(name, placement, **changes):
    settings = SETTINGS | ({"preprocess": PREPROCESS[name]} if name in PREPROCESS else {}) | changes
    return fit(MODELS[name], images(), placement=placement, **settings)


@pytest.fixture(scope="module")
def alone():
    """On one device, once for each model."""
    made = {}

    def fitted(name):
        if name not in made:
            made[name] = train(name, parallel.placement("single"))
        return made[name]

    return fitted


def check_same(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=1e-6), ours, theirs)


CASES = [
    ("mlp", "fsdp", 8, 1), ("mlp", "fsdp", 4, 1), ("mlp", "tensor", 8, 8), ("mlp", "tensor", 4, 4),
    ("mlp", "both", 8, 2), ("conv", "fsdp", 4, 1), ("conv", "fsdp", 8, 1), ("conv", "tensor", 8, 8),
    ("conv", "tensor", 4, 4), ("conv", "both", 8, 2), ("embedding", "tensor", 4, 4), ("embedding", "both", 8, 4),
]  # fmt: skip


@first_of(("name", "kind", "devices", "model"), CASES, kind=lambda case: case[1])
def test_divided_training_ends_at_the_parameters_of_one_device(name, kind, devices, model, alone):
    placement = place(name, kind, devices, model)
    fitted, expected = train(name, placement), alone(name)
    check_same(fitted.state.params, expected.state.params)
    check_same(fitted.state.model_state, expected.state.model_state)
    for ours, theirs in zip(fitted.history, expected.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    check_placed(fitted.state, placement)


def check_placed(state, placement):
    """Every leaf lies as the rules say, and something is divided."""
    wanted = placement.shardings(state)
    jax.tree.map(lambda leaf, sharding: check_shards(leaf, sharding), state, wanted)
    assert any(not sharding.is_fully_replicated for sharding in jax.tree.leaves(wanted.params))
    assert any(not sharding.is_fully_replicated for sharding in jax.tree.leaves(wanted.opt_state))


def check_shards(leaf, sharding):
    assert {shard.data.shape for shard in leaf.addressable_shards} == {sharding.shard_shape(leaf.shape)}
    assert len(leaf.addressable_shards) == len(sharding.device_set)


@pytest.mark.full
@first_of("fused", [True, False], ids=["fused", "stepwise"])
def test_moments_of_adam_are_divided_after_the_run(fused):
    state = train("mlp", place("mlp", "fsdp", 8), optimizer=adam(1e-3), epochs=1, fused=fused).state
    kernels = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == (64, 32)]
    assert len(kernels) == 2  # m and v
    for kernel in [*kernels, state.params["hidden1"]["kernel"]]:
        assert [shard.data.shape for shard in kernel.addressable_shards] == [(8, 32)] * 8


def test_no_device_ever_holds_the_whole_state():
    """Not while it is made either: the program's outputs and temporary memory are an eighth of the parameters."""
    model, x, placement = MLP(features=(2048, 2048)), np.zeros((1, 512), np.float32), shard_by(fully_sharded())
    init = placement.distribute_init(lambda: init_state(model, adam(1e-3), x, key=0))
    stats = jax.jit(init).lower().compile().memory_analysis()
    size = 4 * sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(init)))
    assert stats.output_size_in_bytes < 1.05 * size / 8
    assert stats.temp_size_in_bytes < 1.05 * size / 8


def compiled_step(placement):
    """The text of a step that was compiled for arguments in place."""
    model, optimizer = MLP(features=(64, 128)), sgd(0.1)
    batch = placement.put(images(16) | {"mask": np.ones(16, bool)})
    state = placement.put(init_state(model, optimizer, batch["image"][:1], key=0))
    step = placement.local_step(TrainStep(supervised(model, cross_entropy), optimizer.update))
    return jax.jit(step).lower(state, batch).compile().as_text()


@pytest.mark.full
def test_what_was_gathered_for_the_forward_pass_is_not_kept_for_the_backward():
    """The second kernel (64, 128) is gathered in both; the first has no gradient behind it that needs it."""
    gathers = [line for line in compiled_step(shard_by(FSDP)).splitlines() if " all-gather(" in line]
    assert sum("f32[64,128]" in line for line in gathers) == 2
    assert sum("f32[64,64]" in line for line in gathers) == 1


@pytest.mark.full
def test_tensor_parallelism_sums_activations_and_gathers_nothing():
    text = compiled_step(shard_by(tensor_parallel(columns=["hidden1"], rows=["hidden2"]), model=8))
    assert " all-gather(" not in text
    assert " all-reduce(" in text


@pytest.mark.full
def test_the_state_is_made_the_same_in_parts():
    init = lambda: init_state(MODELS["conv"], sgd(0.1), images()["image"][:1], key=3)
    placement = place("conv", "fsdp", 8)
    made = jax.jit(placement.distribute_init(init))()
    check_same(made._replace(key=()), init()._replace(key=()))
    assert jax.tree.map(lambda leaf: leaf.sharding, made) == placement.shardings(made)


@first_of("fused", [True, False], ids=["fused", "stepwise"])
def test_the_step_is_traced_once_over_epochs_and_runs(fused):
    traces = []
    loss = lambda outputs, labels: traces.append(1) or cross_entropy(outputs, labels)
    train("mlp", place("mlp", "both", 8, 2), loss=loss, fused=fused)
    seen = len(traces)
    train("mlp", place("mlp", "both", 8, 2), loss=loss, fused=fused, epochs=3)
    assert len(traces) == seen


def test_goes_on_under_another_placement(alone):
    half = train("mlp", place("mlp", "fsdp", 8), epochs=1)
    resumed = train("mlp", place("mlp", "tensor", 4, 4), state=jax.device_get(half.state))
    check_same(resumed.state.params, alone("mlp").state.params)


@pytest.mark.full
def test_evaluation_is_exact_for_fewer_examples_than_devices():
    state = init_state(MODELS["mlp"], adam(1e-3), images()["image"][:1], key=0)
    few = {name: array[:3] for name, array in images().items()}
    placement = place("mlp", "both", 8, 2)
    expected, placed = evaluate(MODELS["mlp"], state, few), placement.put(state)
    check_placed(placed, placement)
    assert evaluate(MODELS["mlp"], placed, few, placement=placement) == pytest.approx(expected)


@pytest.mark.full
def test_second_derivatives_go_through_the_gathers(alone):
    """Forward over reverse, as curvature needs it: the product of the Hessian and a vector."""
    step = TrainStep(supervised(MODELS["mlp"], cross_entropy), sgd(0.1).update)
    state, batch = alone("mlp").state, images(16) | {"mask": jnp.ones(16, bool)}
    placement = place("mlp", "fsdp", 4)

    def product(step, state):
        gradient = jax.grad(lambda params: step.mean_loss(params, state, batch)[0])
        return jax.jvp(gradient, (state.params,), (state.params,))[1]

    (_, own), state = placement.local_step(step).first, jax.device_get(state)  # the step whose parameters are gathered
    ours = jax.jit(lambda state: product(own, state))(placement.put(state))
    check_same(ours, jax.jit(lambda state: product(step, state))(state))


def test_bad_placements_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"`data` times `model` .* received 2 x 3 for 8\. Pass `devices="):
        shard_by(FSDP, model=3)
    with pytest.raises(ValueError, match=r"received 0 x 1 for 0"):
        Sharded(FSDP, (), 0, 1)
    with pytest.raises(ValueError, match=r"a multiple of the 8 devices .* received 20\. Take 16"):
        train("mlp", shard_by(FSDP), batch_size=20)
    with pytest.raises(ValueError, match=r"Did you mean 'hidden1'"):
        train("mlp", shard_by(tensor_parallel(columns=["hiden1"]), model=4))


def test_no_rules_are_data_parallelism(alone):
    fitted = train("mlp", shard_by(ShardingRules()))
    check_same(fitted.state.params, alone("mlp").state.params)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(fitted.state))
