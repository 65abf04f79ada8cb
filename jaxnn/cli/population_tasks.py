"""`make_trainer` makes the trainer of many members that `search`, `ensemble` and `cross-validate` share."""

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import replace

import jax

from jaxnn import data, populations
from jaxnn.cli.assembly import trials_of, used_fields
from jaxnn.cli.population_records import Records
from jaxnn.cli.training_flags import Training
from jaxnn.cli.training_journal import Journal
from jaxnn.cli.work_limits import check_members
from jaxnn.populations.member_memory import size_of
from jaxnn.populations.member_steps import Blueprint
from jaxnn.runs import ProgressBar
from jaxnn.training import Evaluated, Started
from jaxnn.training.batching import first_example

MOST_DEVICES = 8  # each device holds a copy of the data


def spread_over_cores() -> None:
    """Makes one XLA device per core, so that members run side by side: 1.2 times as fast on two cores (mlp, 8 members).

    At most eight devices are made. If the user has set their number, or JAX already uses its devices, nothing changes.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if jax.config.jax_num_cpu_devices < 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", min(cores, MOST_DEVICES))


def make_trainer(
    config: Training,
    dataset: data.Dataset,
    *,
    train,
    validation,
    examples: int,
    records: Records,
    keeps: bool = False,
) -> Callable:
    """Returns the function `train(members, *, epochs, population=None, **more) -> Population` for `populations`.

    Args:
      config: the values that no member sets.
      dataset: the data set, for its classes and standardization.
      train, validation: dicts of arrays; `validation` may be None if the members have splits or nothing is measured.
      examples: the number of examples that a member learns from.
      records: the records, which are updated after every epoch.
      keeps: whether a `Journal` is kept in the folder of the records; calls that it knows are not trained again.

    The function that is returned raises ValueError if the machine cannot hold so many members.
    """
    build = trials_of(config, dataset, examples=examples)
    train, validation = (used_fields(build({}), split) for split in (train, validation))
    blueprint, example = Blueprint(build), first_example(train)
    journal = Journal(records, blueprint, example) if keeps else None
    state = size_of(jax.eval_shape(blueprint.init, {}, jax.random.key(0), example).run)

    def trainer(members, *, epochs, hooks=(), population=None, **how):
        rows = 0 if members[0].split is None else 4 * examples
        check_members(len(members), each=2 * state + rows)  # twice a state: its copy on the host is counted too
        known = journal.take_up(members) if keeps else None
        if known is not None and known.epochs.max() >= epochs:
            records.add(members, known)
            return replace(known, members=list(members))
        bar = PopulationBar(len(members))
        try:
            # the bar comes last, so that a line is printed when its epoch is on disk
            watching = [records.of(members), *([journal.save] if keeps else []), *hooks, bar]
            how |= {"epochs": epochs, "population": known or population, "batch_size": config.batch_size}
            trained = populations.train(build, train, members, validation=validation, hooks=watching, **how)
        finally:
            bar.close()
        return replace(trained, members=list(members))

    return trainer


class PopulationBar(ProgressBar):
    """Shows the progress of a population; its lines report the medians over the members."""

    def __init__(self, members: int):
        super().__init__()
        self.members = members

    def __call__(self, event) -> None:
        if not isinstance(event, Evaluated):
            if isinstance(event, Started):
                self._say(f"training {self.members} members, {event.steps} steps in all")
            super().__call__(event)
            return
        self._write(describe_medians(event.epoch, event.metrics, members=self.members))


def describe_medians(epoch: int, metrics: dict[str, float], *, members: int) -> str:
    """Describes the medians of an epoch in one line.

    >>> describe_medians(2, {"train/loss": 0.5, "validation/accuracy": 0.9}, members=8)
    'epoch 2  medians of 8: train loss 0.5000  validation accuracy 90.00 %'
    """
    parts = []
    for name in sorted(metrics, key=lambda name: (not name.startswith("train/"), not name.endswith("/loss"))):
        if not name.endswith("/count") and math.isfinite(metrics[name]):
            shown = f"{100 * metrics[name]:.2f} %" if name.endswith("accuracy") else f"{metrics[name]:.4f}"
            parts.append(f"{name.replace('/', ' ')} {shown}")
    return f"epoch {epoch}  medians of {members}: " + "  ".join(parts or ["none is finite"])


def rows_of(split: dict, rows) -> dict:
    """Returns some examples of a split."""
    return {name: array[rows] for name, array in split.items()}
