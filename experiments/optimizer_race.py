"""Which optimizer arrives first, and how much of that is the learning rate?

    python experiments/optimizer_race.py

Every optimizer runs on five surfaces at its usual rate and at other multiples of it; the first table gives the step
from which on it stays near the minimum (on the saddle: leaves the frame), "-" if it is on its way, "x" if it diverged.
Then some of them train a perceptron 784-128-10 on MNIST for an epoch, all from the same weights on the same batches; a
seed of the record draws the weights. `jaxnn race` draws the same races as films and a page.

Expected: no order of the optimizers holds on all surfaces, nor at all rates. On the quadratic gradient descent is
there before Adam at its usual rate, which is nearly its best, and diverges at three times it. AdaGrad, RMSProp and Adam
leave the saddle before momentum does, and that long before gradient descent. On MNIST momentum and Adam are ahead of
gradient descent after an epoch, and AdaGrad, whose rate only falls, is behind; which of the two is first is a matter of
their rates.
"""

from dataclasses import dataclass

import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn import data
from jaxnn.cli.race_command import MNIST_RATES
from jaxnn.diagnostics import CONTESTANTS, DEFAULT_CONTESTANTS, SURFACES, judge
from jaxnn.diagnostics.trajectories import race_training, run_races
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.plots import plot_race, plot_training_race
from jaxnn.preprocessing import Standardize

CS231N = "CS231n, Neural Networks 3: parameter updates"
LAST = 50  # steps whose losses are averaged


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    optimizers: tuple[str, ...] = tuple(CONTESTANTS)
    rate_scales: tuple[float, ...] = (0.3, 1.0, 3.0)
    steps: int = 400
    trained: tuple[str, ...] = DEFAULT_CONTESTANTS  # on MNIST
    mnist_steps: int = 469  # of batches of 128: an epoch
    seeds: int = 1


def measure(settings: Settings) -> Outcome:
    contestants, surfaces = [CONTESTANTS[name] for name in settings.optimizers], list(SURFACES.values())
    paths = {s: run_races(surfaces, contestants, steps=settings.steps, rate_scale=s) for s in settings.rate_scales}
    outcomes = {
        (name, surface.name, scale): judge(surface, of[i, j])
        for scale, of in paths.items()
        for i, surface in enumerate(surfaces)
        for j, name in enumerate(settings.optimizers)
    }
    shown = [settings.optimizers.index(name) for name in settings.trained]
    pictures = {s.name: plot_race(s, settings.trained, paths[1.0][i, shown]) for i, s in enumerate(surfaces)}
    losses = np.array([train(settings, seed) for seed in range(settings.seeds)])
    pictures["mnist"] = plot_training_race(settings.trained, losses[0], title="784-128-10 on MNIST, batches of 128")
    ended = dict(zip(settings.trained, losses[:, :, -LAST:].mean(axis=2).T, strict=True))
    columns = [(name, scale) for name in SURFACES for scale in paths]
    rows = [(one, *(told(outcomes[one, *column]) for column in columns)) for one in settings.optimizers]
    table = markdown(("optimizer", *(f"{name} x {scale:g}" for name, scale in columns)), rows)
    return Outcome([*on_surfaces(outcomes), *on_mnist(ended)], pictures, [table])


def train(settings: Settings, seed: int) -> np.ndarray:
    """Training losses on MNIST, (optimizer, steps)."""
    mnist, contestants = data.load("mnist"), [CONTESTANTS[name] for name in settings.trained]
    how = {"loss": cross_entropy, "steps": settings.mnist_steps, "batch_size": 128, "key": seed}
    prepared = Standardize(mnist.mean, mnist.std)
    return race_training(MLP(), mnist.train, contestants, preprocess=prepared, **how, **MNIST_RATES)


def told(outcome) -> str:
    return "x" if outcome.said == "diverged" else "-" if outcome.arrived is None else str(outcome.arrived)


def on_surfaces(outcomes):
    """Steps until they arrive, at usual rates; infinite for who does not."""

    def steps(name, surface, scale=1.0):
        arrived = outcomes[name, surface, scale].arrived
        return np.inf if arrived is None else arrived

    sgd, adam = steps("sgd", "steep-shallow"), steps("adam", "steep-shallow")
    yield Finding("quadratic: steps of gradient descent", [sgd], "fewer than Adam's", CS231N, sgd < adam)
    yield Finding("quadratic: steps of Adam", [adam], "at most 400", CS231N, adam <= 400)
    tripled = outcomes["sgd", "steep-shallow", 3.0]
    yield Finding("quadratic: gradient descent at 3 x its rate, last loss", [tripled.loss], "diverges: rate > 2 / 20",
                  "Nesterov 2004, sec. 1.2.3", tripled.said == "diverged")  # fmt: skip
    adagrad, momentum, sgd = (steps(name, "saddle") for name in ("adagrad", "momentum", "sgd"))
    yield Finding("saddle: steps of AdaGrad", [adagrad], "the fewest of the three", CS231N, adagrad < momentum)
    yield Finding("saddle: steps of momentum", [momentum], "fewer than gradient descent's", CS231N, momentum < sgd)
    yield Finding("saddle: steps of gradient descent", [sgd], "the most of the three", CS231N, momentum < sgd)


def on_mnist(ended):
    """Mean losses of the last steps, (seeds,) an optimizer."""
    sgd, told = ended["sgd"], "MNIST: mean loss of the last steps, {}"
    yield Finding(told.format("gradient descent"), sgd, "the baseline", CS231N, True)
    for name, source in (("momentum", CS231N), ("adam", "Kingma and Ba 2015, sec. 6.1 and 6.2")):
        yield Finding(told.format(name), ended[name], "below gradient descent's", source, all(ended[name] < sgd))
    yield Finding(told.format("adagrad"), ended["adagrad"], "above Adam's", "Kingma and Ba 2015, sec. 6.1 and 6.2",
                  all(ended["adagrad"] > ended["adam"]))  # fmt: skip


SMALL = ("sgd", "momentum", "adagrad", "adam")
SMOKE = {"optimizers": SMALL, "trained": SMALL, "steps": 20, "mnist_steps": 3, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 5})

if __name__ == "__main__":
    EXPERIMENT.main()
