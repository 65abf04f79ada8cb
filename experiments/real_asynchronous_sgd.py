"""Does asynchronous SGD by real processes learn, and is every number of it determined by its log?

    python experiments/real_asynchronous_sgd.py
    python experiments/real_asynchronous_sgd.py --minutes-of-kills 10   # a worker or a server dies every few seconds

Downpour SGD (Dean et al. 2012): two workers and a parameter server with AdaGrad, four processes of Ray on this machine,
train an MLP on MNIST. Nobody waits for anybody, so a gradient is applied to parameters that others have changed
meanwhile; the staleness says how often. Then the log, (worker, step, version read, version applied) of every push, is
replayed through the same pure functions in one process. With `--minutes-of-kills` processes are killed with SIGKILL all
along, workers and servers by turns, and the log that they leave must still replay.

Expected: at least 97 % on the test images; a mean staleness of N - 1 = 1, less what the other pushes between a worker's
push and its next fetch; the replay equal bit for bit, deaths or none. Compression costs
no accuracy: eight bits send a quarter of the bytes, top-k a fiftieth.
Hardware: two cores, Ray installed (`pip install "jaxnn[ray]"`); a minute or two.
"""

import dataclasses
import os
import random
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from benchmarks.measuring import hardware, markdown

from jaxnn import data
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adagrad
from jaxnn.optimizers.gradient_transformation import zeros_like
from jaxnn.parallel.downpour_client import Downpour
from jaxnn.parallel.gradient_compression import EightBits, Exact, TopK, compress, message_bytes
from jaxnn.parallel.log_replay import replay_run
from jaxnn.parallel.push_log import read_log, staleness
from jaxnn.parallel.ray_cluster import train_asynchronously
from jaxnn.parallel.ray_startup import ray_session
from jaxnn.preprocessing import Standardize
from jaxnn.training import evaluate, init_state
from jaxnn.training.train_step import TrainStep

CODECS = {"exact": Exact(), "eight bits": EightBits(), "top 1 %": TopK(0.01)}
HEADER = ("gradients", "test accuracy, %", "pushes/s", "bytes a push", "staleness: mean", "95 %", "largest", "replay")


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    workers: int = 2
    servers: int = 1
    epochs: int = 8  # passes of each worker over its part of the data
    hidden: int = 128
    batch_size: int = 64
    learning_rate: float = 0.03
    minutes_of_kills: float = 0.0
    seconds_between_kills: float = 15.0
    address: str | None = None  # of a Ray cluster; by default one is started here
    out: Path | None = None  # where the logs go; by default nowhere
    smoke: bool = False  # seconds, figures without meaning


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, epochs=1, hidden=16)
    dataset = data.subset(data.load("mnist"), train=2000 if settings.smoke else None)
    with ray_session(settings.address, cpus=settings.workers + settings.servers, store_bytes=200 * 2**20):
        if settings.minutes_of_kills:
            soak(dataset, settings)
            return
        rows = [row(name, dataset, settings) for name in (["exact"] if settings.smoke else CODECS)]
    print(markdown(HEADER, rows))
    print(f"hardware: {hardware()}")


def train(dataset: data.Dataset, settings: Settings, how: Downpour, *, steps: int, **options):
    """The run, and the folder of its logs."""
    settings.out and settings.out.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="downpour-", dir=settings.out)
    trained = train_asynchronously(
        model_of(settings),
        dataset.train,
        optimizer=adagrad(settings.learning_rate),
        steps=steps,
        folder=folder,
        settings=how,
        preprocess=Standardize(dataset.mean, dataset.std),
        **options,
    )
    return trained, folder


