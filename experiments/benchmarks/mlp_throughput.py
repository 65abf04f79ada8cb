"""How many MNIST images a second does a small MLP train on, against PyTorch, Keras on JAX and a Flax host loop?

    python experiments/benchmarks/mlp_throughput.py --peers-python PATH --record

784-128-10 (101 770 parameters), batch 64, Adam, real MNIST: whole epochs, shuffling included, after one that is not
timed. The arithmetic of a step is tiny, so this measures what surrounds it: on a virtual machine also how quickly its
second core wakes up, which halves the speed of whole seconds now and then, so the epochs are many. Expected on two
cores: jaxnn 3 times PyTorch eager, 1.9 times a host loop of Flax and Optax.
"""

from dataclasses import dataclass

import throughput
import tyro
from measuring import publish


@dataclass(frozen=True)
class Settings(throughput.Settings):
    """784-128-10 at batch 64."""

    batch_size: int = 64
    epochs: int = 40


BOUNDS = {throughput.PYTORCH: 3.0, throughput.FLAX: 1.9}


def main(settings: Settings) -> None:
    report = throughput.compare("mlp", settings, BOUNDS)
    publish(report, script=__file__, doc=__doc__, record=settings.record, peers_python=settings.peers_python)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
