"""`train_in_folder` trains a task in a run folder, and writes metrics, checkpoints and results while it runs."""

import contextlib
import dataclasses
import functools
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxnn.runs.atomic_files as atomic_files
import jaxnn.runs.checkpoints as checkpoints
from jaxnn.lenient_streams import LenientStream
from jaxnn.runs.loggers import MetricsFile, TensorBoard, read_metrics
from jaxnn.runs.progress_bar import ProgressBar
from jaxnn.runs.renewed_schedules import renew_schedules
from jaxnn.runs.run_consistency import check_last, check_records
from jaxnn.runs.run_lock import one_writer
from jaxnn.runs.run_result import write_result
from jaxnn.runs.signals import Stop, graceful_stop
from jaxnn.training import Compiled, Compiling, Evaluated, Start, Stopped, Trial, evaluate_objective, train
from jaxnn.training.batching import count_examples, first_example
from jaxnn.training.compilation import result_like
from jaxnn.training.early_stopping import stalled
from jaxnn.training.engine import Resident
from jaxnn.training.evaluation import compile_evaluation, on_device
from jaxnn.training.key_streams import as_key
from jaxnn.training.objectives import Supervised
from jaxnn.training.placement_contract import ONE_DEVICE, OneDevice


class Outcome(NamedTuple):
    """Holds the outcome of a run.

    Attributes:
      state: the last state if the run was stopped or nothing is held out, else the best state on the validation data.
      history: the evaluations of the whole run, including its resumed parts.
      exit_status: the exit status of the signal that ended the run, or 0.
      result: "last" and "best" -> the metrics of these states, measured once on the test data at the end.
    """

    state: Any
    history: list[dict[str, float | int]]
    exit_status: int
    result: dict[str, dict[str, float | int]]


class Task(NamedTuple):
    """Describes a training and its data.

    Attributes:
      trial: how the model is trained.
      train: a dict of arrays, the training data.
      validation: a dict of arrays, the data held out, which choose the best state; or None.
      test: a dict of arrays, the test data, which are measured once at the end; or None.
      seed: the seed of the key of the run.
      monitor: the metric that chooses the best state; None if nothing is held out.
      classes: the names of the classes, if there are any.
      metrics: pairs (name, metric) that are measured in addition at the end.
    """

    trial: Trial
    train: dict[str, Any]
    validation: dict[str, Any] | None
    test: dict[str, Any] | None
    seed: int
    monitor: str | None
    classes: tuple[str, ...] = ()
    metrics: tuple = ()


def _locked(training):
    """Makes the writing process hold the lock of the run, before it reads any file of the run."""

    @functools.wraps(training)
    def run(folder, task, **options):
        with one_writer(folder) if jax.process_index() == 0 else contextlib.nullcontext():
            return training(folder, task, **options)

    return run


@_locked
def train_in_folder(
    folder: str | Path,
    task: Task,
    *,
    epochs: int,
    batch_size: int,
    patience: int | None = None,
    keep: int = 3,
    tensorboard: bool = True,
    resume: bool = False,
    renews: bool = False,
    patience_from: int = 0,
    placement: OneDevice = ONE_DEVICE,
    hooks=(),
) -> Outcome:
    """Trains `task` in `folder`, writes a checkpoint and a line of metrics after every epoch, and tests at the end.

    A training can use several processes; `placement` is then over the devices of all of them. Only the first process
    writes. All processes read the checkpoint when they resume, and their number may differ from the earlier one.

    After compilation, SIGINT and SIGTERM end the run after the current step, with a checkpoint of exactly that step.
    Before, there is nothing to save, and the signals act as usual. With `resume`, training continues from the last
    checkpoint, or from the start if there is none, and reaches the parameters of an uninterrupted run, bit for bit.

    A run that gets more epochs than before `renews` the schedules in its state: they are those of `task`, not of the
    checkpoint. Only evaluations after step `patience_from` count for `patience`.

    Raises:
      BlockingIOError: another process trains in the folder.
      ValueError: a file in the folder was damaged, lost or edited; no file is changed.
      OSError: a checkpoint cannot be read or written; the earlier ones are intact.
      DivergenceError: the loss is no longer finite; the checkpoints are finite.
    """
    folder, writes = Path(folder), jax.process_index() == 0
    is_begun = resume and checkpoints.steps(folder / "checkpoints")
    state, metadata = _last_state(folder, task, batch_size, renews=renews) if is_begun else (None, {})
    step = 0 if state is None else int(state.step)
    _check_alike(placement, step)
    keeping = {"keep": keep, "tensorboard": tensorboard, "best": task.monitor}
    watching = [ProgressBar(), Recorder(folder, from_step=step, **keeping)] if writes else []
    history = [row for row in read_metrics(folder / "metrics.jsonl") if row["step"] > patience_from] if is_begun else ()
    if _has_stalled(history, task, patience, step):
        epochs = int(history[-1]["epoch"])  # the run had stopped early, and so it is finished
    preparing = partial(_prepare_test, task, placement)
    start = Start(task.trial.init, (as_key(task.seed), first_example(task.train))) if state is None else state
    with contextlib.ExitStack() as hearing:
        asked = _Asked(hearing)
        try:
            fitted = train(
                task.trial.step,
                start,
                task.train,
                validation=task.validation,
                objective=task.trial.objective,
                epochs=epochs,
                batch_size=batch_size,
                patience=patience,
                monitor=task.monitor or "train/loss",
                placement=placement,
                totals=metadata.get("totals"),
                history=history,
                hooks=[asked, partial(_tell, watching, placement), preparing, *hooks],
            )
        finally:
            for watcher in watching:
                watcher.close()
    # Another process may have received the signal; a signal after the last step counts too.
    status = int(*placement.max_over_processes(asked.stop.exit_status))
    history = read_metrics(folder / "metrics.jsonl") if writes else fitted.history
    if status:
        return Outcome(placement.gather(fitted.state), history, status, {})
    return _concluded(folder, task, fitted, history, placement)


