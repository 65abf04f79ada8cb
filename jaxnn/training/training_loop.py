"""A `Run` is the loop over epochs: it runs the steps, evaluates, calls the hooks, and decides when to end."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxnn.training.compilation import prepare, result_like
from jaxnn.training.early_stopping import check_monitor, stalled
from jaxnn.training.engine import Resident
from jaxnn.training.evaluation import compile_evaluation, evaluate_objective
from jaxnn.training.feeds import ResidentFeed, StreamFeed
from jaxnn.training.fit_events import Compiled, Compiling, DivergenceError, Evaluated, Event, Progress, Started, Stopped
from jaxnn.training.host_loop import StepCalls, Totals, mean_of_call
from jaxnn.training.keyboard_interrupts import interruption
from jaxnn.training.placement_contract import ONE_DEVICE
from jaxnn.training.train_state import copy_state

_REMEDY = "Lower the learning rate, clip the gradient, or look at the data for values that are not finite."


class Fitted(NamedTuple):
    """Holds the result of a run.

    state: the last state, or with `patience` the best of the evaluated states, unless the run was stopped. history: the
    metrics of every evaluation of this run, oldest first. stopped: whether a hook or Ctrl-C ended the run early.
    totals: (sum, count) of the metrics in an epoch that was not finished.
    """

    state: Any
    history: list[dict[str, float | int]]
    stopped: bool
    totals: dict[str, tuple[float, float]]


class Validation(NamedTuple):
    """Holds the objective that is measured after every epoch, and its data on the devices."""

    objective: Callable
    data: Resident


@dataclass
class Run:
    """Runs the host's side of a training.

    Args:
      step: `(state, batch) -> (state, metrics)`.
      feed: the source of the batches.
      epochs: epochs in all, those of the state included.
      validation: the objective and data that are measured after every epoch; None: there are none.
      hooks: functions that are called with every event.
      placement: the devices, and how work is divided among them.
      patience, monitor: the run ends after `patience` evaluations in a row without a better `monitor`; None: never.
      totals, history: totals and history of the earlier part of the run.
    """

    step: Callable
    feed: ResidentFeed | StreamFeed
    epochs: int
    validation: Validation | None
    hooks: Iterable[Callable[[Event], bool | None]]
    placement: Any
    patience: int | None
    monitor: str
    totals: dict[str, tuple[float, float]]
    history: list[dict[str, float | int]]

    def __call__(self, state, init: Callable | None = None, init_args=()) -> Fitted:
        """Runs the epochs that are left, from `state` or from the state that `init` makes."""
        steps, made = self.feed.steps_per_epoch, 0 if state is None else int(state.step)
        epoch, first = (0, 0) if state is None else self.feed.place_of(state)
        self.offset = made - epoch * steps - first  # updates that were no steps of these epochs
        if epoch >= self.epochs:
            return Fitted(state, [], False, {})
        self._tell(Started(made, self.offset + self.epochs * steps, steps, self.feed.batch_size))
        self.calls, self.best, before = StepCalls(self.placement.max_over_processes), None, len(self.history)
        state = self._compile(state, init, init_args, (epoch, first))
        with interruption() as self.interrupted:
            state, stopped, totals = self._epochs(state, epoch, first)
        # A stopped run returns its last state, not the best one, because it may be continued from there.
        state = state if self.best is None or stopped else self.best
        return Fitted(state, self.history[before:], stopped, totals)

    def _compile(self, state, init, init_args, place):
        """Compiles the step while the state is made, and the evaluation after them; returns the state."""
        start, making = time.perf_counter(), None
        if state is None:
            making = prepare(self.placement.distribute_init(init), *init_args, runs_once=True)
        if self.placement != ONE_DEVICE:  # the placement of the state is part of the compiled program
            state, making = self.placement.put(making.result()(*init_args) if making else state), None
        # The shapes of the state are enough to compile the step, so this need not wait for the state.
        like = state if making is None else result_like(init, *init_args)
        pending = self.feed.compile(self.step, like, *place)
        last = pending[-1]
        if self.validation is not None:  # not needed before the first epoch is over
            last = compile_evaluation(*self._measured(like), placement=self.placement, after=last)
        self._tell(Compiling(like, last))  # hooks can work here while other threads compile
        state = state if making is None else making.result()(*init_args)
        for future in pending:
            future.result()
        self._tell(Compiled(time.perf_counter() - start, self.feed.fused))
        return state

    def _epochs(self, state, epoch, first):
        """Returns `(state, stopped, totals)` after the last epoch, or after the last step if the run was stopped."""
        steps, totals = self.feed.steps_per_epoch, Totals(self.totals)
        while True:
            state, last = self._epoch(state, epoch, first, totals)
            if last < steps:
                self._tell(Stopped(self._number(epoch, last), epoch, state, totals.pairs))
                return state, True, totals.pairs
            asked = self._evaluate(state, epoch, totals.means())
            epoch, first, totals = epoch + 1, 0, Totals()
            if asked or self.calls.stopped or epoch >= self.epochs or self._has_stalled():
                return state, (asked or self.calls.stopped) and epoch < self.epochs, {}

    def _epoch(self, state, epoch, first, totals):
        """Runs the steps that are left of an epoch; returns the state and the steps of the epoch that are done."""
        self.feed.begin(state, epoch, first)

        def dispatch(first, last):
            nonlocal state  # each call donates the state and gives a new one, before its metrics are ready
            state, metrics = self.feed.run(self.step, state, first, last)
            return metrics

        for call in self.calls.over(dispatch, first, self.feed.steps_per_epoch):
            totals.add(call.metrics)
            self.calls.heard(call, stop=self._progress(epoch, call) or self.interrupted.requested)
            first = call.last
        return state, first

    def _progress(self, epoch, call) -> bool:
        means, last = mean_of_call(call), self._number(epoch, call.last)
        for name, mean in means.items():
            if name.endswith("loss") and not math.isfinite(mean):
                between = f"between step {self._number(epoch, call.first)} and step {last}"
                raise DivergenceError(f"the {name} became {mean} {between}. {_REMEDY}")
        return self._tell(Progress(last, epoch, means, self.feed.seen(call.first, call.last), call.seconds))

    def _evaluate(self, state, epoch, trained) -> bool:
        """Measures the validation data after an epoch, keeps the best state, calls the hooks; returns True to stop."""
        metrics = {f"train/{name}": mean for name, mean in trained.items()}
        if self.validation is not None:
            objective, own, data = self._measured(state)
            measured = evaluate_objective(objective, own, data.rows, constants=data.constants, placement=self.placement)
            metrics |= {f"validation/{name}": mean for name, mean in measured.items()}
        step = self._number(epoch, self.feed.steps_per_epoch)
        loss = metrics.get("validation/loss", 0.0)
        if not math.isfinite(loss):
            raise DivergenceError(f"the validation loss became {loss} at step {step}. {_REMEDY}")
        self.history = [*self.history, metrics]
        if self.patience is not None:
            check_monitor(self.monitor, metrics)
            # A copy is kept, because the next step gets the memory of the state.
            self.best = copy_state(state) if stalled(self.history, self.monitor) == 0 else self.best
        asked = self._tell(Evaluated(step, epoch + 1, metrics, state))
        # All processes must agree to stop, because they run the same compiled calls together.
        return any(self.placement.max_over_processes(float(asked or self.interrupted.requested)))

    def _measured(self, state):
        return self.validation.objective, state, self.validation.data

    def _has_stalled(self) -> bool:
        return self.patience is not None and stalled(self.history, self.monitor) >= self.patience

    def _number(self, epoch, step) -> int:
        """Returns the number of updates made after `step` steps of an epoch."""
        return self.offset + epoch * self.feed.steps_per_epoch + step

    def _tell(self, event) -> bool:
        answers = [hook(event) for hook in self.hooks]  # every hook is called
        return any(answers)
