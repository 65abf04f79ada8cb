"""What does staleness cost, which optimizer bears it, and what does it buy in time?

    python experiments/asynchronous_sgd.py --out runs

Eight workers and a parameter server train a 784-64-10 MLP on MNIST, exactly simulated: random compute times, a
straggler, a network; equal numbers of gradients everywhere. Four tables: staleness under four orders of events; test
accuracy by optimizer and order; by learning rate and number of workers; and the simulated seconds that ten ways of
working together take to a target accuracy.

Expected: the mean staleness is N - 1 whatever the speeds, and grows with `n_fetch`. Plain SGD at a rate that is fine
without staleness diverges with it; AdaGrad on the server, as in Downpour SGD (Dean et al. 2012), does not, and beats
synchronous SGD at equal gradients. The largest rate that works falls about as 1 / N. A bound on staleness makes
workers wait for the straggler and then read together, so that their updates add up like one of N times the rate: fewer
updates between read and apply, and yet SGD at 0.2 fails. With a straggler synchronous rounds last as long as it does;
one backup worker (Chen et al. 2016) or asynchrony wins several times as much. Delay compensation changes nothing at a
rate at which plain SGD works, too.
Hardware: any; about three minutes on two cores.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import tyro
from benchmarks.measuring import hardware, markdown

from jaxnn import data, optimizers
from jaxnn.diagnostics import save_figure
from jaxnn.diagnostics.asynchrony_plots import (
    plot_accuracy_against_staleness,
    plot_accuracy_over_time,
    plot_rate_against_workers,
    plot_staleness,
)
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.parallel.async_sgd import downpour, replicate
from jaxnn.parallel.elastic_averaging import easgd
from jaxnn.parallel.event_logs import log_of, staleness_of
from jaxnn.parallel.event_scan import Shards
from jaxnn.parallel.event_times import PUSH, Program, in_turns, simulate
from jaxnn.parallel.local_descent import diloco, local_cluster, local_sgd
from jaxnn.parallel.lock_free import hogwild
from jaxnn.parallel.synchronous_rounds import synchronous
from jaxnn.parallel.worker_times import WorkerTimes, round_times
from jaxnn.training import TrainStep, evaluate, init_state

FACTORIES = {name: optimizers.adjustable(getattr(optimizers, name)) for name in ("sgd", "adagrad")}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    data: str = "mnist"  # or fashion_mnist
    workers: int = 8
    gradients: int = 2400  # in all, of every run
    batch_size: int = 32
    hidden: int = 64
    most_workers: int = 32  # of the third table: 1, 2, 4, ...
    sgd_rates: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    adagrad_rates: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    target: float = 0.9  # accuracy of the fourth table
    points: int = 16  # evaluations of a run there
    out: Path = Path("runs")  # folder of the pictures
    smoke: bool = False  # seconds, figures without meaning


class Task(NamedTuple):
    """What is trained, and on what."""

    model: MLP
    train: dict
    test: dict
    settings: Settings

    def start(self, optimizer, rate=None):
        """A step and its first state."""
        step = TrainStep(self.model, cross_entropy, optimizer.update)
        return step, init_state(self.model, optimizer, self.train["image"][:1], key=0)

    def draw(self, workers: int) -> Shards:
        """Batches of the workers' shards."""
        return Shards(len(self.train["label"]), self.settings.batch_size, workers)

    def accuracy(self, state) -> float:
        """On the test images; NaN parameters get them wrong."""
        return evaluate(self.model, state, self.test)["accuracy"]


