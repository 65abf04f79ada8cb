import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxnn.models import MLP
from jaxnn.optimizers import sgd
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


# ----------------------------------------------------------------------------------- models as people bring them


class Switched(nn.Module):
    """Dropout and batch statistics behind a switch of some name, the fields of a subclass."""

    def layers(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dropout(0.5, deterministic=not train)(x)


class ByTrain(Switched):
    @nn.compact
    def __call__(self, x, train):
        return self.layers(x, train=train)


class ByTraining(Switched):
    @nn.compact
    def __call__(self, x, training: bool = False):
        return self.layers(x, train=training)


class ByIsTraining(Switched):
    @nn.compact
    def __call__(self, x, *, is_training):
        return self.layers(x, train=is_training)


class ByDeterministic(Switched):
    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        return self.layers(x, train=not deterministic)


class ByRunningAverage(Switched):
    @nn.compact
    def __call__(self, x, use_running_average: bool = True):
        return self.layers(x, train=not use_running_average)


@pytest.mark.parametrize("module", [ByTrain, ByTraining, ByIsTraining, ByDeterministic, ByRunningAverage])
def test_every_usual_switch_is_served(module):
    """In training half of the outputs are dropped and the statistics move; in use neither."""
    model, x, keys = FunctionalModel(module()), jnp.linspace(1, 2, 400).reshape(4, 100), Keys(jax.random.key(0), 0)
    params, state = model.init(jax.random.key(0), x)
    trained, moved = model.apply(params, state, x, train=True, keys=keys)
    used, same = model.apply(params, state, x, train=False, keys=keys)
    assert 0.3 < float((trained == 0).mean()) < 0.7
    assert float((used == 0).mean()) == 0
    assert jax.tree.leaves(moved)[0].tolist() != jax.tree.leaves(state)[0].tolist()
    assert jax.tree.leaves(same)[0].tolist() == jax.tree.leaves(state)[0].tolist()


class ByInference(Switched):
    @nn.compact
    def __call__(self, x, inference: bool = True):
        return self.layers(x, train=not inference)


class ByMode(Switched):
    @nn.compact
    def __call__(self, x, mode):
        return self.layers(x, train=mode == "train")


class ByField(Switched):
    train: bool = False

    @nn.compact
    def __call__(self, x):
        return self.layers(x, train=self.train)


class Attentive(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.MultiHeadDotProductAttention(2, dropout_rate=0.5, deterministic=True)(x[None])


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (ByInference(), "must have a switch, one of .* contains a BatchNorm.* Write `def __call__"),
        (ByMode(), "received the parameter 'mode' without a default. Write `def __call__"),
        (ByField(), "contains a BatchNorm, which would not be told whether it trains"),
        (Attentive(), "contains a MultiHeadDotProductAttention"),
        (nn.Sequential([nn.Dense(3), nn.Dropout(0.5, deterministic=True)]), "contains a Dropout"),
    ],
    ids=["inference", "mode", "field", "attention", "sequential"],
)
def test_a_switch_of_another_name_is_never_left_in_test_mode(module, message):
    with pytest.raises(ValueError, match=message):
        FunctionalModel(module).init(jax.random.key(0), jnp.ones((2, 4)))


class WithOptions(nn.Module):
    """No switch, and nothing that would need one."""

    @nn.compact
    def __call__(self, x, return_features: bool = False):
        x = nn.LayerNorm()(nn.Dense(3)(x))
        return nn.MultiHeadDotProductAttention(1)(x[None])


def test_a_module_without_layers_that_differ_needs_no_switch():
    params, state = FunctionalModel(WithOptions()).init(jax.random.key(0), jnp.ones((2, 4)))
    assert (len(params), state) == (3, {})


class Noisy(nn.Module):
    """Three streams."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        draw = lambda stream: jax.random.normal(self.make_rng(stream), (3,))
        dropped = nn.Dropout(0.5, deterministic=not train)(jnp.ones(3))
        return x * self.param("scale", nn.initializers.ones, ()), draw("noise"), draw("gumbel"), dropped


def test_streams_of_other_names_have_draws_of_their_own_in_training_and_in_use():
    model, x = FunctionalModel(Noisy()), jnp.ones((2, 4))
    params, state = model.init(jax.random.key(0), x)
    draws = []
    for train, step in [(True, 0), (True, 1), (False, 0)]:
        (_, *drawn), _ = model.apply(params, state, x, train=train, keys=Keys(jax.random.key(1), step))
        (_, *again), _ = model.apply(params, state, x, train=train, keys=Keys(jax.random.key(1), step))
        assert all((a == b).all() for a, b in zip(drawn, again, strict=True))
        draws.append([tuple(draw.tolist()) for draw in drawn[:2]])
    assert len({*draws[0], *draws[1]}) == 4  # two streams, two steps
    assert draws[2] == draws[0]  # in use as in training, but for the keys, which an evaluation has of its own


@pytest.mark.full
def test_a_model_that_draws_predicts_and_evaluates_alike():
    from jaxnn.losses import squared_error
    from jaxnn.training import evaluate, predict

    class Shaken(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1)(x) + jax.random.normal(self.make_rng("noise"), (len(x), 1))

    data = {"image": jnp.ones((6, 4)), "label": jnp.zeros((6, 1))}
    state = init_state(Shaken(), sgd(0.1), data["image"], key=0)
    outputs = predict(Shaken(), state, data["image"], batch_size=3)
    assert len(set(outputs[:, 0].tolist())) == 6  # each batch has a key of its own
    measured = evaluate(Shaken(), state, data, metrics={"loss": squared_error}, batch_size=3)
    assert measured["loss"] == pytest.approx(float((outputs**2).mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["training", "is_training", "deterministic"])
def test_a_pair_may_name_the_switch_as_modules_do(name):
    apply = eval(f"lambda params, x, *, {name}: {name}")
    pair = FunctionalModel((lambda key, x: 0, apply))
    assert [pair.apply(0, {}, 1, train=train)[0] for train in (True, False)] == (
        [False, True] if name == "deterministic" else [True, False]
    )
