import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import populations
from jaxnn.layers import dropout
from jaxnn.models import MLP
from jaxnn.optimizers import sgd
from jaxnn.populations import Member, Population, grid, member_memory, members_of
from jaxnn.populations.member_predictions import predict_members
from jaxnn.training import compilation, init_state, predict

LINEAR = (
    lambda key, x: {"w": jax.random.normal(key, (x.shape[-1], 3)), "b": jnp.zeros(3)},
    lambda params, x: x @ params["w"] + params["b"][None],
)
CONVOLUTION = (
    lambda key, x: jax.random.normal(key, (3, 3, x.shape[-1], 2)),
    lambda kernel, x: jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).mean(axis=(1, 2)),
)


class Scaled(nn.Module):
    """Batch statistics, a float that shows in the output and one that shows in training only."""

    scale: float = 1.0
    rate: float = 0.5
    features: int = 8

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.features)(x))
        x = dropout(self.make_rng("dropout"), x, rate=self.rate) if train else x  # Flax's own takes no traced rate
        return nn.Dense(3)(x) * self.scale


def blobs(n=40, *, seed=0, features=4):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.normal(size=(n, features)).astype(np.float32),
        "label": rng.integers(3, size=n).astype(np.int32),
    }


def untrained(models, x, *, hyperparameters=()):
    """A population of seeds: each model with initial weights of its own."""
    states = [init_state(model, sgd(0.1), x[:1], key=i) for i, model in enumerate(models)]
    count = len(models)
    nothing = {}, np.zeros(count, int), np.zeros(count, bool)
    members = [Member(i, setting) for i, setting in enumerate(hyperparameters or [{}] * count)]
    return Population(members, jax.device_get(states), *nothing, list(models))


def assert_as_predict(population, x, **settings):
    outputs = predict_members(population, x, **settings)
    assert isinstance(outputs, np.ndarray)
    assert len(outputs) == len(population)
    for own, model, state in zip(outputs, population.models, population.states, strict=True):
        assert_close(own, predict(model, state, x, **settings))
    assert len({own.tobytes() for own in outputs}) == len(population)  # nobody answers for another
    return outputs


@pytest.fixture
def compiled(monkeypatch):
    """Grows by one for each program that is compiled."""
    done, compile_ = [], compilation._compile
    monkeypatch.setattr(compilation, "_compile", lambda *args: done.append(args) or compile_(*args))
    return done


@pytest.mark.parametrize(("members", "n", "batch_size"), [(1, 5, 500), (3, 37, 16), (11, 8, 8), (9, 7, 3)])
def test_row_m_is_what_predict_gives_with_member_m(members, n, batch_size):
    x = blobs(n)["image"]
    assert_as_predict(untrained([LINEAR] * members, x), x, batch_size=batch_size)


@pytest.mark.full
def test_a_trained_population_of_several_architectures_rates_and_scales():
    settings = grid(**{"features": [8, 5], "model.scale": [0.5, 2.0], "rate": [0.3]})
    data = blobs()
    trained = populations.fit(Scaled(), data, members_of(settings), optimizer=sgd(0.1), epochs=1, batch_size=20)
    assert_as_predict(trained, blobs(13, seed=1)["image"], batch_size=5)


@pytest.mark.full
def test_members_that_differ_in_floats_share_a_program_whatever_their_number(compiled):
    x, settings = blobs(12)["image"], grid(scale=[0.5, 1.0, 2.0, 3.0])
    population = untrained([Scaled(features=6, **setting) for setting in settings], x, hyperparameters=settings)
    predict_members(population, x)
    assert len(compiled) == 1
    assert_as_predict(population, x)
    del compiled[1:]
    predict_members(population, x + 1)
    assert len(compiled) == 1


@pytest.mark.full
def test_a_float_that_is_bound_in_a_pair_counts():
    scaled = (LINEAR[0], lambda params, x, scale=1.0: LINEAR[1](params, x) * scale)
    data = blobs()
    members = members_of(grid(**{"model.scale": [0.5, 1.0, 2.0]}))
    trained = populations.fit(scaled, data, members, optimizer=sgd(0.1), epochs=1, batch_size=20)
    assert_as_predict(trained, data["image"])


@pytest.mark.full
def test_members_come_in_chunks_that_need_not_come_out_even(monkeypatch, compiled):
    x = blobs(10)["image"]
    population = untrained([MLP(features=(3,), classes=3)] * 11, x)
    whole = predict_members(population, x)
    del compiled[:]
    monkeypatch.setattr(member_memory, "MOST_ON_CPU", 1)
    devices = jax.devices()[:2]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert_close(predict_members(population, x), whole, rtol=1e-6)
    assert len(compiled) == 1  # six chunks of two, the last one filled up


def test_one_member_is_enough_to_fill_the_memory(monkeypatch):
    from jaxnn.populations import member_predictions

    monkeypatch.setattr(member_predictions, "free_memory", lambda device: 0)
    x = blobs(6)["image"]
    assert_as_predict(untrained([LINEAR] * 9, x), x)


def test_convolutions_run_one_after_the_other_on_cpu():
    x = np.random.default_rng(0).normal(size=(7, 6, 6, 2)).astype(np.float32)
    assert_as_predict(untrained([CONVOLUTION] * 3, x), x, batch_size=4)


def test_preprocesses_bytes():
    x = np.random.default_rng(0).integers(256, size=(6, 4)).astype(np.uint8)
    population = untrained([LINEAR] * 2, x)
    floats = (x / 255).astype(np.float32)
    assert_close(predict_members(population, x), predict_members(population, floats))
    doubled = predict_members(population, floats, preprocess=lambda x: 2 * x)
    assert_close(doubled, 2 * predict_members(population, floats))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_refuses_a_batch_of_none(batch_size):
    x = blobs()["image"]
    with pytest.raises(ValueError, match="`batch_size` must be between 1"):
        predict_members(untrained([LINEAR], x), x, batch_size=batch_size)


def test_refuses_what_cannot_be_one_array():
    x = blobs()["image"]
    mixed = untrained([LINEAR, MLP(features=(2,), classes=5), LINEAR], x)
    with pytest.raises(ValueError, match=r"must agree in shape; received \(3,\) of member 0, \(5,\) of member 1"):
        predict_members(mixed, x)
    with pytest.raises(ValueError, match="at least one member; received none"):
        predict_members(mixed.select([]), x)
    with pytest.raises(ValueError, match="positive length"):
        predict_members(mixed, x[:0])
