"""Do hand-derived backward passes alone train a network to the parameters that automatic differentiation finds?

    python experiments/backpropagation_by_hand.py

A two-layer network and a LeNet of `jaxnn.layers` are trained on real MNIST twice from the same start on the same
batches: once by `network.backward`, the chain rule over the layers' own backward passes, without `jax.grad`;
once by `jax.grad` of the forward pass. Expected on any hardware: in float64 the parameters agree to 1e-10 of their
size or better and the accuracies are equal. In float32 so do the two-layer network's; LeNet's path is chaotic (a start
moved by 1e-7 ends 0.2 away after 400 steps), so its parameters drift apart by rounding alone, the accuracies do not.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import tyro

from jaxnn import data, layers, losses, optimizers
from jaxnn.layers import classification_head
from jaxnn.layers.hand_written import run
from jaxnn.metrics import accuracy
from jaxnn.preprocessing import Standardize
from jaxnn.verification.comparison import relative_difference

NETWORKS = {
    "784-128-10": layers.chain(layers.Flatten(), layers.Dense(128), layers.ReLU(), layers.Dense(10)),
    "LeNet": layers.chain(
        *(layers.Convolution(6, (5, 5), padding="SAME"), layers.ReLU(), layers.MaxPool((2, 2))),
        *(layers.Convolution(16, (5, 5), padding="VALID"), layers.ReLU(), layers.MaxPool((2, 2))),
        *(layers.Flatten(), layers.Dense(120), layers.ReLU(), layers.Dense(84), layers.ReLU(), layers.Dense(10)),
    ),
}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 0.01
    smoke: bool = False  # a few steps, figures without meaning


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, steps=5, batch_size=16)
    print(f"{'network':<14}{'dtype':<10}{'steps':>6}{'by hand':>10}{'jax.grad':>10}{'largest difference':>20}")
    for name, network in NETWORKS.items():
        for dtype in ("float32", "float64"):
            with jax.enable_x64(dtype == "float64"):
                ours, theirs, difference = compare(network, dtype, settings)
            print(f"{name:<14}{dtype:<10}{settings.steps:>6}{ours:>10.2%}{theirs:>10.2%}{difference:>20.1e}")


def compare(network: layers.Layer, dtype: str, settings: Settings) -> tuple[float, float, float]:
    """Test accuracies of the two trainings, and how far their parameters are apart, relative to the largest."""
    mnist = data.load("mnist")
    scale = Standardize(mnist.mean, mnist.std)
    prepare = lambda split: (scale(split["image"]).astype(dtype), jnp.asarray(split["label"], jnp.int32))  # noqa: E731
    examples, (test_images, test_labels) = prepare(mnist.train), prepare(mnist.test)
    params = [train(partial(form, network), network, examples, settings) for form in (by_hand, automatic)]
    judge = jax.jit(lambda params, images, labels: accuracy(run(network, params, images)[0], labels).mean())
    return *(float(judge(p, test_images, test_labels)) for p in params), relative_difference(*params)


def by_hand(network, params, images, labels):
    """The gradients of the mean loss: the head's backward pass, then the network's."""
    logits, residuals = network.forward(params, images)
    _, head = classification_head.forward(labels, logits)
    _, dlogits = classification_head.backward(head, jnp.full(len(labels), 1 / len(labels), logits.dtype))
    dparams, _ = network.backward(residuals, dlogits)
    return dparams


def automatic(network, params, images, labels):
    """The same gradients by automatic differentiation of the forward pass."""
    return jax.grad(lambda params: losses.cross_entropy(network.forward(params, images)[0], labels).mean())(params)


def train(gradients, network, examples, settings: Settings):
    """Momentum descent over the batches in order, as one compiled scan."""
    images, labels = (a[: settings.steps * settings.batch_size] for a in examples)
    optimizer = optimizers.sgd(settings.learning_rate, momentum=0.9)
    params = network.init(jax.random.key(0), images[:1])

    def step(carry, batch):
        params, opt_state = carry
        updates, opt_state = optimizer.update(gradients(params, *batch), opt_state, params)
        return (optimizers.apply_updates(params, updates), opt_state), None

    batches = jax.tree.map(lambda a: a.reshape(-1, settings.batch_size, *a.shape[1:]), (images, labels))
    return jax.jit(lambda carry: jax.lax.scan(step, carry, batches)[0][0])((params, optimizer.init(params)))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
