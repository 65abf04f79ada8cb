"""A training inside a run folder: `fit`, with everything that outlives it written down as it goes."""

import contextlib
import functools
import math
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxnn.runs import atomic_files, checkpoints
from jaxnn.runs.loggers import MetricsFile, TensorBoard, read_metrics
from jaxnn.runs.progress_bar import ProgressBar
from jaxnn.runs.run_consistency import check_last, check_records
from jaxnn.runs.run_lock import one_writer
from jaxnn.runs.signals import graceful_stop
from jaxnn.training import Evaluated, Stopped, TrainState, fit, init_state
from jaxnn.training.placement_contract import ONE_DEVICE, OneDevice


class Outcome(NamedTuple):
    """The last state, the evaluations of the whole run (resumed parts included), and the signal that ended it."""

    state: TrainState
    history: list[dict[str, float | int]]
    exit_status: int


class Task(NamedTuple):
    """What is trained on what: the pieces that `fit` takes and that evaluation and pictures need again."""

    model: Any
    train: dict
    test: dict
    optimizer: Any
    loss: Any
    preprocess: Any
    classes: tuple[str, ...]
    seed: int


def _locked(train):
    """Holds the lock of the run in the process that writes, from before it looks at what is there."""

    @functools.wraps(train)
    def run(folder, task, **options):
        with one_writer(folder) if jax.process_index() == 0 else contextlib.nullcontext():
            return train(folder, task, **options)

    return run


@_locked
def train_in_folder(
    folder: str | Path,
    task: Task,
    *,
    epochs: int,
    batch_size: int,
    keep: int = 3,
    tensorboard: bool = True,
    resume: bool = False,
    placement: OneDevice = ONE_DEVICE,
    hooks=(),
) -> Outcome:
    """Trains `task` in `folder`: a checkpoint and a line of metrics at every evaluation.

    Of several processes (`placement` is over the devices of all) the first writes, and all read when they resume; there
    may be another number of them then.

    SIGINT and SIGTERM end it after the step, with a checkpoint of exactly that step. Resuming goes on from the last
    checkpoint, or from the start where there is none yet, to the parameters of an uninterrupted run, bit for bit.

    Raises:
      BlockingIOError: another process trains in the folder.
      ValueError: what is there was damaged, lost or edited; nothing of it is changed.
      OSError: a checkpoint cannot be read, or not be written; the earlier ones are whole.
      DivergenceError: the loss is no longer finite; the checkpoints are.
    """
    folder, writes = Path(folder), jax.process_index() == 0
    is_begun = resume and checkpoints.steps(folder / "checkpoints")
    state, metadata = restore_state(folder, task) if is_begun else (None, {})
    step = 0 if state is None else int(state.step)
    _check_alike(placement, step)
    witnesses = [ProgressBar(), Recorder(folder, from_step=step, keep=keep, tensorboard=tensorboard)] if writes else []
    tell = partial(_tell, witnesses, placement)
    with graceful_stop() as stop:
        try:
            fitted = fit(
                task.model,
                task.train,
                validation=task.test,
                optimizer=task.optimizer,
                loss=task.loss,
                preprocess=task.preprocess,
                epochs=epochs,
                batch_size=batch_size,
                key=task.seed,
                state=state,
                placement=placement,
                totals=metadata.get("totals"),
                hooks=[tell, lambda event: stop.requested is not None, *hooks],
            )
        finally:
            for witness in witnesses:
                witness.close()
    # another process may have had the signal; it counts after the last step too
    status = int(*placement.max_over_processes(stop.exit_status))
    history = read_metrics(folder / "metrics.jsonl") if writes else fitted.history
    if writes and not fitted.stopped:
        check_last(folder, history, int(fitted.state.step))
    return Outcome(placement.gather(fitted.state), history, status)


def restore_state(folder: str | Path, task: Task, which="last") -> tuple[TrainState, dict]:
    """The state of a checkpoint ("last", "best" or a step) and its metadata."""
    x = task.train["image"][:1]
    init = lambda: init_state(task.model, task.optimizer, x, key=task.seed, preprocess=task.preprocess)  # noqa: E731
    template = jax.eval_shape(init)
    return checkpoints.restore(Path(folder) / "checkpoints", template, which=which)


class Recorder:
    """A hook that writes metrics, TensorBoard events and checkpoints, in this order; forgets what is after `from_step`.

    Args:
      folder: the run folder; made if missing.

    Raises:
      ValueError: the metrics and the checkpoints there contradict each other.
      OSError: they cannot be read or written.
    """

    def __init__(self, folder: Path, *, from_step: int, keep: int, tensorboard: bool):
        check_records(folder)
        atomic_files.make_folder(folder / "checkpoints")  # from now on, one that is missing was lost
        checkpoints.rewind(folder / "checkpoints", from_step)
        self.folder, self.keep, self.clock, self.evaluated = folder, keep, time.perf_counter(), None
        self.metrics = MetricsFile(folder / "metrics.jsonl", from_step)
        self.tensorboard = TensorBoard(folder / "tensorboard", from_step) if tensorboard else None

    def __call__(self, event) -> None:
        """Records what is worth keeping of an event."""
        if isinstance(event, Evaluated):
            metrics = event.metrics | {"epoch": event.epoch, "seconds": time.perf_counter() - self.clock}
            self.metrics.write(event.step, metrics)
            if self.tensorboard is not None:
                self.tensorboard.write(event.step, {k: v for k, v in event.metrics.items() if math.isfinite(v)})
            self.evaluated = event.step
        if isinstance(event, Evaluated) or (isinstance(event, Stopped) and event.step != self.evaluated):
            measured, totals = (event.metrics, {}) if isinstance(event, Evaluated) else ({}, event.totals)
            folder, keep = self.folder / "checkpoints", self.keep
            checkpoints.save(folder, event.state, step=event.step, metrics=measured, totals=totals, keep=keep)

    def close(self) -> None:
        """Waits until TensorBoard's events are on disk."""
        if self.tensorboard is not None:
            self.tensorboard.close()


def _tell(witnesses, placement, event) -> None:
    """States are made whole by all processes, for the witnesses of the one that has some."""
    if isinstance(event, Evaluated | Stopped):
        event = event._replace(state=placement.gather(event.state))
    if isinstance(event, Evaluated):
        named = {name.replace("validation/", "test/"): value for name, value in event.metrics.items()}
        event = event._replace(metrics=named)
    for witness in witnesses:
        witness(event)


def _check_alike(placement, step):
    """Processes that began at different steps would wait for one another for ever."""
    last, first = (int(number) for number in placement.max_over_processes(step, -step))
    if last != -first:
        raise OSError(
            f"every process must find the same last checkpoint; received steps {-first} to {last}, and {step} in "
            f"process {jax.process_index()}. Is the run folder on a disk that all of them share?"
        )
