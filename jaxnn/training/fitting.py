"""`fit`: epochs of compiled steps, an exact evaluation after each, and hooks that are told of both."""

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.preprocessing import as_float
from jaxnn.training.batching import check_batch_size, count_examples
from jaxnn.training.compilation import call, prepare, result_like
from jaxnn.training.engine import choose_fusion, compile_steps, run_steps
from jaxnn.training.evaluation import compile_evaluation, evaluate, on_device
from jaxnn.training.events import Compiled, DivergenceError, Evaluated, Event, Progress, Started, Stopped
from jaxnn.training.one_device import ONE_DEVICE, OneDevice
from jaxnn.training.train_state import TrainState, init_state
from jaxnn.training.train_step import TrainStep

_REMEDY = "Lower the learning rate, clip the gradient, or look at the data for values that are not finite."
SECONDS_PER_CALL = 0.25  # a compiled call is sized to take about this long, so that bars move and signals are heard


class Fitted(NamedTuple):
    """The last state and the metrics of every evaluation, oldest first; `stopped`: because a hook asked for it."""

    state: TrainState
    history: list[dict[str, float | int]]
    stopped: bool


def fit(
    model,
    train,
    *,
    optimizer,
    epochs: int,
    validation=None,
    loss: Callable = cross_entropy,
    metrics=(("accuracy", accuracy),),
    batch_size: int = 128,
    key=0,
    preprocess: Callable = as_float,
    fields: tuple[str, str] = ("image", "label"),
    state: TrainState | None = None,
    hooks: Iterable[Callable[[Event], bool | None]] = (),
    fused: bool | None = None,
    placement: OneDevice = ONE_DEVICE,
) -> Fitted:
    """Trains for `epochs` passes over `train`, shuffled anew for each.

    Args:
      model: a Flax linen module or a pair of functions (init, apply).
      train: dict of arrays of one length (NumPy or JAX); lies on the device as a whole.
      optimizer: a pair (init, update), ours or Optax's.
      epochs: in all, those of `state` included.
      validation: as `train`; measured after every epoch under "test/...".
      loss, metrics: per-example functions of (outputs, targets); metrics a dict or pairs (name, metric).
      batch_size: the last batch of an epoch is padded and masked.
      key: a typed key or an integer seed; with the data it determines the run.
      preprocess: pure function of the inputs, compiled into the step.
      state: where to go on, at any step; the result is bit for bit that of an uninterrupted run. It is donated.
      hooks: functions of an event (`jaxnn.training.events`); one that returns True stops the run.
      fused: whether steps are compiled together; None lets `choose_fusion` decide.
      placement: on which devices, and how; see `jaxnn.parallel.placement`.

    Returns:
      `Fitted(state, history, stopped)`.

    Raises:
      ValueError: arrays of different lengths, a batch size out of range or not divisible by the devices, epochs < 1.
      DivergenceError: the loss is not finite.
    """
    examples = placement.total(count_examples(train, fields))
    if validation is not None:
        count_examples(validation, fields)
    check_batch_size(batch_size, examples)
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1; received {epochs}.")
    _check_parts(batch_size, placement.parts)
    step = TrainStep(model, loss, optimizer.update, tuple(dict(metrics).items()), preprocess, tuple(fields))
    data = placement.put_rows(on_device(train))
    test = None if validation is None else placement.put(on_device(validation))
    run = _Run(step, data, test, examples, batch_size, epochs, list(hooks), fused, placement)
    example = np.asarray(train[fields[0]][:1])
    return run(state, partial(init_state, model, optimizer, example, key=key, preprocess=preprocess))