def main(settings: Settings) -> None:
    if settings.smoke:
        small = {"gradients": 96, "hidden": 8, "most_workers": 2, "points": 2, "workers": 4, "target": 0.1}
        settings = dataclasses.replace(settings, **small, sgd_rates=(0.2, 0.5), adagrad_rates=(0.02, 0.1))
    dataset = data.load(settings.data)
    if settings.smoke:
        dataset = data.subset(dataset, train=1000, test=500)
    on_device = partial(jax.tree.map, jax.numpy.asarray)
    task = Task(MLP(features=(settings.hidden,)), on_device(dataset.train), on_device(dataset.test), settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    for part in (orders_of_events, optimizers_by_order, rates_by_workers, seconds_to_target):
        print(part(task), end="\n\n")
    print(f"hardware: {hardware()}")


# ------------------------------------------------------------------------------- how late updates are


def programs(settings: Settings, workers: int | None = None) -> dict[str, Program]:
    """The orders of events that are compared."""
    workers = workers or settings.workers
    times, pushes = WorkerTimes(workers, spread=0.3), settings.gradients
    straggling = dataclasses.replace(times, slowdown={0: 5.0})
    return {
        "in turns": in_turns(workers, pushes),
        "asynchronous": simulate(times, pushes=pushes),
        "a straggler x5": simulate(straggling, pushes=pushes),
        "bounded, s = 2": simulate(straggling, pushes=pushes, bound=2),
        "n_fetch = 4": simulate(times, pushes=pushes, n_fetch=4),
    }


def orders_of_events(task: Task) -> str:
    """A table and a picture of staleness."""
    late = {name: staleness_of(log_of(p)) for name, p in programs(task.settings).items() if name != "in turns"}
    draw(plot_staleness(late), task, "staleness")
    rows = [
        (name, f"{x.mean():.2f}", f"{np.percentile(x, 50):.0f}", f"{np.percentile(x, 95):.0f}", f"{x.max()}")
        for name, x in late.items()
    ]
    return markdown(("staleness", "mean", "median", "95 %", "most"), rows)


# ----------------------------------------------------------------------------- which optimizer bears it


def optimizers_by_order(task: Task) -> str:
    """Test accuracy after equally many gradients: two rates of SGD and of AdaGrad, under every order of events."""
    settings, n = task.settings, task.settings.workers
    header, columns = ["test accuracy"], []
    for name, program in programs(settings).items():
        header.append(name)
        columns.append(by_rates(task, lambda step, state, p=program: asynchronous(task, step, state, p, n)))
    torn = log_of(programs(settings)["asynchronous"])
    lock_free = lambda step, state: hogwild(step, state, task.train, torn, workers=n, draw=task.draw(n))[0]  # noqa: E731
    rounds = np.ones((settings.gradients // n, n), bool)
    averaged = lambda step, state: synchronous(step, state, task.train, rounds, draw=task.draw(n))[0]  # noqa: E731
    header += ["torn reads (Hogwild)", f"synchronous, {len(rounds)} means of {n}"]
    columns += [by_rates(task, run) for run in (lock_free, averaged)]
    names = [f"{name} {rate:g}" for name, rates in TWO_RATES.items() for rate in rates]
    return markdown(header, [(name, *(f"{100 * c[i]:.1f}" for c in columns)) for i, name in enumerate(names)])


TWO_RATES = {"sgd": (0.2, 0.5), "adagrad": (0.02, 0.1)}


def by_rates(task: Task, run: Callable, rates=None) -> list[float]:
    """The accuracies of `run(step, state) -> state`, all rates of an optimizer in one program."""
    return [a for name, of in (rates or TWO_RATES).items() for a in over_rates(task, FACTORIES[name], of, run)]


def over_rates(task: Task, factory, rates, run: Callable) -> list[float]:
    step, state = task.start(factory(learning_rate=0.1))

    def one(rate):
        own = optimizers.with_hyperparameters(state.opt_state, learning_rate=rate)
        ended = run(step, state._replace(opt_state=own))
        return ended.params, ended.model_state

    params, model_state = jax.device_get(jax.jit(jax.vmap(one))(np.float32(rates)))
    members = [jax.tree.map(lambda x, i=i: x[i], (params, model_state)) for i in range(len(rates))]
    return [task.accuracy(state._replace(params=own, model_state=stats)) for own, stats in members]


def asynchronous(task: Task, step, state, program: Program, workers: int):
    """The server's state after a program."""
    return downpour(step, replicate(state, workers), task.train, program, draw=task.draw(workers))[0].server


# ------------------------------------------------------------------------ the rate against the workers


def rates_by_workers(task: Task) -> str:
    """Test accuracy by learning rate and number of workers; two pictures of it."""
    settings = task.settings
    counts = [2**i for i in range(settings.most_workers.bit_length())]
    rates = {"sgd": settings.sgd_rates, "adagrad": settings.adagrad_rates}
    names = [(name, rate) for name, of in rates.items() for rate in of]
    grid, late = [], []
    for n in counts:
        program = programs(settings, n)["asynchronous"]
        late.append(staleness_of(log_of(program)).mean())
        grid.append(by_rates(task, lambda step, state, p=program, n=n: asynchronous(task, step, state, p, n), rates))
    grid = np.array(grid)
    of = {name: [i for i, (own, _) in enumerate(names) if own == name] for name in rates}
    for name, columns in of.items():
        lines = {f"{n} worker{'s' * (n > 1)}": row[columns] for n, row in zip(counts, grid, strict=True)}
        draw(plot_rate_against_workers(rates[name], lines), task, f"rate_against_workers_{name}")
    shown = [i for i, (name, rate) in enumerate(names) if rate in TWO_RATES[name]]
    lines = {f"{names[i][0]} {names[i][1]:g}": grid[:, i] for i in shown}
    draw(plot_accuracy_against_staleness(late, lines), task, "accuracy_against_staleness")
    header = ("test accuracy", *(f"N = {n}" for n in counts))
    rows = [(f"{name} {rate:g}", *(f"{100 * x:.1f}" for x in grid[:, i])) for i, (name, rate) in enumerate(names)]
    return markdown(header, [("mean staleness", *(f"{x:.1f}" for x in late)), *rows])


# --------------------------------------------------------------------------------- what it buys in time


class Way(NamedTuple):
    """A way of working together: its curve over simulated time, and the messages to the server and back."""

    time: np.ndarray
    accuracy: np.ndarray
    messages: int


def seconds_to_target(task: Task) -> str:
    """Simulated seconds and messages of every way; a picture of their curves."""
    ways = {name: way() for name, way in ways_of(task).items()}
    draw(plot_accuracy_over_time({n: (w.time, w.accuracy) for n, w in ways.items()}, target=task.settings.target), task,
         "accuracy_over_time")  # fmt: skip
    reached = {name: first_time(way, task.settings.target) for name, way in ways.items()}
    slowest = reached["synchronous"]
    header = ("with a straggler x5", "seconds in all", f"to {100 * task.settings.target:g} %", "speed-up", "messages",
              "accuracy, %")  # fmt: skip
    rows = [
        (name, f"{w.time[-1]:.0f}", f"{reached[name]:.0f}", f"{slowest / reached[name]:.1f}", f"{w.messages}",
         f"{100 * w.accuracy[-1]:.1f}")
        for name, w in ways.items()
    ]  # fmt: skip
    return markdown(header, rows)


def first_time(way: Way, target: float) -> float:
    """The first evaluation that reaches the target; NaN for none."""
    reached = way.accuracy >= target
    return float(way.time[reached.argmax()]) if reached.any() else float("nan")


def ways_of(task: Task) -> dict[str, Callable[[], Way]]:
    """All with one straggler, random times and a network."""
    n = task.settings.workers
    times = WorkerTimes(n, spread=0.3, slowdown={0: 5.0}, latency=0.1)
    sgd, adagrad = optimizers.sgd(0.5), optimizers.adagrad(0.02)
    gentle, outer = optimizers.sgd(0.05), optimizers.sgd(0.7, momentum=0.9, nesterov=True)
    server = partial(with_server, task, times)
    return {
        "synchronous": partial(in_rounds, task, times, sgd, 0),
        "1 backup worker": partial(in_rounds, task, times, sgd, 1),
        "bounded s = 4, AdaGrad": partial(server, adagrad, order={"bound": 4}),
        "Downpour, AdaGrad": partial(server, adagrad),
        "Downpour, SGD": partial(server, gentle),
        "delay-compensated SGD": partial(server, gentle, compensation=0.04),
        "n_push = n_fetch = 4": partial(server, adagrad, order={"n_push": 4, "n_fetch": 4}, local_rate=0.05),
        "EASGD, tau = 8": partial(server, optimizers.sgd(0.2), order={"n_push": 8, "n_fetch": None}, alpha=0.9 / n),
        "local SGD, H = 8": partial(in_local_rounds, task, times, sgd, None),
        "DiLoCo, H = 8": partial(in_local_rounds, task, times, optimizers.adamw(1e-3), outer),
    }


def with_server(task, times, optimizer, *, order=None, alpha=None, **settings) -> Way:
    """Event by event, in as many equal parts as there are points."""
    order, n = order or {}, times.workers
    program = simulate(times, pushes=task.settings.gradients // order.get("n_push", 1), **order)
    length = len(program.kind) // task.settings.points
    parts = [Program(*(c[i * length : (i + 1) * length] for c in program)) for i in range(task.settings.points)]
    step, state = task.start(optimizer)
    if alpha is None:
        run, cluster = partial(downpour, step, draw=task.draw(n), **settings), replicate(state, n)
    else:
        run, cluster = partial(easgd, step, draw=task.draw(n), alpha=alpha), local_cluster(state, n)
    run, accuracy = jax.jit(run), []
    for part in parts:
        cluster, _ = run(cluster, task.train, part)
        accuracy.append(task.accuracy(cluster.server))
    messages = 2 * int((program.kind == PUSH).sum())  # a fetch is the answer to a push here
    return Way(np.array([part.time[-1] for part in parts]), np.array(accuracy), messages)


def in_rounds(task, times, optimizer, backup) -> Way:
    """Synchronous rounds, equally many gradients computed."""
    points, n = task.settings.points, times.workers
    rounds = round_times(times, points * max(1, task.settings.gradients // n // points), backup=backup)
    step, state = task.start(optimizer)
    run, accuracy = jax.jit(partial(synchronous, step, draw=task.draw(n))), []
    for accepted in np.split(rounds.accepted, points):
        state, _ = run(state, task.train, accepted)
        accuracy.append(task.accuracy(state))
    return Way(rounds.time.reshape(points, -1)[:, -1], np.array(accuracy), 2 * rounds.accepted.size)


def in_local_rounds(task, times, optimizer, outer, local_steps=8) -> Way:
    """Local SGD, or DiLoCo with an outer optimizer."""
    points, n = task.settings.points, times.workers
    each = max(1, task.settings.gradients // n // local_steps // points)
    rounds = round_times(times, each * points, local_steps=local_steps)
    step, state = task.start(optimizer)
    cluster = local_cluster(state, n, outer=outer)
    method = local_sgd if outer is None else partial(diloco, outer=outer)
    run = jax.jit(partial(method, step, rounds=each, local_steps=local_steps, draw=task.draw(n)))
    accuracy = []
    for _ in range(points):
        cluster, _ = run(cluster, task.train)
        accuracy.append(task.accuracy(cluster.server))
    return Way(rounds.time.reshape(points, -1)[:, -1], np.array(accuracy), 2 * n * each * points)


def draw(figure, task: Task, name: str) -> None:
    path = save_figure(figure, task.settings.out / f"asynchronous_sgd_{name}.png")
    print(f"picture: {path}")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
