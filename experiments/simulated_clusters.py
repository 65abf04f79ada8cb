"""Ways of working together compared on one task: by rate and seed after equal work, and over simulated time.

    over_rates   test accuracies of a whole run, every rate and seed mapped in one program
    follow       the accuracy over simulated seconds of a `Way`: `by_events`, `in_rounds` or `in_local_rounds`

Every way computes equally many gradients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.asynchronous.backup_workers import synchronous
from jaxnn.asynchronous.downpour_sgd import downpour, replicate
from jaxnn.asynchronous.event_scan import Shards
from jaxnn.asynchronous.event_simulation import Program, simulate, split
from jaxnn.asynchronous.local_sgd_rounds import diloco, local_cluster, local_sgd
from jaxnn.asynchronous.worker_times import WorkerTimes, round_times
from jaxnn.losses import cross_entropy
from jaxnn.optimizers import with_hyperparameters
from jaxnn.training.evaluation import evaluate, on_device
from jaxnn.training.objectives import supervised
from jaxnn.training.train_state import init_state
from jaxnn.training.train_step import TrainStep


@dataclass(frozen=True)
class Task:
    """What is trained, and on what: a model and two dicts of arrays on the device, "image" and "label"."""

    model: Any
    train: dict
    test: dict
    batch_size: int
    loss: Callable = cross_entropy

    @classmethod
    def of(cls, model, dataset, batch_size: int) -> "Task":
        """The task of a dataset's two splits, put on the device."""
        return cls(model, on_device(dataset.train), on_device(dataset.test), batch_size)

    def start(self, optimizer, seed):
        """`(step, state)`: a `TrainStep` on one device, and its first state."""
        state = init_state(self.model, optimizer, self.train["image"][:1], key=seed)
        return TrainStep(supervised(self.model, self.loss), optimizer.update), state

    def draw(self, workers: int) -> Shards:
        """Batches of the workers' shards."""
        return Shards(len(self.train["label"]), self.batch_size, workers)

    def accuracy(self, state) -> float:
        """On the test split, in [0, 1]; NaN parameters get it wrong."""
        return evaluate(self.model, state, self.test)["accuracy"]


def over_rates(task: Task, factory, rates: Sequence[float], *, run: Callable, seeds: int = 1) -> np.ndarray:
    """Test accuracies (seeds, rates) of one way of working, all rates and seeds in one compiled program.

    Args:
      factory: of `optimizers.adjustable`, with a `learning_rate`.
      run: pure `run(step, state, data) -> state`, such as the server's after `downpour`.
      seeds: 0, 1, ...: of the first weights and the batches.
    """

    def one(seed, rate, data):
        step, state = replace(task, train=data).start(factory(learning_rate=0.1), seed)
        state = state._replace(opt_state=with_hyperparameters(state.opt_state, learning_rate=rate))
        ended = run(step, state, data)
        return ended._replace(opt_state=(), key=None)

    over = jax.vmap(jax.vmap(one, (None, 0, None)), (0, None, None))
    ended = jax.device_get(jax.jit(over)(np.arange(seeds), np.asarray(rates, np.float32), task.train))
    member = lambda seed, i: jax.tree.map(lambda x: x[seed, i], ended)
    return np.array([[task.accuracy(member(seed, i)) for i in range(len(rates))] for seed in range(seeds)])


def to_server(task: Task, program: Program, *, workers: int) -> Callable:
    """`run(step, state, data) -> state` for `over_rates`: Downpour SGD, event by event, to the server's last state."""
    draw = task.draw(workers)
    return lambda step, state, data: downpour(step, replicate(state, workers), data, program, draw=draw)[0].server


@dataclass(frozen=True)
class Way:
    """A way of working together.

    optimizer: the server's, or every worker's own. begin: the first state -> what is carried from part to part. run:
    `run(step, carried, data, part, draw=...) -> (carried, metrics)`, as `downpour`. plan: times -> `Plan`.
    """

    optimizer: Any
    begin: Callable
    run: Callable
    plan: Callable[[WorkerTimes], "Plan"]


class Plan(NamedTuple):
    """The parts of a run, between which it is evaluated, their ends in seconds, and the messages of all of it."""

    parts: Sequence
    time: np.ndarray
    messages: int


class Curve(NamedTuple):
    """Accuracies in [0, 1] over simulated seconds, both (points,), and the messages to the server and back."""

    time: np.ndarray
    accuracy: np.ndarray
    messages: int


def follow(task: Task, way: Way, times: WorkerTimes, *, seeds: int = 1) -> list[Curve]:
    """A curve for each seed: of the first weights, the batches and the times. Compiled once."""
    step, _ = task.start(way.optimizer, 0)
    run = jax.jit(partial(way.run, step, draw=task.draw(times.workers)))
    curves = []
    for seed in range(seeds):
        plan, accuracy = way.plan(replace(times, seed=times.seed + seed)), []
        carried = way.begin(task.start(way.optimizer, seed)[1])
        for part in plan.parts:
            carried, _ = run(carried, task.train, part)
            accuracy.append(task.accuracy(getattr(carried, "server", carried)))
        curves.append(Curve(plan.time, np.array(accuracy), plan.messages))
    return curves


def by_events(optimizer, *, workers: int, gradients: int, points: int, run=downpour, begin=replicate, order=None):
    """A `Way` of workers that do not wait: `run` is `downpour` or another of its kind with its settings bound.

    Args:
      gradients: in all, of which a push has `order["n_push"]`.
      points: at which the run is evaluated.
      begin: `begin(state, workers)`: the cluster, such as of `replicate` or `local_cluster`.
      order: keywords of `simulate`.
    """
    order = order or {}

    def plan(times):
        program = simulate(times, pushes=gradients // order.get("n_push", 1), **order)
        parts = split(program, points)
        return Plan(parts, np.array([part.time[-1] for part in parts]), 2 * (gradients // order.get("n_push", 1)))

    return Way(optimizer, partial(begin, workers=workers), run, plan)


def in_rounds(optimizer, *, workers: int, gradients: int, points: int, backup: int = 0) -> Way:
    """Synchronous rounds, without the `backup` slowest."""

    def plan(times):
        rounds = round_times(times, points * max(1, gradients // workers // points), backup=backup)
        return Plan(np.split(rounds.accepted, points), rounds.time.reshape(points, -1)[:, -1], 2 * rounds.accepted.size)

    return Way(optimizer, lambda state: state, synchronous, plan)


def in_local_rounds(optimizer, *, workers: int, gradients: int, points: int, local_steps: int, outer=None) -> Way:
    """Local SGD, or DiLoCo with an outer optimizer."""
    each = max(1, gradients // workers // local_steps // points)

    def run(step, cluster, data, part, *, draw):
        settings = {"rounds": each, "local_steps": local_steps, "draw": draw}
        return (local_sgd if outer is None else partial(diloco, outer=outer))(step, cluster, data, **settings)

    def plan(times):
        rounds = round_times(times, each * points, local_steps=local_steps)
        return Plan([()] * points, rounds.time.reshape(points, -1)[:, -1], 2 * workers * each * points)

    return Way(optimizer, partial(local_cluster, workers=workers, outer=outer), run, plan)
