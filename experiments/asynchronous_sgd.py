"""What does staleness cost, and which optimizer bears it?

    python experiments/asynchronous_sgd.py

Workers and a parameter server train a 784-64-10 MLP on MNIST, exactly simulated with random compute times: 1, 2, 4, ...
workers, equal numbers of gradients everywhere, SGD and AdaGrad on the server at several rates; beside them synchronous
SGD, which applies the mean of all workers' gradients. A seed of the record draws weights, batches, and the times of the
first finding; the runs themselves have the order of events of the first seed's times.

Expected: the mean staleness of N workers is N - 1 whatever the speeds. Plain SGD at a rate that is fine without
staleness fails with it, and the largest rate that works falls about as 1 / N. AdaGrad on the server, as in Downpour SGD
(Dean et al. 2012), bears it at a gentle rate, not at ten times that, and beats synchronous rounds of equal gradients.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome
from simulated_clusters import Task, over_rates, to_server

from jaxnn import asynchronous, data, optimizers
from jaxnn.models import MLP
from jaxnn.plots.asynchrony_plots import plot_accuracy_against_staleness, plot_rate_against_workers

FACTORIES = {name: optimizers.adjustable(getattr(optimizers, name)) for name in ("sgd", "adagrad")}
WORKS = 0.8  # the accuracy from which on a rate works
DEAN = "Dean et al. 2012, sec. 4.1"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    data: str = "mnist"  # or fashion_mnist
    most_workers: int = 16  # 1, 2, 4, ...
    gradients: int = 1200  # in all, of every run
    batch_size: int = 32
    hidden: int = 64
    sgd_rates: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.5)
    adagrad_rates: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    seeds: int = 1


def measure(settings: Settings) -> Outcome:
    task = Task.of(MLP(features=(settings.hidden,)), data.load(settings.data), settings.batch_size)
    counts = (2 ** np.arange(settings.most_workers.bit_length())).tolist()
    programs = {n: program(n, settings) for n in counts}
    runs = {f"N = {n}": to_server(task, of, workers=n) for n, of in programs.items()}
    runs[f"synchronous, N = {counts[-1]}"] = synchronous(task, counts[-1], settings)
    rates = {"sgd": settings.sgd_rates} | ({"adagrad": settings.adagrad_rates} if settings.adagrad_rates else {})
    told = {name: accuracies(task, name, rates[name], runs, settings.seeds) for name in rates}
    late = {n: asynchronous.staleness_of(asynchronous.log_of(of)).mean() for n, of in programs.items()}
    most = [asynchronous.staleness_of(asynchronous.log_of(program(counts[-1], settings, seed))).mean()
            for seed in range(settings.seeds)]  # fmt: skip
    return Outcome(list(findings(told, rates, counts, most)), draw(told, rates, late), [table(told, rates)])


def program(workers: int, settings: Settings, seed: int = 0) -> asynchronous.Program:
    return asynchronous.simulate(asynchronous.WorkerTimes(workers, spread=0.3, seed=seed), pushes=settings.gradients)


def synchronous(task: Task, workers: int, settings: Settings):
    """A run of as many gradients, each update the mean of all workers' own."""
    rounds, rows = np.ones((max(1, settings.gradients // workers), workers), bool), task.draw(workers)
    return lambda step, state, data: asynchronous.synchronous(step, state, data, rounds, draw=rows)[0]


def accuracies(task: Task, name: str, rates, runs: Mapping, seeds: int) -> dict[str, np.ndarray]:
    """Of each run, (seeds, rates), in [0, 1]."""
    return {which: over_rates(task, FACTORIES[name], rates, run=run, seeds=seeds) for which, run in runs.items()}


def table(told, rates) -> str:
    """Means over the seeds."""
    rows = ((f"{name} {rate:g}", *(f"{100 * of[:, i].mean():.1f}" for of in told[name].values()))
            for name in told for i, rate in enumerate(rates[name]))  # fmt: skip
    return markdown(("test accuracy, %", *told["sgd"]), rows)


def findings(told, rates, counts, late):
    n, sgd, adagrad = counts[-1], told["sgd"], told.get("adagrad")
    few, many = (np.array([largest(of, rates["sgd"]) for of in sgd[f"N = {count}"]]) for count in (1, n))
    first, last, mean = (100 * of for of in (sgd["N = 1"], sgd[f"N = {n}"], sgd[f"synchronous, N = {n}"]))
    yield Finding(f"mean staleness of {n} workers", late, f"{n - 1}, to 0.3", "a count: `jaxnn.asynchronous.simulate`",
                  all(abs(np.array(late) - n + 1) < 0.3))  # fmt: skip
    told = f"SGD {rates['sgd'][-1]:g}: test accuracy, %, "
    yield Finding(f"{told}1 worker", first[:, -1], "above 80", DEAN, all(first[:, -1] > 80))
    yield Finding(f"{told}{n} workers", last[:, -1], "below 80: it fails", DEAN, all(last[:, -1] < 80))
    yield Finding(f"{told}synchronous", mean[:, -1], "above 80", DEAN, all(mean[:, -1] > 80))
    yield Finding("SGD: largest rate that works, 1 worker over many", few / many, f"{n}, to a factor of 4",
                  "Lian et al. 2015, theorem 1", all((few / many >= n / 4) & (few / many <= 4 * n)))  # fmt: skip
    if adagrad is not None:
        one, kept, rounds = (100 * adagrad[run][:, 0] for run in ("N = 1", f"N = {n}", f"synchronous, N = {n}"))
        rate = f"AdaGrad {rates['adagrad'][0]:g}: test accuracy, %"
        yield Finding(f"{rate}, {n} workers", kept, "at most 2 points below 1 worker's", DEAN, all(kept > one - 2))
        yield Finding(f"{rate}, synchronous", rounds, "below the asynchronous", DEAN, all(rounds < kept))


def largest(accuracy, rates) -> float:
    """The largest of the rates that works; NaN for none."""
    return max((rate for rate, share in zip(rates, accuracy, strict=True) if share > WORKS), default=np.nan)


def draw(told, rates, late):
    asynchronous = {name: {n: told[name][f"N = {n}"] for n in late} for name in told}
    pictures = {f"rate_against_workers_{name}": plot_rate_against_workers(
        rates[name], {f"{n} worker{'s' * (n > 1)}": of for n, of in asynchronous[name].items()})
        for name in told}  # fmt: skip
    lines = {f"{name} {rate:g}": np.stack([of[:, i] for of in asynchronous[name].values()], -1)
             for name in told for i, rate in enumerate(rates[name])}  # fmt: skip
    return pictures | {"accuracy_against_staleness": plot_accuracy_against_staleness(list(late.values()), lines)}


SMOKE = {"gradients": 48, "hidden": 8, "most_workers": 2, "sgd_rates": (0.2, 0.5), "adagrad_rates": (), "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"gradients": 1600, "seeds": 3})

if __name__ == "__main__":
    EXPERIMENT.main()
