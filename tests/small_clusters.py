"""A training small enough to simulate thousands of times: what the tests of asynchronous SGD share."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.asynchronous.event_scan import Shards
from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.training import TrainState, TrainStep, init_state, supervised
from jaxnn.training.batching import take_batch

EXAMPLES, WORKERS = 60, 4
DRAW = Shards(EXAMPLES, 5, WORKERS)


def images(n=EXAMPLES, size=4, seed=0):
    """A bright pixel for each label, on the device."""
    rng = np.random.default_rng(seed)
    image, label = rng.integers(0, 100, (n, size, size, 1), np.uint8), rng.integers(0, 10, n).astype(np.int32)
    image.reshape(n, -1)[np.arange(n), label] = 255
    return {"image": jnp.asarray(image), "label": jnp.asarray(label)}


def initial(key, x):
    """Weights of a network with eight hidden units, as NumPy draws them: nothing to compile."""
    rng = np.random.default_rng(0)
    kernels = {"hidden": (16, 8), "logits": (8, 10)}
    return {name: jnp.asarray(rng.normal(0, 0.3, shape), jnp.float32) for name, shape in kernels.items()}


def network(params, x):
    """Without Flax, whose tracing would take most of the time here."""
    return jnp.tanh(x.reshape(len(x), -1) @ params["hidden"]) @ params["logits"]


@cache
def training(optimizer, model=(initial, network)):
    """A step and its first state."""
    step = TrainStep(supervised(model, cross_entropy, metrics={"accuracy": accuracy}), optimizer.update)
    return step, init_state(model, optimizer, images()["image"][:1], key=3)


def sequential(step, state, data, order, draw=DRAW):
    """Plain training on the batches of (worker, local step), one after the other, as `fit` would."""

    order = np.asarray(order, np.int32)
    return scanned(step, draw)(state, data, (order[:, 0], order[:, 1]))


@cache
def scanned(step, draw):
    """Compiled once for all tests of a file."""
    one = lambda data, state, row: step(state, take_batch(data, draw(state.key, *row)))
    return jax.jit(lambda state, data, rows: jax.lax.scan(partial(one, data), state, rows))


def check_same_bits(ours, theirs):
    """Trees of the same arrays."""
    jax.tree.map(np.testing.assert_array_equal, without_keys(ours), without_keys(theirs))


def check_near(ours, theirs, atol=1e-6):
    """Weights here are of the order of 1; a sum in another order rounds otherwise."""
    near = lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)
    jax.tree.map(near, without_keys(ours), without_keys(theirs))


def without_keys(tree):
    """Typed keys as their data; the examples seen are counted by `fit`'s step alone."""
    if isinstance(tree, TrainState):
        tree = tree._replace(examples=())
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree)