class _Run:
    """The host's side of a run: which steps are next, what is pending, who is told."""

    def __init__(self, step, data, test, examples, batch_size, epochs, hooks, fused, placement):
        self.step, self.data, self.test, self.hooks = step, data, test, hooks
        self.batch_size, self.epochs, self.fused, self.placement = batch_size, epochs, fused, placement
        self.shuffle = placement.shuffle(examples, batch_size)
        self.steps_per_epoch, self.steps_per_call = -(-examples // batch_size), 8

    def __call__(self, state, init) -> Fitted:
        done, history = 0 if state is None else int(state.step), []
        if done >= self.epochs * self.steps_per_epoch:
            return Fitted(state, history, False)
        self._tell(Started(done, self.epochs * self.steps_per_epoch, self.steps_per_epoch, self.batch_size))
        state = self._compile(state, init)
        for epoch in range(done // self.steps_per_epoch, self.epochs):
            state, means, stop = self._epoch(state, epoch)
            if stop and int(state.step) < (epoch + 1) * self.steps_per_epoch:
                self._tell(Stopped(int(state.step), epoch, state))
                return Fitted(state, history, True)
            metrics = self._evaluate(state, means)
            history.append(metrics)
            asked = self._tell(Evaluated((epoch + 1) * self.steps_per_epoch, epoch + 1, metrics, state))
            if any(self.placement.agreed(asked)) or stop:
                return Fitted(state, history, epoch + 1 < self.epochs)
        return Fitted(state, history, False)

    def _compile(self, state, init):
        """Compiles the step while the state is made, and the evaluation behind them; returns the state."""
        start = time.perf_counter()
        making = None if state is not None else prepare(self.placement.made(init), runs_once=True)
        if self.placement != ONE_DEVICE:  # where the state lies is part of what is compiled
            state, making = self.placement.put(making.result()() if making else state), None
        like = state if making is None else result_like(init)
        order = self.placement.put(np.zeros((self.steps_per_epoch, self.batch_size), np.int32))
        pending = [prepare(self.shuffle, like.key, np.int32(0))]
        if self.fused is None:
            self.fused = choose_fusion(self.step, like, self.data, order, self.placement)
        pending.append(compile_steps(self.step, like, self.data, order, fused=self.fused, placement=self.placement))
        if self.test is not None:  # not needed before the first epoch is over
            compile_evaluation(self.step.model, like, self.test, **self._measures, after=pending[-1])
        state = state if making is None else making.result()()
        for future in pending:
            future.result()
        self._tell(Compiled(time.perf_counter() - start, self.fused))
        return state

    def _evaluate(self, state, train_means):
        tested = {} if self.test is None else evaluate(self.step.model, state, self.test, **self._measures)
        metrics = {f"train/{k}": v for k, v in train_means.items()} | {f"test/{k}": v for k, v in tested.items()}
        if not math.isfinite(metrics.get("test/loss", 0.0)):
            raise DivergenceError(f"the test loss became {metrics['test/loss']} at step {int(state.step)}. {_REMEDY}")
        return metrics

    @property
    def _measures(self):
        metrics = (("loss", self.step.loss), *self.step.metrics)
        own = {"preprocess": self.step.preprocess, "fields": self.step.fields, "placement": self.placement}
        return {"metrics": metrics, **own}

    def _epoch(self, state, epoch):
        """Runs what is left of an epoch; reads the metrics of a call while the next one is running."""
        order, first = self._order(state.key, epoch), int(state.step) - epoch * self.steps_per_epoch
        totals, pending, stop, clock = {}, None, False, time.perf_counter()
        while first < self.steps_per_epoch and not stop:
            last = min(first + self.steps_per_call, self.steps_per_epoch)
            calls = {"first": first, "last": last, "fused": self.fused, "placement": self.placement}
            state, running = run_steps(self.step, state, self.data, order, **calls)
            if pending is not None:
                stop, clock = self._report(*pending, totals, clock)
            pending, first = (running, epoch, first, last), last
        if pending is not None:
            stopped_by_last, _ = self._report(*pending, totals, clock)
            stop = stop or stopped_by_last
        return state, _means(totals), stop

    def _report(self, running, epoch, first, last, totals, clock):
        running = jax.device_get(running)
        now = time.perf_counter()
        for name, (total, count) in running.items():
            so_far = totals.get(name, (0.0, 0.0))
            totals[name] = (so_far[0] + float(total), so_far[1] + float(count))
        step = epoch * self.steps_per_epoch + last
        means = _means(running)
        if not math.isfinite(means["loss"]):
            raise DivergenceError(
                f"the loss became {means['loss']} between step {step - last + first} and step {step}. {_REMEDY}"
            )
        asked = self._tell(Progress(step, epoch, means, int(running["loss"].count), now - clock))
        stop, seconds = self.placement.agreed(asked, now - clock)
        self.steps_per_call = resized(self.steps_per_call, seconds / (last - first), SECONDS_PER_CALL)
        return bool(stop), now

    def _order(self, key, epoch):
        return self.placement.put(call(self.shuffle, key, np.int32(epoch)))

    def _tell(self, event) -> bool:
        answers = [hook(event) for hook in self.hooks]  # every hook is told
        return any(answers)


def _check_parts(batch_size, parts) -> None:
    if batch_size % parts:
        raise ValueError(
            f"`batch_size` must be a multiple of the {parts} devices among which a batch is divided; received "
            f"{batch_size}. Take {max(1, batch_size // parts) * parts}."
        )


def _means(totals) -> dict[str, float]:
    return {name: float(total) / max(float(count), 1.0) for name, (total, count) in totals.items()}


def resized(steps_per_call: int, seconds_per_step: float, seconds_per_call: float) -> int:
    """Steps of the next call, towards the seconds wanted; at most doubling: one call's time is not to be trusted."""
    wanted = round(seconds_per_call / max(seconds_per_step, 1e-7))
    return int(np.clip(wanted, 1, 2 * steps_per_call))
