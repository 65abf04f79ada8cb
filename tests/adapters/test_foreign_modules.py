"""Equinox and NNX modules train as our own do; each test needs the library that it is about."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn import training
from jaxnn.optimizers import adam
from jaxnn.training import FunctionalModel, Keys

DATA = {"image": np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)}
DATA["label"] = (DATA["image"][:, 0] > 0).astype(np.int32)


def equinox_model():
    """Batch normalization and dropout."""
    eqx = pytest.importorskip("equinox")
    from jaxnn.adapters.equinox_modules import EquinoxModel

    class Net(eqx.Module):
        first: eqx.nn.Linear
        norm: eqx.nn.BatchNorm
        drop: eqx.nn.Dropout
        last: eqx.nn.Linear

        def __init__(self, key):
            first, last = jax.random.split(key)
            self.first, self.last = eqx.nn.Linear(4, 16, key=first), eqx.nn.Linear(16, 2, key=last)
            self.norm, self.drop = eqx.nn.BatchNorm(16, axis_name="batch", mode="batch"), eqx.nn.Dropout(0.5)

        def __call__(self, x, state, *, key=None):
            x, state = self.norm(self.first(x), state)
            return self.last(self.drop(jax.nn.relu(x), key=key)), state

    return EquinoxModel(lambda key: eqx.nn.make_with_state(Net)(key))


def nnx_model():
    """The same in NNX."""
    nnx = pytest.importorskip("flax.nnx", exc_type=Exception)  # some versions do not import on some JAX
    from jaxnn.adapters.nnx_modules import NnxModel

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.last = nnx.Linear(4, 16, rngs=rngs), nnx.Linear(16, 2, rngs=rngs)
            self.norm, self.drop = nnx.BatchNorm(16, momentum=0.9, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.last(self.drop(nnx.relu(self.norm(self.first(x)))))

    return NnxModel(Net)


@pytest.mark.full
@pytest.mark.parametrize("make", [equinox_model, nnx_model])
def test_switches_state_and_keys(make):
    model, x = FunctionalModel(make()), jnp.asarray(DATA["image"])
    params, state = model.init(jax.random.key(0), x)
    assert sum(np.size(leaf) for leaf in jax.tree.leaves(params)) == 4 * 16 + 16 + 2 * 16 + 16 * 2 + 2
    run = jax.jit(
        lambda state, step, train: model.apply(params, state, x, train=train, keys=Keys(jax.random.key(1), step)),
        static_argnums=2,
    )
    first, moved = run(state, 0, True)
    again, _ = run(state, 0, True)
    second, _ = run(state, 1, True)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, second)  # another mask in another step
    used, same = run(moved, 0, False)
    other, _ = run(moved, 1, False)
    np.testing.assert_array_equal(used, other)  # no mask in use
    assert not np.allclose(used, run(state, 0, False)[0])  # the statistics have moved
    for before, after in zip(jax.tree.leaves(moved), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.full
@pytest.mark.parametrize("make", [equinox_model, nnx_model])
def test_trains_evaluates_predicts_and_resumes_to_the_bit(make):
    model, how = make(), {"optimizer": adam(0.02), "batch_size": 16}
    fitted = training.fit(model, DATA, epochs=6, validation=DATA, **how)
    assert fitted.history[-1]["validation/accuracy"] > 0.8
    half = training.fit(model, DATA, epochs=3, **how)
    resumed = training.fit(model, DATA, epochs=6, state=half.state, **how)
    for a, b in zip(jax.tree.leaves(fitted.state.params), jax.tree.leaves(resumed.state.params), strict=True):
        np.testing.assert_array_equal(a, b)
    right = training.predict(model, fitted.state, DATA["image"]).argmax(axis=-1) == DATA["label"]
    assert right.mean() == pytest.approx(training.evaluate(model, fitted.state, DATA)["accuracy"])


@pytest.mark.full
@pytest.mark.parametrize("make", [equinox_model, nnx_model])
def test_a_module_that_is_made_already_keeps_its_parameters(make):
    model, key = make(), jax.random.key(3)
    made = type(model)(model._made(key))
    given, own = (m.init({"params": k}, None) for m, k in ((made, jax.random.key(9)), (model, key)))
    for a, b in zip(jax.tree.leaves(given), jax.tree.leaves(own), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_bare_equinox_module_is_refused_with_the_remedy():
    eqx = pytest.importorskip("equinox")
    with pytest.raises(ValueError, match=r"enter by jaxnn\.adapters"):
        FunctionalModel(eqx.nn.Linear(4, 3, key=jax.random.key(0)))
