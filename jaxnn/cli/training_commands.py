"""`jaxnn train` trains a model in a new run folder; `jaxnn resume` continues a stopped run."""

import contextlib
import dataclasses
import importlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.home_folders import expand_home
from jaxnn.cli.main import exit_status, parse
from jaxnn.cli.placement_flags import check_memory, choose_placement, describe_memory, memory_of, own_rows, resume_line
from jaxnn.cli.run_extensions import (
    Extension,
    count_patience_anew,
    describe_extension,
    extend,
    read_extension,
    write_extension,
)
from jaxnn.cli.training_flags import Count, Training, check_given, from_record, load_data, to_record
from jaxnn.cli.work_limits import check_steps
from jaxnn.naming import shown
from jaxnn.recipes import recipe, recorded_recipe
from jaxnn.recipes.image_classifiers import RECIPES
from jaxnn.recipes.named_recipes import known_recipe


@dataclass(frozen=True)
class ResumptionFlags:
    """Continues a run from its last checkpoint, with the result of an uninterrupted run."""

    run: Annotated[str, tyro.conf.Positional]
    """Names the run folder."""
    data_folder: str | None = None
    """Names the folder of the data files, if it is not a usual one; the folder named in the run folder is not used."""
    recipe: str | None = None
    """Names the code of the recipe, FILE.py:NAME, if it is not one of jaxnn; the code is run only if named here."""
    address: str | None = None
    """Names the Ray cluster that a downpour run joins, HOST:PORT; the address in the run folder is not used."""
    epochs: Count | None = None
    """Sets the number of epochs in all, if the run gets more than it had; a schedule that depends on their number is
    stretched over all of them."""
    keep_schedule: bool = False
    """Leaves the schedule as it was, with --epochs: from its end on, the learning rate stays at its last value."""


def train_command(args) -> int:
    """Trains in a new run folder; the recipe of the model gives the defaults."""
    return _train(read_training(args), None)


def read_training(args) -> Training:
    """Parses and checks the arguments of `jaxnn train`."""
    named = expand_home(next((arg for arg in args if not arg.startswith("-")), "lenet5"))
    default = recipe(named if ":" in named or named in RECIPES else "lenet5").defaults
    config = parse(type(default), args, command="train", default=default)
    if config.model != default.model:  # the first word without a dash was the value of a flag
        default = recipe(config.model).defaults
        config = parse(type(default), args, command="train", default=default)
    return check_given(config, default)


RESUMED = {  # commands of many trainings -> the module and the function that continue them
    "ensemble": ("ensemble_command", "resume_ensemble"),
    "search": ("search_command", "resume_search"),
    "cross-validate": ("cross_validation_command", "resume_cross_validation"),
}


def resume_command(args) -> int:
    """Continues a run from its last checkpoint, or from the start if there is none.

    A finished run is not trained, unless it gets more epochs.
    """
    from jaxnn.runs import checkpoints, one_writer

    folder, record, flags = read_run(args)
    command = record.get("command")
    if flags.epochs is not None and ("command" in record or record.get("strategy") == "downpour"):
        kind = command if "command" in record else "--strategy downpour"
        raise ValueError(f"--epochs is of runs on their own; {folder} is of {shown(kind)}. Start a longer one.")
    if isinstance(command, str) and command in RESUMED:
        module, function = RESUMED[command]
        with one_writer(folder):
            return getattr(importlib.import_module(f"jaxnn.cli.{module}"), function)(folder, record)
    config = training_of(folder, record)
    extension = extend(read_extension(folder, config), epochs=flags.epochs, keeps_schedule=flags.keep_schedule)
    if not checkpoints.steps(folder / "checkpoints"):
        _say(f"{folder} has no checkpoint yet; training from the start")
    return _train(config, folder, extension)


def read_run(args) -> tuple[Path, dict, ResumptionFlags]:
    """Reads folder, configuration and flags of `jaxnn resume`; places outside the folder come from the command line."""
    from jaxnn.cli.recorded_places import check_links, place_cluster, place_data
    from jaxnn.runs import read_config

    config = parse(ResumptionFlags, args, command="resume")
    folder = Path(config.run)
    record = read_config(folder)["config"]
    check_links(folder)
    name_recipe(record, folder, config.recipe)
    return folder, place_cluster(place_data(record, folder, config.data_folder), folder, config.address), config