def _last_state(folder, task, batch_size, *, renews):
    """Returns the state and the metadata of the last checkpoint; `renews` puts the schedules of `task` into it."""
    state, metadata = restore_state(folder, task, batch_size=batch_size)
    if renews:
        state = renew_schedules(state, task.trial.init(as_key(task.seed), first_example(task.train)))
    return state, metadata


def _has_stalled(history, task, patience, step) -> bool:
    """Returns whether a run that was read at `step` had stopped there for want of improvement."""
    is_evaluated = patience is not None and history and history[-1]["step"] == step
    return bool(is_evaluated) and stalled(history, task.monitor or "train/loss") >= patience


def _concluded(folder, task, fitted, history, placement):
    """Measures the last and the best state once on the test data, and writes the result, in the first process only."""
    last = placement.gather(fitted.state)
    if jax.process_index() != 0:
        return Outcome(last, history, 0, {})
    if history and history[-1]["step"] > int(last.step):  # with patience, `train` returned the best state
        last = restore_state(folder, task)[0]
    else:
        check_last(folder, history, int(last.step))
    best = last if task.monitor is None else restore_state(folder, task, "best")[0]
    result = measured(task, {"last": last, "best": best} if task.monitor else {"last": last})
    write_result(folder, result)
    return Outcome(best, history, 0, result)


def measured(task: Task, states) -> dict[str, dict[str, float | int]]:
    """Measures each state on the test data with the objective and the other metrics of the task, and adds its step."""
    if task.test is None or task.trial.objective is None:
        return {}
    objective, result = _test_objective(task), {}
    for name, state in states.items():
        same = next((row for row in result.values() if row["step"] == int(state.step)), None)
        result[name] = same or {"step": int(state.step), **evaluate_objective(objective, state, task.test)}
    return result


def _prepare_test(task, placement, event) -> None:
    """Compiles the evaluation of the test data after the training step, so that the end need not wait; it is a hook."""
    is_known = placement == ONE_DEVICE and task.test is not None and isinstance(task.trial.objective, Supervised)
    if not isinstance(event, Compiling) or not is_known:  # states that are spread over devices are gathered first
        return
    test = Resident(jax.eval_shape(on_device, task.test), {})
    compile_evaluation(_test_objective(task), event.state, test, after=event.last)


def _test_objective(task):
    if not task.metrics or not isinstance(task.trial.objective, Supervised):
        return task.trial.objective
    return dataclasses.replace(task.trial.objective, metrics=(*task.trial.objective.metrics, *task.metrics))


