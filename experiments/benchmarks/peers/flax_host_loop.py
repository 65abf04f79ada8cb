"""Flax and Optax as their tutorials write it: a jitted step called from a host loop over NumPy batches."""

import json
import sys
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState


class LeNet5(nn.Module):
    """ReLU, max pooling, 61 706 parameters."""

    @nn.compact
    def __call__(self, x):
        """Logits."""
        x = nn.max_pool(nn.relu(nn.Conv(6, (5, 5))(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(16, (5, 5), padding="VALID")(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = nn.relu(nn.Dense(120)(x))
        x = nn.relu(nn.Dense(84)(x))
        return nn.Dense(10)(x)


class MLP(nn.Module):
    """784-128-10."""

    @nn.compact
    def __call__(self, x):
        """Logits."""
        return nn.Dense(10)(nn.relu(nn.Dense(128)(x.reshape(len(x), -1))))


NETWORKS = {"lenet5": LeNet5, "mlp": MLP}


def make_step(mean, std):
    @jax.jit
    def step(state, images, labels):
        def objective(params):
            logits = state.apply_fn({"params": params}, (images.astype(jnp.float32) / 255 - mean) / std)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, grads = jax.value_and_grad(objective)(state.params)
        return state.apply_gradients(grads=grads), loss

    return step


def train_epoch(step, state, images, labels, batch_size, generator):
    """One epoch; as the tutorials do, the incomplete batch at its end is left out."""
    order = generator.permutation(len(images))
    for rows in order[: len(order) // batch_size * batch_size].reshape(-1, batch_size):
        state, _ = step(state, images[rows], labels[rows])
    return jax.block_until_ready(state)


def main(workload):
    with np.load(workload["data"]) as arrays:
        images, labels = arrays["train_image"], arrays["train_label"]
    model, generator, batch_size = NETWORKS[workload["network"]](), np.random.default_rng(0), workload["batch_size"]
    params = model.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    optimizer = optax.adam(workload["learning_rate"])
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optimizer)
    step = make_step(workload["mean"], workload["std"])
    state = train_epoch(step, state, images, labels, batch_size, generator)
    start = time.perf_counter()
    for _ in range(workload["epochs"]):
        state = train_epoch(step, state, images, labels, batch_size, generator)
    seconds = time.perf_counter() - start
    trained = workload["epochs"] * (len(images) // batch_size * batch_size)
    print(json.dumps({"images_per_second": trained / seconds}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
