"""Does it matter how gradients come to be late?

    python experiments/event_orders.py

Eight workers and a parameter server train a 784-64-10 MLP on MNIST with equally many gradients, exactly simulated under
seven orders of events: in turns; asynchronous; with a straggler, and with a bound on staleness, too; with a fetch for
every fourth gradient only; reads torn by the writes of others (Hogwild); synchronous. A seed of the record draws
weights and batches; the order is that of one draw of the times.

Expected: a straggler changes few gradients, which are late by many updates. A bound on staleness (Ho et al. 2013) makes
workers wait for the straggler and then read together, so that their updates add up like one of N times the rate: fewer
updates between read and apply, and yet worse for SGD. `n_fetch` makes every gradient later. AdaGrad (Dean et al. 2012)
bears all of them at a gentle rate.
"""

from dataclasses import dataclass, replace

import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome
from simulated_clusters import Task, over_rates, to_server

from jaxnn import asynchronous, data, optimizers
from jaxnn.asynchronous.hogwild_updates import hogwild
from jaxnn.models import MLP
from jaxnn.plots.asynchrony_plots import plot_staleness

FACTORIES = {name: optimizers.adjustable(getattr(optimizers, name)) for name in ("sgd", "adagrad")}
DEAN, HO = "Dean et al. 2012, sec. 4.1", "Ho et al. 2013, sec. 3"
SIMULATE = "a count: `jaxnn.asynchronous.simulate`"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    data: str = "mnist"  # or fashion_mnist
    workers: int = 8
    gradients: int = 1600  # in all, of every run
    batch_size: int = 32
    hidden: int = 64
    sgd_rates: tuple[float, ...] = (0.1, 0.2)
    adagrad_rates: tuple[float, ...] = (0.02, 0.05)
    orders: tuple[str, ...] = ()  # empty: all
    seeds: int = 1


def measure(settings: Settings) -> Outcome:
    task = Task.of(MLP(features=(settings.hidden,)), data.load(settings.data), settings.batch_size)
    orders = programs(settings)
    late = {name: asynchronous.staleness_of(asynchronous.log_of(program)) for name, program in orders.items()}
    rates = {"sgd": settings.sgd_rates} | ({"adagrad": settings.adagrad_rates} if settings.adagrad_rates else {})
    shares = {
        (name, order): over_rates(task, FACTORIES[name], rates[name], run=run, seeds=settings.seeds)
        for order, run in runs_of(task, orders, settings).items()
        if not settings.orders or order in settings.orders
        for name in rates
    }
    return Outcome(list(findings(late, shares, rates, settings.workers)),
                   {"staleness": plot_staleness({name: of for name, of in late.items() if name != "in turns"})},
                   [table(late, shares, rates)])  # fmt: skip


def programs(settings: Settings) -> dict[str, asynchronous.Program]:
    """The orders in which a server is pushed to."""
    times, pushes = asynchronous.WorkerTimes(settings.workers, spread=0.3), settings.gradients
    straggling = replace(times, slowdown={0: 5.0})
    return {
        "in turns": asynchronous.in_turns(settings.workers, pushes),
        "asynchronous": asynchronous.simulate(times, pushes=pushes),
        "a straggler x5": asynchronous.simulate(straggling, pushes=pushes),
        "bounded, s = 2": asynchronous.simulate(straggling, pushes=pushes, bound=2),
        "n_fetch = 4": asynchronous.simulate(times, pushes=pushes, n_fetch=4),
    }


def runs_of(task: Task, orders, settings: Settings):
    """`run(step, state, data) -> state` of every order."""
    n, log = settings.workers, asynchronous.log_of(orders["asynchronous"])
    draw, rounds = task.draw(n), np.ones((max(1, settings.gradients // n), n), bool)
    return {name: to_server(task, program, workers=n) for name, program in orders.items()} | {
        "torn reads": lambda step, state, data: hogwild(step, state, data, log, workers=n, draw=draw)[0],
        "synchronous": lambda step, state, data: asynchronous.synchronous(step, state, data, rounds, draw=draw)[0],
    }


def findings(late, shares, rates, n: int):
    for name, told, holds in (
        ("asynchronous", f"{n - 1}, to 0.3", abs(late["asynchronous"].mean() - n + 1) < 0.3),
        ("a straggler x5", f"{n - 1}, to 0.3", abs(late["a straggler x5"].mean() - n + 1) < 0.3),
        ("bounded, s = 2", f"at most {n - 1}", late["bounded, s = 2"].mean() <= n - 1),
        ("n_fetch = 4", f"above {n}", late["n_fetch = 4"].mean() > n),
    ):
        yield Finding(f"{name}: mean staleness", [late[name].mean()], told, SIMULATE, holds)
    rate = f"SGD {rates['sgd'][-1]:g}: test accuracy, %, "
    free, bounded = (100 * shares["sgd", order][:, -1] for order in ("a straggler x5", "bounded, s = 2"))
    yield Finding(f"{rate}a straggler", free, "above the next", HO, all(free > bounded))
    yield Finding(f"{rate}bounded, s = 2", bounded, "below", HO, all(free > bounded))
    if "adagrad" in rates:
        best = {order: 100 * shares["adagrad", order].max(axis=1) for order in late}
        worst = best["in turns"] - np.min(list(best.values()), axis=0)
        yield Finding("AdaGrad: points lost by the worst of these", worst, "at most 3", DEAN, all(worst <= 3))


def table(late, shares, rates) -> str:
    """Mean staleness, and test accuracies in percent, means over the seeds."""
    header = ("order of events", "mean staleness", *(f"{name} {rate:g}, %" for name in rates for rate in rates[name]))
    orders = dict.fromkeys(order for _, order in shares)
    means = {order: np.concatenate([100 * shares[name, order].mean(axis=0) for name in rates]) for order in orders}
    behind = {order: f"{late[order].mean():.1f}" if order in late else "" for order in orders}
    return markdown(header, [(order, behind[order], *(f"{x:.1f}" for x in means[order])) for order in orders])


FEW = "a straggler x5", "bounded, s = 2"
SMOKE = {"gradients": 48, "hidden": 8, "workers": 4, "adagrad_rates": (), "orders": FEW, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 3})

if __name__ == "__main__":
    EXPERIMENT.main()
