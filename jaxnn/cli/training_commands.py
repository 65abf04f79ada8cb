"""`jaxnn train` and `jaxnn resume`."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.configurations import RECIPES, Training, check, from_record, load_data, recipe, to_record
from jaxnn.cli.main import parse


@dataclass(frozen=True)
class Resumption:
    """Go on with a run from its last checkpoint, to the result of an uninterrupted run."""

    run: Annotated[str, tyro.conf.Positional]
    """The run folder."""


def train_command(args) -> int:
    """Trains in a new run folder; the defaults are those of the model's recipe."""
    model = next((arg for arg in args if not arg.startswith("-")), "lenet5")
    default = RECIPES.get(model, RECIPES["lenet5"])
    config = check(parse(Training, args, command="train", default=default))
    if config.model != default.model:  # the model stood behind a flag's value
        config = check(parse(Training, args, command="train", default=recipe(config.model)))
    return _train(config, None, resume=False)


def resume_command(args) -> int:
    """Goes on with a run; one that is finished is left as it is."""
    from jaxnn.runs import checkpoints, read_config

    folder = Path(parse(Resumption, args, command="resume").run)
    record = read_config(folder)["config"]
    if record.get("command") == "ensemble":
        from jaxnn.cli.ensemble_command import resume_ensemble

        return resume_ensemble(folder, record)
    if "command" in record:
        raise ValueError(f"{folder} is of `jaxnn {record['command']}`, which cannot be resumed. Start it anew.")
    config = from_record(record, where=str(folder / "config.json"))
    if not checkpoints.steps(folder / "checkpoints"):
        _say(f"{folder} has no checkpoint yet; training from the start")
        return _train(config, folder, resume=False)
    return _train(config, folder, resume=True)


def _train(config: Training, folder: Path | None, *, resume: bool) -> int:
    """Trains in `folder`, or in a new one, which is made only when everything else is known to be in order."""
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:  # the data is unpacked while JAX is imported
        loading = pool.submit(load_data, config)
        from jaxnn.cli.assembly import assemble
        from jaxnn.runs import create, default_path
        from jaxnn.runs.training_run import train_in_folder

        task = assemble(config, loading.result())
    if folder is None:
        folder = create(config.out or default_path(config.model), to_record(config))
    _say(f"{config.model} on {config.data}, {len(task.train['label'])} training images; run folder {folder}")
    outcome = train_in_folder(
        folder,
        task,
        epochs=config.epochs,
        batch_size=config.batch_size,
        keep=config.keep,
        tensorboard=config.tensorboard,
        resume=resume,
    )
    if outcome.exit_status:
        _say(f"stopped at step {int(outcome.state.step)}; go on with: jaxnn resume {folder}")
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