def row(name: str, dataset: data.Dataset, settings: Settings) -> tuple:
    """One run, measured and replayed."""
    how = Downpour(settings.workers, settings.servers, settings.batch_size, codec=CODECS[name])
    steps = settings.epochs * (len(dataset.train["label"]) // settings.workers // settings.batch_size)
    trained, folder = train(dataset, settings, how, steps=steps)
    late = staleness(read_log(folder))
    print(f"{name}: pushes of staleness 0, 1, 2, ...: {np.bincount(late).tolist()[:12]}", flush=True)
    grads = trained.state.params
    size = message_bytes(compress(how.codec, grads, zeros_like(grads), jax.random.key(0))[0])
    speed = f"{int(trained.state.step) / trained.seconds:.0f}"
    spread = f"{late.mean():.2f}", f"{np.quantile(late, 0.95):.0f}", f"{late.max()}"
    return (
        name,
        accuracy(trained, dataset, settings),
        speed,
        str(size),
        *spread,
        replayed(trained, how, folder, dataset, settings),
    )


def soak(dataset: data.Dataset, settings: Settings) -> None:
    """Kills a process every few seconds until the time is over, then lets the run end; replays what is logged."""
    how = Downpour(settings.workers, settings.servers, settings.batch_size, checkpoint_every=200)
    killer = Killer(settings)
    trained, folder = train(dataset, settings, how, steps=10**9, watch=killer, every=0.5, most_restarts=10**6)
    pushes = sum(len(life.pushes) for shard in range(how.servers) for life in read_log(folder, shard))
    print(f"killed: {killer.workers} workers and {killer.servers} servers in {trained.seconds:.0f} s")
    print(f"lives of workers begun anew: {trained.restarts}; servers: {trained.servers}")
    print(f"test accuracy {accuracy(trained, dataset, settings)} %")
    print(f"replay of {pushes} pushes: {replayed(trained, how, folder, dataset, settings)}")


class Killer:
    """A hook that kills workers and servers by turns, and ends the run when the time is over."""

    def __init__(self, settings: Settings):
        self.settings, self.last, self.workers, self.servers = settings, 0.0, 0, 0

    def __call__(self, progress) -> bool:
        late = progress.seconds > 60 * self.settings.minutes_of_kills
        due = progress.seconds - self.last > self.settings.seconds_between_kills
        kind = "workers" if self.workers <= self.servers else "servers"
        victims = getattr(progress, kind)
        if due and victims and not late:
            os.kill(random.choice(victims)["pid"], signal.SIGKILL)
            self.last = progress.seconds
            setattr(self, kind, getattr(self, kind) + 1)
            print(f"{progress.seconds:.0f} s: killed one of the {kind}; {progress.servers}", flush=True)
        return late


def accuracy(trained, dataset: data.Dataset, settings: Settings) -> str:
    """In per cent of the test images."""
    preprocess = Standardize(dataset.mean, dataset.std)
    return f"{100 * evaluate(model_of(settings), trained.state, dataset.test, preprocess=preprocess)['accuracy']:.2f}"


def replayed(trained, how: Downpour, folder, dataset: data.Dataset, settings: Settings) -> str:
    """Whether the log determines the parameters."""
    model, optimizer, preprocess = (
        model_of(settings),
        adagrad(settings.learning_rate),
        Standardize(dataset.mean, dataset.std),
    )
    step = TrainStep(model, cross_entropy, optimizer.update, preprocess=preprocess)
    state = init_state(model, optimizer, dataset.train["image"][:1], key=how.seed, preprocess=preprocess)
    again = replay_run(step, state, dataset.train, init=optimizer.init, settings=how, folder=folder)
    pairs = zip(jax.tree.leaves(trained.state.params), jax.tree.leaves(again.params), strict=True)
    worst = max(float(np.abs(a - b).max()) for a, b in pairs)
    return "bit for bit" if worst == 0 else f"off by {worst:.1e}"


def model_of(settings: Settings) -> MLP:
    """784-hidden-10."""
    return MLP(features=(settings.hidden,), classes=10)


if __name__ == "__main__":
    if os.environ.get("NPROC") != "1":  # as the workers compute: with one thread, on the CPU
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"NPROC": "1", "JAX_PLATFORMS": "cpu"})
    main(tyro.cli(Settings))