def name_recipe(record: dict, folder: Path, again: str | None) -> None:
    """Finds the recipe that the record of a folder names; code of a user is used only if `again` names it.

    Raises:
      ValueError: the recipe is unknown, or is code that `again` does not name.
    """
    model = record.get(
        "model", record.get("training", {}).get("model") if isinstance(record.get("training"), dict) else None
    )
    if not isinstance(model, str):
        return  # the reader of the record reports the error
    try:
        recorded_recipe(model, again=again)
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from None


def training_of(folder: Path, record: dict) -> Training:
    """Returns the configuration of a run of `jaxnn train`; a record of another command raises ValueError."""
    if "command" in record:
        raise ValueError(
            f"{folder} is of the command {shown(record['command'])}, which cannot be resumed. Start it anew."
        )
    return config_of(record, where=str(folder / "config.json"))


def config_of(record: dict, *, where: str) -> Training:
    """Returns the configuration of a record after `name_recipe`; ValueError names `where` and the wrong field."""
    model = record.get("model")
    kind = type(known_recipe(model).defaults) if isinstance(model, str) else Training
    return from_record(record, where=where, kind=kind)


def _train(config: Training, folder: Path | None, extension: Extension | None = None) -> int:
    """Trains in `folder`, as far as its extension goes, or in a new folder; together with other processes if any."""
    started = time.perf_counter()
    if config.strategy == "downpour":
        from jaxnn.cli.downpour_training import train_by_servers

        return _finish(config, *train_by_servers(config, folder), started)
    with ThreadPoolExecutor(1) as pool:
        loading = _begin_loading(config, pool)
        from jaxnn.parallel import multihost

        with multihost.joined(exit_status):
            return _train_joined(config, folder, loading, started, extension)


def _begin_loading(config, pool):
    """Starts to load the data in a thread that imports no module, while this thread imports JAX.

    Two threads must not import modules at once: the extension of JAX can fail while the import of NumPy, which it
    needs, is unfinished.
    """
    from jaxnn import data

    data.find(config.data, folder=config.data_folder)  # here, not in the thread: a download imports modules
    return pool.submit(load_data, config)


def _train_joined(config, folder, loading, started, extension):
    """Trains in this process; the first process makes a new folder only after all checks have passed."""
    from jaxnn.cli.assembly import assemble
    from jaxnn.parallel import Sharded, multihost
    from jaxnn.runs import create, default_path
    from jaxnn.runs.training_run import train_in_folder
    from jaxnn.training.batching import count_examples

    placement = choose_placement(config, resume=extension is not None)
    extension, is_resumed = extension or Extension(config.epochs, config.epochs), extension is not None
    task = assemble(dataclasses.replace(config, epochs=extension.schedule_epochs), loading.result())
    task = task._replace(train=own_rows(task.train, placement))
    check_memory(task, placement, batch_size=config.batch_size)
    examples, writes = placement.global_examples(count_examples(task.train)), multihost.is_writer()
    if folder is None:
        folder = Path(config.out or default_path(config.model))
        folder = create(config.out, to_record(config), name=config.model) if writes else folder
    elif is_resumed:
        extension = _extended(folder, config, extension, task, examples, writes=writes)
    if writes:
        _say(f"{config.model} on {config.data}, {examples} training examples{_held(task)}; run folder {folder}")
    if writes and isinstance(placement, Sharded):
        _say(describe_memory(memory_of(task, placement, batch_size=config.batch_size), len(placement.devices)))
    hooks = [partial(_prepare_pictures, task, placement)] if config.pictures and writes else []
    outcome = train_in_folder(
        folder,
        task,
        epochs=extension.epochs,
        batch_size=config.batch_size,
        patience=config.patience,
        patience_from=extension.patience_from,
        renews=extension.epochs > config.epochs,
        keep=config.keep,
        tensorboard=config.tensorboard,
        resume=is_resumed,
        placement=placement,
        hooks=hooks,
    )
    if not writes:
        return outcome.exit_status
    return _finish(config, folder, task, outcome, started)


