"""Data parallelism: one step, its batch divided among all devices, and the parameters of one device at the end.

    python experiments/train_data_parallel.py                      # every GPU or TPU core that JAX finds here
    python experiments/train_data_parallel.py --cpu-devices 8      # a CPU divided into eight
    python experiments/train_data_parallel.py --cpu-devices 8 --placement pmap

LeNet-5 on MNIST. Each device has the parameters and the data; of a batch it computes the gradient of its own rows, and
the sum over all devices, which is the gradient of the batch, makes the same update on each: nothing is to be tuned
again. The placements say this to XLA in three ways, and end at the same parameters, to rounding
(`jaxnn/parallel/placements.py`). Put in any model (Flax, or a pair of functions), data, loss and optimizer.
"""

import sys
from dataclasses import dataclass
from typing import Literal

import jax
import tyro

from jaxnn import data, optimizers, parallel, preprocessing, schedules, training
from jaxnn.models import LeNet5


@dataclass(frozen=True)
class Settings:
    """Options of the training."""

    placement: Literal["shard_map", "pmap", "automatic", "single"] = "shard_map"
    cpu_devices: int = 0  # divide the CPU into so many devices; 0: the accelerators that there are
    epochs: int = 2
    batch_size: int = 128  # of all devices together; a multiple of their number
    learning_rate: float = 6e-3
    seed: int = 0
    train_examples: int | None = None  # only the first so many


def main(settings: Settings) -> None:
    if settings.learning_rate <= 0:
        raise ValueError(f"--learning-rate must be positive; received {settings.learning_rate}.")
    if settings.cpu_devices:  # before the first use of a device
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", settings.cpu_devices)
    placement = parallel.placement(settings.placement, jax.devices()[: 1 if settings.placement == "single" else None])
    mnist, throughput = data.subset(data.load("mnist"), train=settings.train_examples), Throughput()
    steps = settings.epochs * -(-len(mnist.train["label"]) // settings.batch_size)
    adam = optimizers.adam(schedules.one_cycle(settings.learning_rate, steps=steps), b2=0.99)
    fitted = training.fit(
        LeNet5(),
        mnist.train,
        validation=mnist.test,  # after each epoch, divided too; every image counts once
        optimizer=adam,
        preprocess=preprocessing.Standardize(mnist.mean, mnist.std),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        key=settings.seed,
        placement=placement,
        hooks=[throughput],
    )
    last = fitted.history[-1]
    print(f"{settings.placement} over {placement.batch_shards} x {jax.devices()[0].device_kind}: {throughput}")
    accuracy, count, loss = (last[f"validation/{name}"] for name in ("accuracy", "count", "loss"))
    print(f"test accuracy {100 * accuracy:.2f} % of {count}, loss {loss:.4f}")


class Throughput:
    """A hook of `fit`: images a second, compilation and evaluation left out."""

    images, seconds = 0, 0.0

    def __call__(self, event) -> None:
        if isinstance(event, training.Progress):
            self.images, self.seconds = self.images + event.examples, self.seconds + event.seconds

    def __str__(self) -> str:
        return f"{self.images / self.seconds:.0f} images/s"


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings, description=__doc__))
    except ValueError as error:
        sys.exit(f"train_data_parallel: {error}")
