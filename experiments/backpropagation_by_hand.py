"""Do hand-derived backward passes alone train a network to the parameters that automatic differentiation finds?

    python experiments/backpropagation_by_hand.py

A two-layer network and a LeNet of `jaxnn.layers` learn real MNIST twice from the same start on the same batches: by
`network.backward`, the chain rule over the layers' own backward passes (Rumelhart, Hinton and Williams 1986), without
`jax.grad`; and by `jax.grad` of the forward pass. A seed of the record is a start.

Expected: in float64 parameters agree to 1e-10 of their size, and accuracies are equal. In float32 LeNet's path is
chaotic: rounding drives it apart as it does two runs by `jax.grad` with starts 1e-7 apart; accuracies agree to 1 %.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from recording import Experiment, Finding, Outcome

from jaxnn import data, layers, losses, optimizers
from jaxnn.metrics import accuracy
from jaxnn.plots import plot_lines
from jaxnn.preprocessing import Standardize

NETWORKS = {
    "784-128-10": layers.chain(layers.Flatten(), layers.Dense(128), layers.ReLU(), layers.Dense(10)),
    "LeNet": layers.chain(
        *(layers.Convolution(6, (5, 5), padding="SAME"), layers.ReLU(), layers.MaxPool((2, 2))),
        *(layers.Convolution(16, (5, 5), padding="VALID"), layers.ReLU(), layers.MaxPool((2, 2))),
        *(layers.Flatten(), layers.Dense(120), layers.ReLU(), layers.Dense(84), layers.ReLU(), layers.Dense(10)),
    ),
}
RUMELHART = "Rumelhart, Hinton and Williams 1986"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    networks: tuple[str, ...] = ("784-128-10", "LeNet")
    steps: int = 400
    batch_size: int = 64
    seeds: int = 1


def measure(settings: Settings) -> Outcome:
    mnist, lines, told = data.load("mnist"), {}, []
    for case in (f"{name}, {dtype}" for name in settings.networks for dtype in ("float64", "float32")):
        results = [compare(*case.split(", "), mnist, settings, seed) for seed in range(settings.seeds)]
        shares, (hand, moved) = (np.moveaxis(np.array(part), 0, 1) for part in zip(*results, strict=True))
        lines[case] = hand.max(axis=0) + 1e-17
        if "float32" in case:
            lines[f"{case}, starts 1e-7 apart"] = moved.max(axis=0)
        told += findings(case, 100 * shares, hand[:, -1], moved[:, -1])
    labels = {"xlabel": "step", "ylabel": "parameters apart, of the largest (0 as 1e-17)", "yscale": "log"}
    figure = plot_lines(range(1, settings.steps + 1), lines, title="By hand and by jax.grad, apart", **labels)
    return Outcome(told, {"": figure})


def findings(case, shares, hand, moved):
    """Of test accuracies, (2, seeds) in percent, and distances after the last step, (seeds,)."""
    most, points = (1e-10, 0) if (exact := "float64" in case) else (10 * moved, 1)
    told = "at most 1e-10" if exact else f"at most 10 times jax.grad's, from starts 1e-7 apart: {10 * moved.mean():.1g}"
    yield Finding(f"{case}: parameters apart", hand, told, RUMELHART, all(hand <= most))
    yield Finding(f"{case}: test accuracy by hand, %", shares[0], f"jax.grad's, to {points} points", RUMELHART,
                  all(abs(shares[0] - shares[1]) <= points))  # fmt: skip


def by_hand(network, params, images, labels):
    """The gradients of the mean loss: the head's backward pass, then the network's."""
    logits, residuals = network.forward(params, images)
    _, head = layers.softmax_head.forward(labels, logits)
    _, dlogits = layers.softmax_head.backward(head, jnp.full(len(labels), 1 / len(labels), logits.dtype))
    return network.backward(residuals, dlogits)[0]


def automatic(network, params, images, labels):
    """The same by automatic differentiation of the forward pass."""
    return jax.grad(lambda params: losses.cross_entropy(network.forward(params, images)[0], labels).mean())(params)


def compare(name: str, dtype: str, mnist, settings: Settings, seed: int):
    """Test accuracies by hand and by `jax.grad`, and how far parameters are apart by step, as `train` returns them."""
    scale, shape = Standardize(mnist.mean, mnist.std), (settings.steps, settings.batch_size)
    with jax.enable_x64(dtype == "float64"):
        prepare = lambda split: (scale(split["image"]).astype(dtype), jnp.asarray(split["label"], jnp.int32))
        batches = [a[: np.prod(shape)].reshape(*shape, *a.shape[1:]) for a in prepare(mnist.train)]
        return jax.device_get(train(NETWORKS[name], batches, prepare(mnist.test), seed))


@jax.jit(static_argnums=0)
def train(network, batches, test, seed):
    """Momentum descent over the batches in order: by hand, by `jax.grad`, and so again from a start 1e-7 beside."""
    optimizer, forms = optimizers.sgd(0.01, momentum=0.9), (by_hand, automatic, automatic)
    params = network.init(jax.random.key(seed), batches[0][0])

    def step(carry, batch):
        grads = [form(network, params, *batch) for form, (params, _) in zip(forms, carry, strict=True)]
        moves = [optimizer.update(g, opt_state, w) for g, (w, opt_state) in zip(grads, carry, strict=True)]
        carry = [(optimizers.apply_updates(w, u), o) for (u, o), (w, _) in zip(moves, carry, strict=True)]
        hand, grad, moved = (params for params, _ in carry)
        return carry, jnp.stack([apart(hand, grad), apart(moved, grad)])

    starts = params, params, jax.tree.map(lambda w: w + jnp.asarray(1e-7, w.dtype), params)
    ended, differences = jax.lax.scan(step, [(start, optimizer.init(start)) for start in starts], batches)
    shares = [accuracy(network.forward(params, test[0])[0], test[1]).mean() for params, _ in ended[:2]]
    return jnp.stack(shares), differences.T


def apart(ours, theirs):
    """The largest difference, relative to the largest magnitude of its array."""
    relative = jax.tree.map(lambda a, b: jnp.abs(a - b).max() / jnp.abs(b).max(), ours, theirs)
    return jax.tree.reduce(jnp.maximum, relative)


SMOKE = {"networks": ("784-128-10",), "steps": 3, "batch_size": 8, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 3})

if __name__ == "__main__":
    EXPERIMENT.main()
