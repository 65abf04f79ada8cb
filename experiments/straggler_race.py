"""Which way of working together is first to a target accuracy when one worker is slow?

    python experiments/straggler_race.py

Eight workers, one of them five times as slow as the others, train a 784-64-10 MLP on MNIST in ten ways, exactly
simulated with random compute times and a network; equally many gradients in each. What counts is the simulated second
at which a way reaches the target, and the messages it takes. A seed of the record draws weights, batches and times.

Expected: a synchronous round lasts as long as the straggler's gradient. One backup worker (Chen et al. 2016) frees it
of that for an eighth of the gradients; asynchrony (Dean et al. 2012) wins as much or more, by AdaGrad or by SGD at a
rate gentle enough for its staleness. A bound on staleness (Ho et al. 2013) waits for the straggler in the end, and
local steps save messages, not the wait. Delay compensation changes nothing at a rate at which plain SGD works, too.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome
from simulated_clusters import Task, Way, by_events, follow, in_local_rounds, in_rounds

from jaxnn import asynchronous, data
from jaxnn.models import MLP
from jaxnn.optimizers import adagrad, adamw, sgd
from jaxnn.plots.asynchrony_plots import plot_accuracy_over_time

HEADER = ("one worker x5", "seconds in all", "to the target", "speed-up", "messages", "accuracy, %")
CHEN = "Chen et al. 2016, arXiv 1604.00981"
SPEED_UPS = {  # over synchronous rounds: way -> least, most, source
    "1 backup worker": (2, 8, CHEN),
    "Downpour, AdaGrad": (2, 8, "Dean et al. 2012, sec. 4.1"),
    "bounded s = 4, AdaGrad": (0.5, 2, "Ho et al. 2013"),
}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    data: str = "mnist"  # or fashion_mnist
    workers: int = 8
    gradients: int = 2400  # in all, of every run
    batch_size: int = 32
    hidden: int = 64
    target: float = 0.9  # accuracy
    points: int = 16  # evaluations of a run
    ways: tuple[str, ...] = ()  # "synchronous" and others; empty: all
    seeds: int = 1


def measure(settings: Settings) -> Outcome:
    task = Task.of(MLP(features=(settings.hidden,)), data.load(settings.data), settings.batch_size)
    times = asynchronous.WorkerTimes(settings.workers, spread=0.3, slowdown={0: 5.0}, latency=0.1)
    ways = {name: way for name, way in ways_of(settings).items() if not settings.ways or name in settings.ways}
    curves = {name: follow(task, way, times, seeds=settings.seeds) for name, way in ways.items()}
    reached = {name: np.array([first_time(c, settings.target) for c in of]) for name, of in curves.items()}
    figure = plot_accuracy_over_time({name: of[0][:2] for name, of in curves.items()}, target=settings.target)
    rows = [row(name, of, reached) for name, of in curves.items()]
    return Outcome(list(findings(curves, reached, settings)), {"": figure}, [markdown(HEADER, rows)])


def ways_of(settings: Settings) -> dict[str, Way]:
    """The ways, each with a rate at which it works."""
    n, how = settings.workers, {name: getattr(settings, name) for name in ("workers", "gradients", "points")}
    events, outer = partial(by_events, **how), sgd(0.7, momentum=0.9, nesterov=True)
    own_steps = partial(asynchronous.downpour, local_rate=0.05)
    elastic = {"run": partial(asynchronous.easgd, alpha=0.9 / n), "begin": asynchronous.local_cluster}
    return {
        "synchronous": in_rounds(sgd(0.5), **how),
        "1 backup worker": in_rounds(sgd(0.5), backup=1, **how),
        "bounded s = 4, AdaGrad": events(adagrad(0.02), order={"bound": 4}),
        "Downpour, AdaGrad": events(adagrad(0.02)),
        "Downpour, SGD": events(sgd(0.05)),
        "delay-compensated SGD": events(sgd(0.05), run=partial(asynchronous.downpour, compensation=0.04)),
        "n_push = n_fetch = 4": events(adagrad(0.02), order={"n_push": 4, "n_fetch": 4}, run=own_steps),
        "EASGD, tau = 8": events(sgd(0.2), order={"n_push": 8, "n_fetch": None}, **elastic),
        "local SGD, H = 8": in_local_rounds(sgd(0.5), local_steps=8, **how),
        "DiLoCo, H = 8": in_local_rounds(adamw(1e-3), local_steps=8, outer=outer, **how),
    }


def first_time(curve, target: float) -> float:
    """The first evaluation that reaches the target; NaN for none."""
    reached = curve.accuracy >= target
    return float(curve.time[reached.argmax()]) if reached.any() else float("nan")


def row(name, curves, reached) -> tuple[str, ...]:
    """Means over the seeds."""
    seconds, speedup = np.mean([c.time[-1] for c in curves]), np.mean(reached["synchronous"] / reached[name])
    accuracy = 100 * np.mean([c.accuracy[-1] for c in curves])
    numbers = f"{seconds:.0f}", f"{reached[name].mean():.0f}", f"{speedup:.1f}"
    return name, *numbers, f"{curves[0].messages}", f"{accuracy:.1f}"


def findings(curves, reached, settings: Settings):
    rounds = curves["synchronous"][0].messages / 2 / settings.workers
    lasts = np.array([curve.time[-1] / rounds for curve in curves["synchronous"]])
    yield Finding("seconds of a synchronous round", lasts, "5 to 6: the straggler's gradient, two messages", CHEN,
                  all((lasts > 5) & (lasts < 6)))  # fmt: skip
    for name, (least, most, source) in [item for item in SPEED_UPS.items() if item[0] in curves]:
        won = reached["synchronous"] / reached[name]
        yield Finding(f"{name}: speed-up to the target", won, f"{least:g} to {most:g}", source,
                      all((won >= least) & (won <= most)))  # fmt: skip
    pairs = zip(curves.get("delay-compensated SGD", ()), curves.get("Downpour, SGD", ()), strict=True)
    if apart := [100 * abs(one.accuracy[-1] - other.accuracy[-1]) for one, other in pairs]:
        yield Finding("delay compensation: accuracies apart, points", apart, "at most 0.5: of the rate's order",
                      "Zheng et al. 2017, arXiv 1609.08326", max(apart) <= 0.5)  # fmt: skip


FEW = "synchronous", "Downpour, AdaGrad"
SMOKE = {"gradients": 128, "hidden": 8, "points": 2, "workers": 4, "target": 0.1, "ways": FEW, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 3})

if __name__ == "__main__":
    EXPERIMENT.main()
