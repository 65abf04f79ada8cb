"""One training in many processes or on many hosts, each with its own devices and its own rows of the data.

    python experiments/train_multihost.py --processes 2               # both on this machine, a CPU device each
    srun jaxnn launch --cluster -- experiments/train_multihost.py     # Slurm; so Open MPI, Kubernetes, TPU pods

LeNet-5 on MNIST. Every process runs this file; `multihost.joined` finds the others, and then `jax.devices()` are those
of all, so that the placement alone differs from a training on one device. The first process alone writes.

The same command with the same `--out` goes on from the last checkpoint, in as many processes as it is now given.
"""

import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxnn import data, losses, optimizers, parallel, schedules
from jaxnn.cli.main import main as jaxnn
from jaxnn.metrics import accuracy
from jaxnn.models import LeNet5
from jaxnn.parallel import multihost
from jaxnn.preprocessing import Standardize
from jaxnn.runs import check_new, checkpoints, create
from jaxnn.runs.training_run import Task, train_in_folder
from jaxnn.training import supervised_trial


@dataclass(frozen=True)
class Settings:
    """Options of the training."""

    processes: int = 1  # to start on this machine, if no launcher has started this one
    out: str = "runs/multihost"  # the run folder, on a disk that all hosts share
    epochs: int = 2
    batch_size: int = 128  # of all devices together; a multiple of their number
    learning_rate: float = 6e-3
    seed: int = 0
    train_examples: int | None = None  # only the first so many


def main(settings: Settings) -> int:
    """Returns the exit status."""
    if settings.batch_size % max(settings.processes, 1) or settings.learning_rate <= 0:
        raise ValueError(f"--batch-size must be a multiple of --processes, the rate positive; received {settings}.")
    if not checkpoints.steps(Path(settings.out) / "checkpoints"):
        check_new(settings.out)
    if settings.processes != 1 and "JAXNN_COORDINATOR" not in os.environ:
        return jaxnn(["launch", "-n", str(settings.processes), "--", *sys.argv])
    with multihost.joined():  # before the first use of a device
        return train(settings)


def train(settings: Settings) -> int:
    """What each process does."""
    placement = parallel.placement("local_rows")  # over the devices of all processes
    mnist = data.subset(data.load("mnist"), train=settings.train_examples)
    own = parallel.rows_of_process(mnist.train, placement)  # on a large data set: read no others
    steps = settings.epochs * -(-placement.global_examples(len(own["label"])) // settings.batch_size)
    adam = optimizers.adam(schedules.one_cycle(settings.learning_rate, steps=steps), b2=0.99)
    how = {"metrics": {"accuracy": accuracy}, "preprocess": Standardize(mnist.mean, mnist.std)}
    trial = supervised_trial(LeNet5(), losses.cross_entropy, adam, **how)
    task = Task(trial, own, None, mnist.test, seed=settings.seed, monitor=None, classes=mnist.classes)
    folder, writes = Path(settings.out), multihost.is_writer()
    resume = bool(checkpoints.steps(folder / "checkpoints"))
    if writes and not resume:
        create(folder, dataclasses.asdict(settings))
    passes = {"epochs": settings.epochs, "batch_size": settings.batch_size, "resume": resume}
    outcome = train_in_folder(folder, task, **passes, placement=placement)
    if writes and not outcome.exit_status:
        last = outcome.result["last"]
        print(f"test accuracy {100 * last['accuracy']:.2f} % of {last['count']}; run folder {folder}")
    return outcome.exit_status


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Settings, description=__doc__)))
    except (ValueError, OSError) as error:
        sys.exit(f"train_multihost: {error}")
