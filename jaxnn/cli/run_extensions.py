"""`jaxnn resume RUN --epochs N` gives a run more epochs than its configuration has.

`config.json` is never changed. The extension is in `extension.json`, and a later `jaxnn resume RUN` goes on with it. A
learning rate that does not depend on the number of all steps goes on as in a longer run, bit for bit. Any other
schedule is stretched over all epochs, from where the run stands, or with `--keep-schedule` it stays as it was.
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jaxnn.runs.atomic_files as atomic_files
from jaxnn.bounded_files import read_object
from jaxnn.cli.field_records import read_record, record_of
from jaxnn.cli.field_rules import Between
from jaxnn.cli.training_flags import Count, Training

NAME = "extension.json"
ENDLESS = ("constant", "inverse_time", "warm_restarts")  # schedules that do not depend on the number of all steps
NOTHING = 1e-4  # of the learning rate; with less, hardly anything is learned
_MOST_BYTES = 2**16


@dataclass(frozen=True)
class Extension:
    """Holds how far a run goes.

    epochs: the epochs in all. schedule_epochs: the epochs of the schedule. patience_from: the step after which
    evaluations count for --patience; more than 0 if the run had already stopped early.
    """

    epochs: Count
    schedule_epochs: Count
    patience_from: Annotated[int, Between(0, 2**31 - 1)] = 0


def read_extension(folder: Path, config: Training) -> Extension:
    """Returns the extension of a run; that of a run which was never extended is its configuration.

    Raises:
      ValueError: the file was edited or damaged, or has fewer epochs than the configuration.
    """
    file = folder / NAME
    if not os.path.lexists(file):
        return Extension(config.epochs, config.epochs)
    return read_record(
        Extension, read_object(file, most=_MOST_BYTES), where=str(file), check=lambda one: _check(one, config)
    )


def extend(before: Extension, *, epochs: int | None, keeps_schedule: bool) -> Extension:
    """Returns the extension after `--epochs` and `--keep-schedule`.

    Raises:
      ValueError: the run has more epochs already, or `--keep-schedule` stands alone.

    >>> extend(Extension(3, 3), epochs=5, keeps_schedule=False)
    Extension(epochs=5, schedule_epochs=5, patience_from=0)
    """
    if epochs is None and keeps_schedule:
        raise ValueError("--keep-schedule says what becomes of the schedule with more --epochs; received it alone.")
    if epochs is None:
        return before
    if epochs < before.epochs:
        raise ValueError(
            f"--epochs must be at least {before.epochs}, which the run has already; received {epochs}. An earlier "
            "state is in its checkpoint: jaxnn evaluate RUN --step STEP."
        )
    return dataclasses.replace(
        before, epochs=epochs, schedule_epochs=before.schedule_epochs if keeps_schedule else epochs
    )


def count_patience_anew(extension: Extension, config: Training, history, monitor: str) -> Extension:
    """Returns the extension of a run that had stopped early; its earlier evaluations no longer count for patience."""
    from jaxnn.training.early_stopping import stalled

    counted = [row for row in history if row["step"] > extension.patience_from]
    if config.patience is None or stalled(counted, monitor) < config.patience:
        return extension
    return dataclasses.replace(extension, patience_from=history[-1]["step"])


def write_extension(folder: Path, extension: Extension) -> None:
    """Writes `extension.json`.

    Raises:
      BlockingIOError: another process trains in the folder.
      OSError: the file cannot be written.
    """
    from jaxnn.runs import one_writer

    with one_writer(folder):
        atomic_files.write(folder / NAME, json.dumps(record_of(extension), indent=1).encode())


def describe_extension(config: Training, extension: Extension, *, step: int, steps_per_epoch: int) -> str:
    """Describes in one line what becomes of the learning rate after `step`.

    Raises:
      ValueError: the schedule is kept and ends near a learning rate of 0, so nothing would be learned.
    """
    told = f"{extension.epochs} epochs in all, {step // steps_per_epoch} of them made; "
    if is_endless(config):
        return f"{told}the learning rate goes on as in a run of so many epochs"
    if ":" in config.model:  # the schedule of the user's code is not known here
        return f"{told}the schedule is of {extension.schedule_epochs} epochs"
    next_rate = _rate(config, extension.schedule_epochs, step, steps_per_epoch)
    if extension.schedule_epochs == extension.epochs:
        return f"{told}{config.schedule} is stretched over all of them: the next learning rate is {next_rate:.3g}"
    last_rate = _rate(config, extension.schedule_epochs, extension.epochs * steps_per_epoch, steps_per_epoch)
    if last_rate < NOTHING * config.learning_rate:
        raise ValueError(
            f"--keep-schedule needs a schedule that does not end near 0; {config.schedule} does, after "
            f"{extension.schedule_epochs} epochs. Leave it out: the schedule is then stretched over all epochs."
        )
    return f"{told}{config.schedule} stays as it was: the next learning rate is {next_rate:.3g}"


def is_endless(config: Training) -> bool:
    """Returns whether the learning rate of a step does not depend on the number of all steps."""
    return config.schedule in ENDLESS and not config.warmup


def _rate(config, epochs, step, steps_per_epoch) -> float:
    from jaxnn.recipes.optimizer_choice import build_schedule

    schedule = build_schedule(dataclasses.replace(config, epochs=epochs), steps=epochs * steps_per_epoch)
    return float(schedule(step))


def _check(extension, config):
    if extension.epochs < config.epochs or extension.schedule_epochs > extension.epochs:
        raise ValueError(f"epochs must be at least {config.epochs} and {extension.schedule_epochs}.")
