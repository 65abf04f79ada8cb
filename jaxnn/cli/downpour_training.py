"""`jaxnn train --strategy downpour` trains with parameter servers and workers, which are processes of Ray."""

import os
import sys
import time
from pathlib import Path

from jaxnn.cli.training_flags import Training, load_data, to_record


def train_by_servers(config: Training, folder: Path | None) -> tuple:
    """Trains in a new folder, or continues the run in `folder`, and returns `(folder, task, outcome)`.

    The logs and checkpoints of the servers are in the folder `servers` of the run. The result is a checkpoint like that
    of any other run.

    Raises:
      ImportError: Ray is not installed.
      ValueError: `jaxnn launch` started this process, or the recipe is not a supervised one.
      DivergenceError: the loss is not finite.
    """
    check_alone(config, launched="JAXNN_COORDINATOR" in os.environ)
    from jaxnn.cli.assembly import assemble
    from jaxnn.parameter_server.downpour_worker import Downpour
    from jaxnn.parameter_server.ray_cluster import train_asynchronously
    from jaxnn.parameter_server.ray_startup import check_ray
    from jaxnn.recipes.optimizer_choice import build_optimizer
    from jaxnn.runs import create, one_writer
    from jaxnn.runs.signals import graceful_stop
    from jaxnn.training.batching import count_examples
    from jaxnn.training.objectives import Supervised

    check_ray()
    task = assemble(config, load_data(config))
    objective, examples = task.trial.objective, count_examples(task.train)
    if not isinstance(objective, Supervised):
        raise ValueError(f"--strategy downpour trains classifiers; received {config.model}. Leave it out.")
    settings = Downpour(config.workers, config.servers, config.batch_size, bound=config.staleness, seed=config.seed)
    steps = config.epochs * -(-examples // (config.workers * config.batch_size))
    if folder is None:
        folder = create(config.out, to_record(config), name=config.model)
    processes = f"{_counted(config.workers, 'worker')}, {_counted(config.servers, 'server')}"
    _say(f"{config.model} on {config.data}, {processes}; run folder {folder}")
    _say("starting Ray and its processes; then each compiles its first step")
    watch = _Watch(steps * config.workers, lambda: stop.requested is not None)
    with one_writer(folder), graceful_stop() as stop:
        trained = train_asynchronously(
            objective.model.model,
            task.train,
            optimizer=build_optimizer(config, steps=config.epochs * -(-examples // config.batch_size)),
            steps=steps,
            folder=folder / "servers",
            settings=settings,
            loss=objective.loss,
            preprocess=objective.preprocess,
            fields=objective.fields,
            address=config.address,
            watch=watch,
        )
        watch.conclude(trained)
        return folder, task, _recorded(folder, config, task, trained, stop.exit_status)


def check_alone(config: Training, *, launched: bool) -> None:
    """Raises ValueError for a downpour run that `jaxnn launch` started or will start."""
    if launched and config.strategy == "downpour":
        raise ValueError(
            "`jaxnn launch` starts processes that make every step together; received --strategy downpour, which starts "
            f"its own. Leave launch out: jaxnn train {config.model} --strategy downpour --workers {config.workers}"
        )


def _recorded(folder, config, task, trained, exit_status):
    """Evaluates the last state, and writes the metrics, a checkpoint and the result."""
    from jaxnn.runs.loggers import read_metrics
    from jaxnn.runs.run_result import write_result
    from jaxnn.runs.training_run import Outcome, Recorder, measured
    from jaxnn.training import Evaluated, evaluate_objective

    splits = {"train": task.train, "validation": task.validation}
    means = {
        name: evaluate_objective(task.trial.objective, trained.state, split) for name, split in splits.items() if split
    }
    metrics = {f"{split}/{name}": value for split, of in means.items() for name, value in of.items()}
    recorder = Recorder(folder, from_step=0, keep=config.keep, tensorboard=config.tensorboard, best=task.monitor)
    try:
        recorder(Evaluated(int(trained.state.step), config.epochs, metrics, trained.state))
    finally:
        recorder.close()
    result = measured(task, {"last": trained.state})
    write_result(folder, result)
    return Outcome(trained.state, read_metrics(folder / "metrics.jsonl"), exit_status, result)


class _Watch:
    """Prints the progress of the servers every few seconds, from the first push on, and asks to stop after a signal."""

    def __init__(self, pushes: int, stopped):
        self.pushes, self.stopped, self.told, self.done = pushes, stopped, time.perf_counter(), 0

    def __call__(self, progress) -> bool:
        now, done = time.perf_counter(), min((server["number"] for server in progress.servers), default=0)
        if done and now - self.told > 5:
            speed = f", {(done - self.done) / (now - self.told):.0f} a second" if self.done else ""
            self._say(done, speed, progress.restarts)
            self.told, self.done = now, done
        return self.stopped()

    def conclude(self, trained) -> None:
        """Prints how many pushes made the last state, the time that they took, and the restarts."""
        self._say(int(trained.state.step), f" in {trained.seconds:.1f} s", trained.restarts)

    def _say(self, done, how, restarts):
        again = f", {_counted(restarts, 'restart')}" if restarts else ""
        _say(f"{done} of {self.pushes} pushes{how}{again}")


def _counted(count: int, name: str) -> str:
    """Returns a number with its noun.

    >>> _counted(1, "server"), _counted(2, "worker")
    ('1 server', '2 workers')
    """
    return f"{count} {name}{'s' * (count > 1)}"


def _say(line):
    print(line, file=sys.stderr, flush=True)
