"""How many MNIST images a second does LeNet-5 train on, against PyTorch, Keras on JAX and a Flax host loop?

    python experiments/benchmarks/lenet_throughput.py --peers-python PATH --record

LeNet-5 with ReLU and max pooling (61 706 parameters), batch 128, Adam, real MNIST: whole epochs, shuffling included,
after one that is not timed. Expected on two cores: jaxnn 1.5 to 2 times PyTorch eager, 4 times Keras on JAX, 2.5
times a host loop of Flax and Optax with Flax's own convolutions.
"""

from dataclasses import dataclass

import throughput
import tyro
from measuring import publish


@dataclass(frozen=True)
class Settings(throughput.Settings):
    """LeNet-5 at batch 128."""


BOUNDS = {throughput.PYTORCH: 1.5, throughput.KERAS: 4.0, throughput.FLAX: 2.5}


def main(settings: Settings) -> None:
    report = throughput.compare("lenet5", settings, BOUNDS)
    publish(report, script=__file__, doc=__doc__, record=settings.record, peers_python=settings.peers_python)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
