"""`fit` for many: the same run over seeds, hyperparameters and subsets of the data, one program for all alike."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.populations.group_run import GroupRun
from jaxnn.populations.mapping import MemberMesh, check_mapping
from jaxnn.populations.members import Member, check_members, groups_of
from jaxnn.populations.memory import SHARE, free_memory
from jaxnn.populations.planning import Group, Resources, plan
from jaxnn.populations.population import Population, is_better_large
from jaxnn.populations.recipe import Recipe
from jaxnn.preprocessing import as_float
from jaxnn.training import Compiled, Evaluated, Progress, Started
from jaxnn.training.batching import count_examples
from jaxnn.training.evaluation import on_device


def fit(
    model,
    train,
    members: Sequence[Member],
    *,
    optimizer,
    epochs: int,
    validation=None,
    loss: Callable = cross_entropy,
    metrics=(("accuracy", accuracy),),
    batch_size: int = 128,
    preprocess: Callable = as_float,
    fields: tuple[str, str] = ("image", "label"),
    population: Population | None = None,
    patience: int | None = None,
    monitor: str = "test/loss",
    hooks: Iterable[Callable[[Any], bool | None]] = (),
    mapping: str | None = None,
    devices: Sequence | None = None,
    data: int = 1,
    memory: int | None = None,
    chunk: int | None = None,
) -> Population:
    """Trains every member for `epochs` passes over its part of `train`; each ends where `training.fit` alone would.

    A hyperparameter goes to whichever of optimizer, loss and model names it ("learning_rate", "label_smoothing",
    "dropout_rate"), or is "initial_scale", a factor of the initial weights, or "batch_size". Members that differ in
    seeds, floats and equally large subsets only are one program, compiled once. A member whose loss is no longer finite
    stops, and is marked; who stops costs no more, once whole chunks can be left out. A dropout rate can be traced in
    `jaxnn.layers.dropout`, not in Flax's; as a constant it may draw other masks (of fewer bits).

    On CPU members run fastest with a device for each core: `jax.config.update("jax_num_cpu_devices", cores)` before the
    first computation; the commands do that.

    Args:
      model: a linen module or a pair (init, apply).
      train: dict of arrays of one length; the splits of the members are rows of it.
      members: see `members_of`.
      optimizer: a factory that takes the hyperparameters, or one pair (init, update) for all.
      epochs: in all, those of `population` included.
      validation: dict of arrays; for members with a split, its test rows of `train` take its place.
      loss, metrics, batch_size, preprocess, fields: as for `training.fit`.
      population: where to go on: as many members, whose traced hyperparameters may have changed.
      patience: a member stops after so many epochs in a row without a better `monitor`; None: never.
      hooks: functions of an event (`jaxnn.training.events`), whose metrics are medians over the members, and whose
        `state` is a function that returns the `Population` so far; one that returns True stops all after the epoch.
      mapping: "vmap" or "map"; None decides by the model and the platform.
      devices: over which the members are spread; by default all of this process.
      data: how many devices, next to each other, share the members and divide each one's batches, as `shard_map` does
        in `training.fit`: eight devices with `data=4` are 2 x 4. Batch norm sees a device's rows, unless the model is
        given the axis (`nn.BatchNorm(axis_name="data")`), and dropout draws other masks on each.
      memory: bytes on each device that may be filled; by default half of what is free.
      chunk: members that run at once, the last chunk filled up; by default as many as memory and caches suggest. The
        same `chunk` for a smaller population later is the same program: nothing is compiled anew.

    Returns:
      The `Population`.

    Raises:
      ValueError: no members, an unknown hyperparameter, rows outside the data, a batch size out of range, devices or a
        batch that `data` does not divide, memory for not even one member.

    >>> from jaxnn.optimizers import sgd
    >>> from jaxnn.populations import grid, members_of
    >>> line = (lambda key, x: {"w": jax.numpy.zeros((1, 1))}, lambda params, x: x @ params["w"])
    >>> data = {"image": np.ones((4, 1), np.float32), "label": np.ones((4, 1), np.float32)}
    >>> error = lambda outputs, targets: ((outputs - targets) ** 2).sum(-1)
    >>> settings = {"loss": error, "metrics": (), "batch_size": 4, "epochs": 1}
    >>> trained = fit(line, data, members_of(grid(learning_rate=[0.125, 0.5])), optimizer=sgd, **settings)
    >>> [float(state.params["w"][0, 0]) for state in trained.states]
    [0.25, 1.0]
    """
    members = check_members(members)
    _check(members, train, validation, fields, {"epochs": epochs, "patience": patience, "chunk": chunk}, mapping)
    recipe = Recipe(model, optimizer, loss, tuple(dict(metrics).items()), preprocess, tuple(fields))
    recipe.check(members[0].hyperparameters)
    devices = tuple(jax.local_devices() if devices is None else devices)
    memory = int(SHARE * free_memory(devices[0])) if memory is None else memory
    resources = Resources(mapping, MemberMesh(devices, data), memory, chunk)
    grouped = groups_of(members)
    groups = [
        plan(
            replace(recipe, static=tuple(sorted(static.items()))),
            [members[i] for i in positions],
            train,
            batch_size=batch_size,
            resources=resources,
        )
        for static, positions in grouped
    ]
    if monitor.startswith("test/") and validation is None and members[0].split is None:
        monitor = f"train/{monitor.removeprefix('test/')}"
    run = _Run(members, [positions for _, positions in grouped], list(hooks), monitor, patience)
    return run(groups, on_device(train), None if validation is None else on_device(validation), population, epochs)


class _Run:
    """All groups side by side, the history, and who is told."""

    def __init__(self, members, positions, hooks, monitor, patience):
        self.members, self.positions, self.hooks = members, positions, hooks
        self.monitor, self.patience, self.history = monitor, patience, {}
        self.epochs, self.diverged = np.zeros(len(members), int), np.zeros(len(members), bool)
        self.steps = self.done = 0

    def __call__(self, groups: list[Group], train, test, population: Population | None, epochs: int) -> Population:
        start = self._take_up(population)
        self.steps = sum((epochs - start) * len(g.members) * g.programs.steps_per_epoch for g in groups)
        self._tell(Started(0, self.steps, groups[0].programs.steps_per_epoch, groups[0].programs.batch_size))
        self.runs = [
            self._begin(group, positions, train, test, population)
            for group, positions in zip(groups, self.positions, strict=True)
        ]
        if start < epochs:
            self._compile()
        for epoch in range(start, epochs):
            active = self._active(epoch)
            for run, positions in zip(self.runs, self.positions, strict=True):
                run.keep(active[positions])
            if not active.any() or self._epoch(epoch, active):
                break
        return self._population()

    def _take_up(self, population) -> int:
        """The history of a population that goes on; its epochs."""
        if population is None:
            return 0
        if len(population) != len(self.members):
            raise ValueError(f"`population` must have the {len(self.members)} members; received {len(population)}.")
        self.history = {name: values.copy() for name, values in population.history.items()}
        self.epochs, self.diverged = population.epochs.copy(), population.diverged.copy()
        return int(self.epochs.max())

    def _begin(self, group, positions, train, test, population):
        mesh = group.programs.mesh
        train, test = (None if data is None else mesh.put(data, own=False) for data in (train, test))
        states = None if population is None else [population.states[i] for i in positions]
        return GroupRun(group, train, test, states=states)

    def _compile(self):
        clock = time.perf_counter()
        for run in self.runs:
            run.compile()
        self._tell(Compiled(time.perf_counter() - clock, fused=True))

    def _epoch(self, epoch: int, active) -> bool:
        """One epoch of every group, its evaluation, and what hooks say to it: True to stop."""
        row = {}
        for run, positions in zip(self.runs, self.positions, strict=True):
            trained = run.train_epoch(epoch, lambda *told: self._progress(epoch, *told))
            measured = {f"train/{k}": v for k, v in trained.items()} | {
                f"test/{k}": v for k, v in run.evaluate().items()
            }
            for name, values in measured.items():
                row.setdefault(name, np.full(len(self.members), np.nan))[positions] = values
        self._record(epoch, row, active)
        medians = {name: _median(values[epoch]) for name, values in self.history.items()}
        return self._tell(Evaluated(self.done, epoch + 1, medians, self._population))

    def _record(self, epoch, row, active):
        """A line of the history; NaN for what is not measured any more, and for who stopped though the chunk ran on."""
        for name in {**self.history, **row}:
            line = np.where(active, row.get(name, np.nan), np.nan)
            before = self.history.get(name, np.full((epoch, len(line)), np.nan))
            self.history[name] = np.concatenate([before, line[None]])
        losses = [values for name, values in row.items() if name.endswith("/loss")]
        self.diverged |= active & ~np.isfinite(losses).all(axis=0)
        self.epochs[active] = epoch + 1

    def _active(self, epoch: int) -> np.ndarray:
        """Who goes on after `epoch` epochs: who has made all of them, has a finite loss, and has not stalled."""
        going = (self.epochs == epoch) & ~self.diverged
        if self.patience is None or self.monitor not in self.history:
            return going
        sign = -1 if is_better_large(self.monitor) else 1
        return going & (epochs_since_best(sign * self.history[self.monitor]) < self.patience)

    def _progress(self, epoch, steps, totals, seconds):
        self.done += steps
        means = {name: _median(np.asarray(total) / np.maximum(count, 1)) for name, (total, count) in totals.items()}
        self._tell(Progress(self.done, epoch, means, int(np.sum(totals["loss"].count)), seconds))

    def _population(self) -> Population:
        states, models = [None] * len(self.members), [None] * len(self.members)
        for run, positions in zip(self.runs, self.positions, strict=True):
            for position, state, model in zip(positions, run.states(), run.models(), strict=True):
                states[position], models[position] = state, model
        history = {name: values.copy() for name, values in self.history.items()}
        return Population(self.members, states, history, self.epochs.copy(), self.diverged.copy(), models)

    def _tell(self, event) -> bool:
        answers = [hook(event) for hook in self.hooks]  # every hook is told
        return any(answers)


def epochs_since_best(values: np.ndarray) -> np.ndarray:
    """(members,): how many lines ago each column of (epochs, members) had its smallest value; NaN never is.

    >>> epochs_since_best(np.array([[3.0, 1.0], [2.0, 2.0], [4.0, np.nan]]))
    array([1, 2])
    """
    filled = np.where(np.isnan(values), np.inf, values)
    return len(values) - 1 - filled.argmin(axis=0)


def _median(values) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _check(members, train, validation, fields, counts, mapping) -> None:
    count_examples(train, fields)
    if validation is not None:
        count_examples(validation, fields)
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1; received {value}.")
    if len({member.split is None for member in members}) > 1:
        raise ValueError("either all members must have a split, or none; received some of each.")
    check_mapping(mapping)
