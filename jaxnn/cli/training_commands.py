"""`jaxnn train` and `jaxnn resume`."""

import importlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.configurations import RECIPES, Training, check_given, from_record, load_data, recipe, to_record
from jaxnn.cli.field_rules import shown
from jaxnn.cli.main import exit_status, parse
from jaxnn.cli.placement_flags import check_memory, choose_placement, describe_memory, memory_of, own_rows, resume_line


@dataclass(frozen=True)
class Resumption:
    """Go on with a run from its last checkpoint, to the result of an uninterrupted run."""

    run: Annotated[str, tyro.conf.Positional]
    """The run folder."""
    data_folder: str | None = None
    """Where the data set's files lie, if not in the usual places; what the run folder says of it is not followed."""
    address: str | None = None
    """Of a downpour run: of the Ray cluster to join, HOST:PORT; what the run folder says of it is not followed."""


def train_command(args) -> int:
    """Trains in a new run folder; the defaults are those of the model's recipe."""
    return _train(read_training(args), None, resume=False)


def read_training(args) -> Training:
    """What the arguments of `jaxnn train` say, checked."""
    model = next((arg for arg in args if not arg.startswith("-")), "lenet5")
    default = RECIPES.get(model, RECIPES["lenet5"])
    config = parse(Training, args, command="train", default=default)
    if config.model != default.model:  # the model stood behind a flag's value
        config = parse(Training, args, command="train", default=recipe(config.model))
    return check_given(config)


RESUMED = {  # commands of many trainings: the module and the function that goes on
    "ensemble": ("ensemble_command", "resume_ensemble"),
    "search": ("search_command", "resume_search"),
    "cross-validate": ("cross_validation_command", "resume_cross_validation"),
}


def resume_command(args) -> int:
    """Goes on with a run; one that is finished is left as it is."""
    from jaxnn.runs import checkpoints, one_writer

    folder, record = read_run(args)
    command = record.get("command")
    if isinstance(command, str) and command in RESUMED:
        module, function = RESUMED[command]
        with one_writer(folder):
            return getattr(importlib.import_module(f"jaxnn.cli.{module}"), function)(folder, record)
    config = training_of(folder, record)
    if not checkpoints.steps(folder / "checkpoints"):
        _say(f"{folder} has no checkpoint yet; training from the start")
    return _train(config, folder, resume=True)


def read_run(args) -> tuple[Path, dict]:
    """The folder that `jaxnn resume` is given, and its configuration; places outside are those of the command line."""
    from jaxnn.cli.recorded_places import check_links, place_cluster, place_data
    from jaxnn.runs import read_config

    config = parse(Resumption, args, command="resume")
    folder = Path(config.run)
    record = read_config(folder)["config"]
    check_links(folder)
    return folder, place_cluster(place_data(record, folder, config.data_folder), folder, config.address)


def training_of(folder: Path, record: dict) -> Training:
    """The configuration of a run of `jaxnn train`; that of another command raises ValueError."""
    if "command" in record:
        raise ValueError(
            f"{folder} is of the command {shown(record['command'])}, which cannot be resumed. Start it anew."
        )
    return from_record(record, where=str(folder / "config.json"))


def _train(config: Training, folder: Path | None, *, resume: bool) -> int:
    """Trains in `folder`, or in a new one, beside other processes if there are any."""
    started = time.perf_counter()
    if config.strategy == "downpour":
        from jaxnn.cli.downpour_training import train_by_servers

        return _finish(config, *train_by_servers(config, folder), started)
    with ThreadPoolExecutor(1) as pool:
        loading = _begin_loading(config, pool)
        from jaxnn.parallel import multihost

        with multihost.joined(exit_status):
            return _train_joined(config, folder, loading, started, resume=resume)


def _begin_loading(config, pool):
    """The data is unpacked while JAX is imported, in a thread that imports nothing itself.

    Modules that two threads import at once may fail: JAX's extension, while NumPy, which it needs, is half there.
    """
    from jaxnn import data

    data.find(config.data, folder=config.data_folder)  # a download imports as it goes
    return pool.submit(load_data, config)


def _train_joined(config, folder, loading, started, *, resume):
    """A new folder is made, by the first process, only when everything else is known to be in order."""
    from jaxnn.cli.assembly import assemble
    from jaxnn.parallel import Sharded, multihost
    from jaxnn.runs import create, default_path
    from jaxnn.runs.training_run import train_in_folder

    placement = choose_placement(config, resume=resume)
    task = assemble(config, loading.result())
    task = task._replace(train=own_rows(task.train, placement))
    check_memory(task, placement, batch_size=config.batch_size)
    images, writes = placement.global_examples(len(task.train["label"])), multihost.is_writer()
    if folder is None:
        folder = Path(config.out or default_path(config.model))
        folder = create(config.out, to_record(config), name=config.model) if writes else folder
    if writes:
        _say(f"{config.model} on {config.data}, {images} training images; run folder {folder}")
    if writes and isinstance(placement, Sharded):
        _say(describe_memory(memory_of(task, placement, batch_size=config.batch_size), len(placement.devices)))
    outcome = train_in_folder(
        folder,
        task,
        epochs=config.epochs,
        batch_size=config.batch_size,
        keep=config.keep,
        tensorboard=config.tensorboard,
        resume=resume,
        placement=placement,
    )
    if not writes:
        return outcome.exit_status
    return _finish(config, folder, task, outcome, started)


def _finish(config, folder, task, outcome, started):
    """Says how it ended; returns the exit status."""
    if outcome.exit_status:
        _say(f"stopped at step {int(outcome.state.step)}; go on with: {resume_line(folder, os.environ, config)}")
        return outcome.exit_status
    _conclude(folder, config, task, outcome, seconds=time.perf_counter() - started)
    return 0


def _conclude(folder, config, task, outcome, *, seconds):
    last = outcome.history[-1]
    print(
        f"test accuracy {100 * last['test/accuracy']:.2f} % on {int(last['test/count'])} images, "
        f"test loss {last['test/loss']:.4f}, {seconds:.1f} s in all"
    )
    if config.pictures:
        from jaxnn.runs.illustration import illustrate

        report = illustrate(folder, task, outcome.state, outcome.history, seconds=seconds)
        print(f"report: {report}")
    print(f"checkpoints: {folder / 'checkpoints'}")


def _say(line):
    print(line, file=sys.stderr, flush=True)