def restore_state(folder: str | Path, task: Task, which="last", *, batch_size: int = 1) -> tuple[Any, dict]:
    """Reads the state of a checkpoint (`which` is "last", "best" or a step) and its metadata.

    Checkpoints of older versions do not store how many examples were seen. For these the number is computed from the
    step and the `batch_size`.
    """
    template = shape_of_state(task)
    older = template._replace(examples=()) if hasattr(template, "examples") else None
    state, metadata = checkpoints.restore(Path(folder) / "checkpoints", template, which=which, older=older)
    if not hasattr(state, "examples") or not isinstance(state.examples, tuple):
        return state, metadata
    examples = count_examples(task.train)
    epochs, steps = divmod(int(state.step), -(-examples // batch_size))
    return state._replace(examples=jnp.uint32(epochs * examples + steps * batch_size)), metadata


def shape_of_state(task: Task):
    """Returns the state that `init` of the trial makes, as `ShapeDtypeStruct`s; the training reuses this trace."""
    return result_like(task.trial.init, jax.eval_shape(partial(jax.random.key, 0)), first_example(task.train))


class _Asked:
    """Stops the run, as a hook, after a signal; signals are requests from the end of the compilation on."""

    def __init__(self, hearing: contextlib.ExitStack):
        self.hearing, self.stop = hearing, Stop()

    def __call__(self, event) -> bool:
        if isinstance(event, Compiled):
            self.stop = self.hearing.enter_context(graceful_stop())
        return self.stop.requested is not None


class Recorder:
    """Writes metrics, TensorBoard events and checkpoints, in this order; it is a hook of the training.

    Metrics and checkpoints of steps after `from_step` are removed; later TensorBoard events are hidden.

    Args:
      folder: the run folder; made if missing.
      from_step: the step from which the run starts.
      keep: how many of the newest checkpoints stay.
      tensorboard: whether to write TensorBoard events.
      best: the metric whose best checkpoint stays in addition, or None.

    Raises:
      ValueError: the metrics and the checkpoints in the folder contradict each other.
      OSError: they cannot be read or written.
    """

    def __init__(self, folder: Path, *, from_step: int, keep: int, tensorboard: bool, best: str | None = None):
        check_records(folder)
        atomic_files.make_folder(folder / "checkpoints")  # a folder that is missing later was lost
        checkpoints.rewind(folder / "checkpoints", from_step)
        self.folder, self.keep, self.best, self.evaluated = folder, keep, best, None
        self.clock = time.perf_counter()
        self.metrics = MetricsFile(folder / "metrics.jsonl", from_step)
        self.tensorboard = TensorBoard(folder / "tensorboard", from_step) if tensorboard else None

    def __call__(self, event) -> None:
        """Writes an evaluation and its checkpoint, or only a checkpoint if the run stopped between two evaluations."""
        if isinstance(event, Evaluated):
            metrics = event.metrics | {"epoch": event.epoch, "seconds": time.perf_counter() - self.clock}
            self.metrics.write(event.step, metrics)
            self._show({k: v for k, v in event.metrics.items() if math.isfinite(v)}, event.step)
            self.evaluated = event.step
        if isinstance(event, Evaluated) or (isinstance(event, Stopped) and event.step != self.evaluated):
            measured, totals = (event.metrics, {}) if isinstance(event, Evaluated) else ({}, event.totals)
            kept = {"keep": self.keep, "best": self.best, "totals": totals}
            checkpoints.save(self.folder / "checkpoints", event.state, step=event.step, metrics=measured, **kept)

    def close(self) -> None:
        """Closes the file of TensorBoard events, if there is one."""
        self._of_tensorboard(lambda events: events.close())

    def _show(self, metrics, step):
        self._of_tensorboard(lambda events: events.write(step, metrics))

    def _of_tensorboard(self, act):
        """Does something with the events; if that fails there are no more of them, which is not worth a training."""
        try:
            if self.tensorboard is not None:
                act(self.tensorboard)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.tensorboard.close()
            self.tensorboard, reason = None, error.strerror or error
            lost = f"no more TensorBoard events: {reason}; metrics.jsonl goes on"
            print(lost, file=LenientStream(sys.stderr), flush=True)


def _tell(watching, placement, event) -> None:
    """Passes an event to the watchers; all processes gather its state, though only the first one has watchers."""
    if isinstance(event, Evaluated | Stopped):
        event = event._replace(state=placement.gather(event.state))
    for watcher in watching:
        watcher(event)


def _check_alike(placement, step):
    """Raises OSError if processes begin at different steps; they would wait for one another for ever."""
    last, first = (int(number) for number in placement.max_over_processes(step, -step))
    if last != -first:
        raise OSError(
            f"every process must find the same last checkpoint; received steps {-first} to {last}, and {step} in "
            f"process {jax.process_index()}. Is the run folder on a disk that all of them share?"
        )
