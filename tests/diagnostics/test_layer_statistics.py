"""What flows through a network: gradients as automatic differentiation has them, statistics as counted by hand."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.diagnostics import describe_layers, observe_layers, observe_module
from jaxnn.diagnostics.layer_statistics import LIMITS
from jaxnn.layers import Add, BatchNorm, Dense, Dropout, Tanh, chain, graph
from jaxnn.models import MLP

BLOCK = graph({"dense": (Dense(3), "input"), "sum": (Add(), "dense", "input")})
LAYERS = [Dense(3), BatchNorm(), BLOCK, Dropout(0.5), Dense(2)]


def test_gradients_are_those_of_every_output():
    x, key = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), jax.random.key(2)
    params = chain(*LAYERS).init(jax.random.key(1), x)

    def loss(y):
        return (y**3).sum()

    @jax.jit
    def observe(params):
        flow = observe_layers(LAYERS, params, x, loss=loss, key=key)
        dparams = jax.grad(lambda params: loss(observe_layers(LAYERS, params, x, loss=loss, key=key).activations[-1]))
        return flow, dparams(params)

    flow, dparams = observe(params)
    for i in (0, 1, 2, 4):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), flow.dparams[i], dparams[str(i)])
    by_hand = 3 * flow.activations[4] ** 2
    np.testing.assert_allclose(flow.gradients[4], by_hand, rtol=1e-5)
    np.testing.assert_allclose(flow.gradients[3], by_hand @ params["4"]["kernel"].T, rtol=1e-4)
    assert [h.shape for h in flow.activations] == [g.shape for g in flow.gradients] == [(4, 3)] * 4 + [(4, 2)]


@pytest.mark.parametrize("params", [{}, {"0": (), "1": (), "2": ()}])
def test_params_of_other_layers_are_refused(params):
    with pytest.raises(ValueError, match=f"an entry for each of 2 layers.*received \\[{', '.join(map(repr, params))}"):
        observe_layers([Tanh(), Tanh()], params, jnp.ones((1, 2)), loss=jnp.sum)


class Nested(nn.Module):
    """A module in a module, one that returns two outputs, and one that is called twice."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = MLP(features=(4,), classes=3, name="inner")(x, train=train)
        twice = nn.Dense(3, name="twice")
        return nn.SimpleCell(2, name="cell")(x[:, :2], twice(twice(x)))[1]


def test_a_module_tells_its_submodules_in_the_order_of_their_calls():
    model, x = Nested(), np.ones((5, 6), np.float32)
    variables = model.init(jax.random.key(0), x)
    seen = observe_module(model, variables, x, train=False)
    names = [name for name in seen if not name.startswith("cell/")]
    assert names == ["inner/hidden1", "inner/logits", "inner", "twice", "cell"]
    p = variables["params"]["inner"]["hidden1"]
    np.testing.assert_allclose(seen["inner/hidden1"], x @ np.asarray(p["kernel"]) + np.asarray(p["bias"]), rtol=1e-5)
    np.testing.assert_array_equal(seen["inner"], seen["inner/logits"])
    assert seen["cell"].shape == (5, 2)


def test_statistics_are_those_of_numpy_and_can_be_mapped():
    values = np.random.default_rng(0).normal(size=(2, 3, 10, 4)).astype(np.float32)
    told = jax.jit(jax.vmap(lambda v: describe_layers(list(v), limits=(-1.0, 1.0))))(values)
    flat = np.abs(values) >= 0.98
    by_hand = {
        "mean": values.mean((2, 3)),
        "std": values.std((2, 3)),
        "rms": np.sqrt((values**2).mean((2, 3))),
        "saturated": flat.mean((2, 3)),
        "dead": flat.all(2).mean(2),
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(getattr(told, name), expected, rtol=1e-5, atol=1e-6)


def test_limits_of_a_rectifier_and_none():
    h = jnp.array([[0.0, 0.0, 5.0, -0.0], [0.0, 0.01, 5.0, 0.0]])
    relu, free = describe_layers([h], limits=LIMITS["relu"]), describe_layers([h])
    assert (float(relu.saturated[0]), float(relu.dead[0])) == (0.625, 0.5)
    assert (float(free.saturated[0]), float(free.dead[0])) == (0.0, 0.0)
    with pytest.raises(ValueError, match="an array for each layer; received none"):
        describe_layers([])


def test_sizes_whose_squares_would_vanish_are_told():
    told = describe_layers([jnp.array([[3e-25, -4e-25]]), jnp.zeros((2, 2))])
    np.testing.assert_allclose(told.rms, [12.5**0.5 * 1e-25, 0], rtol=1e-5)
    np.testing.assert_allclose(told.std, [3.5e-25, 0], rtol=1e-5)
