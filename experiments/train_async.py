"""Asynchronous SGD: workers that never wait for one another, and a server that takes their gradients as they come.

    python experiments/train_async.py                                       # simulated: random times, one straggler
    python experiments/train_async.py --simulation pmap --cpu-devices 8     # equally fast, a worker on every device
    python experiments/train_async.py --real --workers 2                    # processes of Ray: pip install "jaxnn[ray]"

Downpour SGD (Dean et al. 2012) of an MLP on MNIST. A gradient is late by the N - 1 updates that others make while it is
computed, and AdaGrad at the server bears that. In all forms a worker calls `TrainStep.gradient` and the server
`TrainStep.descend`; only the order of events differs. A simulation is one compiled program, and repeats bit for bit.
"""

import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import tyro

from jaxnn import asynchronous, data, losses, models, optimizers, preprocessing, training
from jaxnn.parameter_server import Downpour, push_rows, read_log, train_asynchronously


@dataclass(frozen=True)
class Settings:
    """Options of the training."""

    simulation: Literal["events", "vmap", "pmap", "shard_map"] = "events"
    real: bool = False  # processes of Ray instead
    cpu_devices: int = 0  # divide the CPU into so many: pmap and shard_map need one a worker
    workers: int = 8
    pushes: int = 4000  # gradients of all workers together
    batch_size: int = 64  # examples in a gradient
    learning_rate: float = 0.03
    seed: int = 0


def main(settings: Settings) -> None:
    if settings.learning_rate <= 0 or settings.pushes < settings.workers:
        raise ValueError(f"--learning-rate must be positive, --pushes at least --workers; received {settings}.")
    if settings.cpu_devices:  # before the first use of a device
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", settings.cpu_devices)
    mnist, optimizer = data.load("mnist"), optimizers.adagrad(settings.learning_rate)
    model, own = models.MLP(features=(128,)), {"preprocess": preprocessing.Standardize(mnist.mean, mnist.std)}
    step = training.TrainStep(training.supervised(model, losses.cross_entropy, **own), optimizer.update)
    state = training.init_state(model, optimizer, mnist.train["image"][:1], key=settings.seed, **own)
    state, late = (run_on_ray if settings.real else simulate)(settings, step, state, mnist.train, optimizer)
    measured = training.evaluate(model, state, mnist.test, **own)
    print(f"{len(late)} updates, late by {late.mean():.1f} others in the mean, by {late.max()} at most")
    print(f"test accuracy {100 * measured['accuracy']:.2f} % of {measured['count']}, loss {measured['loss']:.4f}")


def simulate(settings: Settings, step, state, train, optimizer):
    """The last state and how late each update was; event by event on one device, or in waves on one for each worker."""
    n, how, train = settings.workers, settings.simulation, jax.device_put(train)
    uneven = {"spread": 0.3, "slowdown": {0: 5.0}, "seed": settings.seed} if how == "events" else {}
    program = asynchronous.simulate(asynchronous.WorkerTimes(n, **uneven), pushes=settings.pushes // n * n)
    own = {"draw": asynchronous.Shards(len(train["label"]), settings.batch_size, n)}
    late = asynchronous.staleness_of(asynchronous.log_of(program))
    if how == "events":
        cluster = asynchronous.replicate(state, n)
        return jax.jit(partial(asynchronous.downpour, step, **own))(cluster, train, program)[0].server, late
    waves = partial(asynchronous.downpour_waves, step, workers=n, waves=settings.pushes // n, driver=how, **own)
    return jax.jit(waves)(state, train)[0], late


def run_on_ray(settings: Settings, step, state, train, optimizer):
    """The same by processes: a Ray is started for this machine alone, and ends with the run."""
    how = {"settings": Downpour(settings.workers, batch_size=settings.batch_size, seed=settings.seed)}
    how |= {"steps": settings.pushes // settings.workers, "preprocess": step.objective.preprocess, "state": state}
    with tempfile.TemporaryDirectory() as log:
        ended = train_asynchronously(step.objective.model.model, train, optimizer=optimizer, folder=log, **how)
        return ended.state, asynchronous.staleness_of(push_rows(read_log(log)))


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings, description=__doc__))
    except (ValueError, ImportError) as error:
        sys.exit(f"train_async: {error}")
