import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxnn.models import MLP
from jaxnn.training import FunctionalModel, Keys, init_state, stream_key
from jaxnn.training.key_streams import STREAMS


def test_equal_models_are_equal_values():
    assert FunctionalModel(MLP()) == FunctionalModel(MLP())
    assert hash(FunctionalModel(MLP(features=(3, 4)))) == hash(FunctionalModel(MLP(features=(3, 4))))
    assert FunctionalModel(MLP()) != FunctionalModel(MLP(features=(3,)))


def test_a_pair_gets_what_it_asks_for():
    asked = {}

    def apply(params, x, *, train, key):
        asked.update(train=train, key=key)
        return x

    keys = Keys(jax.random.key(0), 3)
    FunctionalModel((lambda key, x: 0, apply)).apply(0, {}, 1, train=True, keys=keys)
    assert asked == {"train": True, "key": stream_key(keys.key, "dropout", 3)}
    assert FunctionalModel((lambda key, x: 0, lambda params, x: x)).apply(0, {}, 1, train=True, keys=keys) == (1, {})


class Stateful(nn.Module):
    @nn.compact
    def __call__(self, x):
        calls = self.variable("counter", "calls", lambda: jnp.zeros((), jnp.int32))
        seen = self.variable("cache", "last", jnp.zeros_like, x)
        if self.is_mutable_collection("counter") and not self.is_initializing():
            calls.value, seen.value = calls.value + 1, x
        return x * self.param("scale", nn.initializers.ones, ())


def test_every_collection_but_the_parameters_is_model_state():
    model = FunctionalModel(Stateful())
    params, state = model.init(jax.random.key(0), jnp.zeros(2))
    assert set(params) == {"scale"}
    assert set(state) == {"counter", "cache"}
    _, evaluated = model.apply(params, state, jnp.ones(2), train=False)
    assert evaluated["counter"]["calls"] == 0
    _, trained = model.apply(params, state, jnp.ones(2), train=True, keys=Keys(jax.random.key(1), 0))
    assert trained["counter"]["calls"] == 1
    assert trained["cache"]["last"].tolist() == [1, 1]


@pytest.mark.parametrize("bad", [None, 3, (len,), (len, 3), MLP, "lenet5"], ids=repr)
def test_refuses_what_is_no_model(bad):
    with pytest.raises(ValueError, match="`model` must be a Flax linen module or a pair of functions"):
        FunctionalModel(bad)


def test_streams_and_steps_have_keys_of_their_own():
    key = jax.random.key(0)
    keys = {
        tuple(jax.random.key_data(stream_key(key, stream, step)).tolist()) for stream in STREAMS for step in range(5)
    }
    assert len(keys) == 5 * len(STREAMS)


def test_a_run_begins_with_the_models_own_initial_parameters():
    optimizer = (lambda params: (), lambda grads, state, params: (grads, state))
    from jaxnn.optimizers import GradientTransformation

    state = init_state(MLP(), GradientTransformation(*optimizer), jnp.ones((1, 5)), key=3)
    expected = MLP().init({"params": stream_key(jax.random.key(3), "init", 0)}, jnp.ones((1, 5)))["params"]
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), state.params, expected))
    assert (int(state.step), state.model_state) == (0, {})
