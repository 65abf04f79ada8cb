"""The step as the README shows it: made of a bare model, a value, and an ordinary function under jit and scan."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import sgd
from jaxnn.training import FunctionalModel, TrainStep, init_state, supervised

MODEL, OPTIMIZER = MLP(features=(5,), classes=3), sgd(0.1)
X = np.random.default_rng(0).normal(size=(4, 8, 6)).astype(np.float32)
BATCHES = {"image": jnp.asarray(X), "label": jnp.arange(32).reshape(4, 8) % 3, "mask": jnp.ones((4, 8), bool)}


def test_a_step_takes_a_model_as_it_is():
    step = TrainStep(supervised(MODEL, cross_entropy), OPTIMIZER.update)
    assert step == TrainStep(supervised(FunctionalModel(MODEL), cross_entropy), OPTIMIZER.update)


def test_scan_is_the_loop_of_jitted_steps():
    step = TrainStep(supervised(MODEL, cross_entropy), OPTIMIZER.update)
    state = init_state(MODEL, OPTIMIZER, X[0], key=0)
    scanned, metrics = jax.lax.scan(step, state, BATCHES)
    assert metrics["loss"].count.tolist() == [8.0] * 4
    for i in range(4):
        state, _ = jax.jit(step)(state, jax.tree.map(lambda leaf, i=i: leaf[i], BATCHES))
    for ours, theirs in zip(jax.tree.leaves(scanned.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert int(scanned.step) == int(state.step) == 4