def _extended(folder, config, extension, task, examples, *, writes) -> Extension:
    """Returns the extension of a run that goes on; a new one is described and written first."""
    from jaxnn.runs import checkpoints
    from jaxnn.runs.loggers import read_metrics
    from jaxnn.runs.run_consistency import check_records

    saved = checkpoints.steps(folder / "checkpoints")
    if extension == read_extension(folder, config):
        return extension
    check_steps(epochs=extension.epochs, batch_size=config.batch_size, examples=examples)
    told = f"{extension.epochs} epochs in all"
    if saved:
        steps = -(-examples // config.batch_size)
        told = describe_extension(config, extension, step=saved[-1], steps_per_epoch=steps)
        check_records(folder)
        history = read_metrics(folder / "metrics.jsonl")
        extension = count_patience_anew(extension, config, history, task.monitor or "train/loss")
    if writes:
        measures_again = "; the test data are measured again at the end" if (folder / "result.json").exists() else ""
        _say(f"{told}{measures_again}")
        write_extension(folder, extension)
    return extension


def _finish(config, folder, task, outcome, started):
    """Prints how the run ended, and returns the exit status."""
    if outcome.exit_status:
        _say(f"stopped at step {int(outcome.state.step)}; go on with: {resume_line(folder, os.environ, config)}")
        return outcome.exit_status
    _conclude(folder, config, task, outcome, started)
    return 0


def _prepare_pictures(task, placement, event) -> None:
    """Imports the plotting library in this thread while other threads compile the step; it is a hook."""
    from jaxnn.training import Compiling

    if isinstance(event, Compiling):
        from jaxnn.runs.illustration import prepare_pictures

        with contextlib.suppress(OSError):  # it is told at the end, when the training is safe
            prepare_pictures(task, event, placement)


def _conclude(folder, config, task, outcome, started):
    """Draws the pictures, and prints the test metrics and the time of the whole command."""
    report = _draw(folder, config, task, outcome, started) if config.pictures else None
    seconds = f"{time.perf_counter() - started:.1f} s in all"
    rows = outcome.result
    print(f"{describe_result(rows['best' if 'best' in rows else 'last'])}, {seconds}" if rows else seconds)
    if "best" in rows and rows["best"]["step"] != rows["last"]["step"]:
        print(
            f"of step {rows['best']['step']}, the best on the data held out; the last: {describe_result(rows['last'])}"
        )
    if report is not None:
        print(f"report: {report}")
    print(f"checkpoints: {folder / 'checkpoints'}")


def _draw(folder, config, task, outcome, started) -> Path | None:
    """Returns the page with the pictures, or None if they cannot be written, which costs no finished training."""
    from jaxnn.runs.illustration import illustrate

    pictures = known_recipe(config.model).pictures
    try:
        return illustrate(folder, task, outcome, pictures=pictures, seconds=time.perf_counter() - started)
    except OSError as error:
        _say(f"the pictures could not be written: {error.strerror or error}; `jaxnn resume {folder}` draws them again")
        return None


def describe_result(row) -> str:
    """Describes the test metrics of a state in one line.

    >>> describe_result({"step": 9, "loss": 0.5, "accuracy": 0.75, "top-5 accuracy": 1.0, "count": 100})
    'test accuracy 75.00 % on 100 examples, test loss 0.5000'
    """
    names = [name for name in ("accuracy", "loss") if name in row]
    shown = [f"test {n} {100 * row[n]:.2f} %" if n == "accuracy" else f"test {n} {row[n]:.4f}" for n in names]
    return ", ".join([f"{shown[0]} on {row['count']} examples", *shown[1:]])


def _held(task):
    from jaxnn.training.batching import count_examples

    return "" if task.validation is None else f" and {count_examples(task.validation)} held out"


def _say(line):
    print(line, file=sys.stderr, flush=True)
