import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn.layers import convolve
from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.models import MLP
from jaxnn.optimizers import adjustable, sgd
from jaxnn.training import TrainStep, choose_fusion, init_state, supervised
from jaxnn.training.batching import plain_order
from jaxnn.training.engine import Resident, compile_steps, read_metrics, run_steps

X = np.random.default_rng(0).normal(size=(12, 6, 6, 2)).astype(np.float32)
DATA = Resident({"image": jnp.asarray(X), "label": jnp.arange(12) % 3}, {})
ORDER = jnp.asarray(plain_order(examples=12, batch_size=4))


class Net(nn.Module):
    convolution: object
    strides: int = 1

    @nn.compact
    def __call__(self, x):
        for i in range(2):
            x = nn.Conv(3, (3, 3), self.strides, conv_general_dilated=self.convolution, name=f"conv{i}")(x)
        return x.mean(axis=(1, 2))


def prepare(model, optimizer=None):
    optimizer = optimizer or sgd(0.1)
    step = TrainStep(supervised(model, cross_entropy, metrics={"accuracy": accuracy}), optimizer.update)
    return step, init_state(model, optimizer, X[:1], key=0)


@pytest.mark.full
@first_of(
    ("model", "expected"),
    [
        (Net(jax.lax.conv_general_dilated), False),
        (Net(jax.lax.conv_general_dilated, strides=2), False),
        (Net(convolve), True),
        (Net(convolve, strides=2), True),
        (MLP(features=(4,), classes=3), True),
        ((lambda key, x: jnp.zeros((2, 3)), lambda w, x: x.mean(axis=(1, 2)) @ w), True),
    ],
    kind=lambda case: case[1],
    ids=["nn.Conv", "nn.Conv strided", "convolve", "convolve strided", "mlp", "pair"],
)
def test_choose_fusion_sees_a_convolution_that_is_slow_in_a_loop(model, expected):
    step, state = prepare(model)
    assert choose_fusion(step, state, DATA, ORDER) is expected


def test_choose_fusion_fuses_anything_elsewhere(monkeypatch):
    step, state = prepare(Net(jax.lax.conv_general_dilated))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose_fusion(step, state, DATA, ORDER) is True


def test_choose_fusion_looks_inside_what_is_nested():
    inner = Net(jax.lax.conv_general_dilated)
    once = lambda params, x: (x, jax.checkpoint(inner.apply)(params, x))
    scanned = lambda params, x: jax.lax.scan(lambda x, _: once(params, x), x, length=1)[1][0]
    step, state = prepare((inner.init, scanned))
    assert choose_fusion(step, state, DATA, ORDER) is False


@pytest.mark.parametrize("fused", [True, False])
def test_any_number_of_steps_is_one_program(fused):
    traces = []
    model = (lambda key, x: jnp.zeros((2, 3)), lambda w, x: (traces.append(1), x.mean(axis=(1, 2)) @ w)[1])
    step, state = prepare(model)
    compile_steps(step, state, DATA, ORDER, fused=fused).result()
    assert len(traces) == 1
    for first, last in ((0, 1), (1, 3), (0, 3), (2, 2)):
        state, metrics = run_steps(step, state, DATA, ORDER, first=first, last=last, fused=fused)
        if last > first:
            assert read_metrics(metrics, first, last)["loss"].count.tolist() == [4] * (last - first)
    assert len(traces) == 1
    assert state.step == 6


def test_equal_steps_share_what_is_compiled():
    """The same model, loss and update in a new `TrainStep`, and another rate, are no new program."""
    model, optimizer = MLP(features=(4,), classes=3), adjustable(sgd)
    first, second = (prepare(model, optimizer(learning_rate=rate)) for rate in (0.1, 0.2))
    assert first[0] == second[0]
    assert hash(first[0]) == hash(second[0])
    assert prepare(model, adjustable(sgd)(learning_rate=0.1, momentum=0.9, nesterov=True))[0] != first[0]


@pytest.mark.parametrize("fused", [True, False])
def test_the_state_is_donated_and_the_data_is_not(fused):
    step, state = prepare(MLP(features=(4,), classes=3))
    after, _ = run_steps(step, state, DATA, ORDER, first=0, last=2, fused=fused)
    assert state.params["logits"]["kernel"].is_deleted()
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((after, DATA, ORDER)))


@pytest.mark.full
def test_fused_and_stepwise_convolutions_agree():
    results = []
    for fused in (True, False):
        step, state = prepare(Net(convolve))
        results.append(run_steps(step, state, DATA, ORDER, first=0, last=3, fused=fused)[0].params)
    assert_close(*results)
