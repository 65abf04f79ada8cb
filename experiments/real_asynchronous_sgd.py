"""Does asynchronous SGD by real processes learn, compressed too, and does its log determine every number of it?

    python experiments/real_asynchronous_sgd.py

Downpour SGD (Dean et al. 2012): two workers and a parameter server with AdaGrad, processes of Ray on this machine, and
an MLP on MNIST. Nobody waits, so a gradient is applied to parameters that others have changed meanwhile. Gradients are
sent as they are, in eight bits, or only their largest hundredth, with error feedback. The log, (worker, step, version
read, version applied) of each push, is replayed in one process. Needs Ray: `pip install "jaxnn[ray]"`.

Expected: at least 97 %; a mean staleness of N - 1 = 1, less what the other pushes between a worker's push and its next
fetch; the replay equal bit for bit. Compression costs no accuracy, though eight bits send a quarter of the bytes, and
the largest hundredth, with an index each, a fiftieth.
"""

import tempfile
from dataclasses import dataclass

import jax
import numpy as np
from recording import Experiment, Finding, Outcome

from jaxnn import data
from jaxnn.asynchronous import EightBits, Exact, TopK, staleness_of
from jaxnn.asynchronous.gradient_compression import compress, message_bytes
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adagrad
from jaxnn.parameter_server import Downpour, push_rows, read_log, replay_on_ray, train_asynchronously
from jaxnn.parameter_server.ray_startup import ray_session
from jaxnn.plots import plot_lines
from jaxnn.preprocessing import Standardize
from jaxnn.training import TrainStep, evaluate, init_state, supervised

CODECS = {"exact": Exact(), "eight bits": EightBits(), "top 1 %": TopK(0.01)}
DEAN, AJI, BITS = "Dean et al. 2012, sec. 4.1", "Aji and Heafield 2017, abstract", "Dettmers 2016, abstract"
LOG = "a gradient is a function of versions read (jaxnn.parameter_server.log_replay)"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    workers: int = 2
    train_examples: int = 60_000
    epochs: int = 2  # passes of each worker over its part of the data
    hidden: int = 128
    learning_rate: float = 0.03
    seeds: int = 1


class Task:
    """MNIST and an MLP, with AdaGrad at the servers."""

    def __init__(self, settings, how: Downpour):
        self.data, self.how = data.subset(data.load("mnist"), train=settings.train_examples), how
        self.own = {"preprocess": Standardize(self.data.mean, self.data.std)}
        self.model, self.optimizer = MLP(features=(settings.hidden,)), adagrad(settings.learning_rate)
        self.start = init_state(self.model, self.optimizer, self.data.train["image"][:1], key=how.seed, **self.own)

    def train(self, folder: str, **options):
        own = {"settings": self.how, "state": self.start, "folder": folder, **self.own}
        return train_asynchronously(self.model, self.data.train, optimizer=self.optimizer, **own, **options)

    def accuracy(self, state) -> float:
        """Of the test images, in per cent."""
        return 100 * evaluate(self.model, state, self.data.test, **self.own)["accuracy"]

    def replay_difference(self, state, folder: str) -> float:
        """The largest by which a parameter of the replayed log differs."""
        step = TrainStep(supervised(self.model, cross_entropy, **self.own), self.optimizer.update)
        own = {"init": self.optimizer.init, "settings": self.how, "folder": folder}
        again = replay_on_ray(step, self.start, self.data.train, **own)
        return max(jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), state.params, again.params)))


def measure(settings: Settings) -> Outcome:
    with ray_session(cpus=settings.workers + 1, store_bytes=300 * 2**20):
        runs = {name: [run(codec, settings, seed) for seed in range(settings.seeds)] for name, codec in CODECS.items()}
    return Outcome(findings(runs, settings), {"": plot(runs)})


def run(codec, settings: Settings, seed: int) -> dict:
    task = Task(settings, Downpour(settings.workers, codec=codec, seed=seed))
    steps = settings.epochs * settings.train_examples // settings.workers // task.how.batch_size
    with tempfile.TemporaryDirectory() as folder:
        trained = task.train(folder, steps=steps)
        late, difference = staleness_of(push_rows(read_log(folder))), task.replay_difference(trained.state, folder)
    sent, _ = compress(codec, task.start.params, task.start.params, jax.random.key(0))
    told = {"accuracy": task.accuracy(trained.state), "late": late, "mean": late.mean(), "replay": difference}
    return told | {"bytes": message_bytes(sent)}


def findings(runs, settings: Settings) -> list[Finding]:
    of = lambda key: (np.array([run[key] for run in seeds]) for seeds in runs.values())
    (exact, eight, top), (late, *_), most = of("accuracy"), of("mean"), settings.workers - 1
    replay, (full, byte, few) = np.max(list(of("replay")), axis=0), (sizes[:1] for sizes in of("bytes"))
    return [
        Finding("test accuracy, exact gradients, %", exact, "at least 97", DEAN, all(exact >= 97)),
        Finding("eight bits less exact, points", eight - exact, "within 0.5", BITS, all(abs(eight - exact) < 0.5)),
        Finding("top 1 % less exact, points", top - exact, "within 0.5", AJI, all(abs(top - exact) < 0.5)),
        Finding("bytes, eight bits / exact", byte / full, "0.25", BITS, all(abs(byte / full - 0.25) < 0.01)),
        Finding("bytes, top 1 % / exact", few / full, "0.02, with indices", AJI, all(abs(few / full - 0.02) < 0.002)),
        Finding("mean staleness, exact, updates", late, f"at most N - 1 = {most}", "by counting", all(late <= most)),
        Finding("largest difference of a replay", replay, "0, bit for bit", LOG, not replay.any()),
    ]


def plot(runs):
    """A few are still later: of workers that begin while others are well under way."""
    updates = np.arange(11)
    shares = {name: [[100 * np.mean(run["late"] > t) for t in updates] for run in of] for name, of in runs.items()}
    labels = {"xlabel": "staleness (updates between read and apply)", "ylabel": "gradients later than that (%)"}
    return plot_lines(updates, shares, title="How late gradients arrive", yscale="log", **labels)


SMOKE = {"train_examples": 2000, "epochs": 1, "hidden": 16}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 3, "epochs": 4})

if __name__ == "__main__":
    EXPERIMENT.main()
