"""`fit` trains models that map inputs to targets; `train` trains by any step."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.preprocessing import as_float
from jaxnn.training.batching import count_examples, first_example
from jaxnn.training.checked_arguments import (
    as_constants,
    as_count,
    as_fields,
    as_hooks,
    as_loss,
    as_metrics,
    as_optimizer,
    check_placement,
    check_state,
)
from jaxnn.training.checked_data import as_arrays, as_split, check_targets
from jaxnn.training.compilation import as_value, result_like
from jaxnn.training.data_streams import Stream
from jaxnn.training.early_stopping import check_monitor
from jaxnn.training.engine import Resident
from jaxnn.training.evaluation import check_objective, on_device
from jaxnn.training.feeds import ResidentFeed, StreamFeed
from jaxnn.training.fit_events import Event
from jaxnn.training.key_streams import as_key
from jaxnn.training.placement_contract import ONE_DEVICE, OneDevice
from jaxnn.training.train_state import TrainState, copy_state
from jaxnn.training.training_loop import Fitted, Run, Validation
from jaxnn.training.trials import Start, supervised_trial


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
    augment: Callable | None = None,
    fields: tuple[str, str] = ("image", "label"),
    state: TrainState | None = None,
    hooks: Iterable[Callable[[Event], bool | None]] = (),
    patience: int | None = None,
    monitor: str = "validation/loss",
    fused: bool | None = None,
    placement: OneDevice = ONE_DEVICE,
    totals=None,
    history=(),
) -> Fitted:
    """Trains a model for `epochs` passes over `train`, which is shuffled anew for each pass.

    Ctrl-C ends the run after the running call; the result so far is returned with `stopped=True`.

    Args:
      model: a Flax linen module or a pair of functions (init, apply).
      train: dict of arrays of one length (NumPy or JAX), or the pair (inputs, targets); the device holds the whole
        split.
      optimizer: a pair (init, update) of this package or of Optax.
      epochs: epochs in all, those of `state` included.
      validation: data like `train`; measured after every epoch under "validation/...".
      loss, metrics: per-example functions of (outputs, targets); metrics a dict, pairs (name, metric) or names.
      batch_size: the last batch of an epoch is padded and masked.
      key: a typed key or an integer seed; with the data it determines the run.
      preprocess: pure function of the inputs, compiled into the step.
      augment: `augment(key, inputs) -> inputs`, applied before `preprocess`, in training only.
      fields: the names of inputs and targets in the data; other fields stay on the host.
      state: a state to continue from, at any step; the result is bit for bit that of an uninterrupted run. The passed
        state stays usable.
      hooks: functions of an event (`jaxnn.training.fit_events`); a hook that returns True stops the run.
      patience: the run ends after this many evaluations in a row without a better `monitor`, and returns the best
        state.
      fused: whether steps are compiled together; None lets `choose_fusion` decide.
      placement: the devices, and how work is divided among them; see `jaxnn.parallel.placement`.
      totals, history: `Fitted.totals` and `Fitted.history` of an earlier part of the run. The means of an epoch that
        was stopped, and patience, continue from them.

    Returns:
      `Fitted(state, history, stopped, totals)`.

    Raises:
      ValueError: arrays of different lengths, labels that are not classes, a batch size out of range or not divisible
        by the devices, epochs < 1, a state of another model or optimizer.
      DivergenceError: the loss is not finite.
    """
    fields, optimizer, named = as_fields(fields), as_optimizer(optimizer), as_metrics(metrics)
    check_placement(placement)
    train = as_split(train, fields, "train")
    validation = None if validation is None else as_split(validation, fields, "validation", like=train)
    how = {"metrics": named, "preprocess": preprocess, "augment": augment, "fields": fields}
    trial = supervised_trial(model, as_loss(loss), optimizer, **how)
    example, key = first_example(train), as_key(key)
    # The state is known by its shapes only, so wrong targets are refused before anything is compiled.
    check_targets(trial.objective, result_like(trial.init, key, example), train, validation)
    settings = {"epochs": epochs, "batch_size": batch_size, "hooks": hooks, "patience": patience, "monitor": monitor}
    placed = {"fused": fused, "placement": placement, "totals": totals, "history": history}
    own = {"validation": validation, "objective": trial.objective, "constants": None}
    run = _run(trial.step, train, **own, **settings, **placed)
    if state is not None:
        check_state(state, trial.init, example)
        return run(copy_state(state))  # the run donates its state, and the caller's must stay usable
    # The run makes the state itself, so that its program is compiled beside the step.
    return run(None, trial.init, (key, example))


def train(
    step: Callable,
    state,
    data,
    *,
    epochs: int,
    batch_size: int = 128,
    validation=None,
    objective: Callable | None = None,
    constants: dict[str, Any] | None = None,
    hooks: Iterable[Callable[[Event], bool | None]] = (),
    patience: int | None = None,
    monitor: str = "validation/loss",
    fused: bool | None = None,
    placement: OneDevice = ONE_DEVICE,
    totals=None,
    history=(),
) -> Fitted:
    """Trains by any pure step `(state, batch) -> (state, metrics)`, with the loop, hooks and placements of `fit`.

    Args:
      step: a `TrainStep(objective, update)`, or any function. Its batch is a dict of arrays with a boolean
        `mask`, False at padding; its metrics are (sum, count) pairs, `jaxnn.metrics.Mean`. Where each device sees
        a part of the batch (`shard_map`, `pmap`), the step must be a dataclass with a field `axis_name`, the axis over
        which it sums.
      state: a pytree with `step`, which counts updates from 0, and `key`, a typed key: a `TrainState` or another
        NamedTuple. The passed state stays usable. `Start(init, args)` is a state that is still to be made.
      data: dict of arrays of one length, all of which are put on the device, or a `Stream`.
      epochs: epochs in all, those of `state` included.
      batch_size: examples in a batch of arrays; a stream has its own.
      validation: dict of arrays; measured after every epoch under "validation/...", by `objective`.
      objective: the objective that measures `validation`; by default the step's own. It needs a state with `params` and
        `model_state`.
      constants: name -> pytree, further entries of every batch: a teacher's parameters, a table. Constants are
        arguments of the compiled program, are not divided among devices, and are not part of the state.
      hooks, patience, monitor, fused, placement, totals, history: as for `fit`.

    Returns:
      `Fitted(state, history, stopped, totals)`.

    Raises:
      ValueError: as for `fit` and for `Stream`.
      RuntimeError: as for `Stream`.
      DivergenceError: a metric whose name ends in "loss" is not finite.
    """
    own, like = getattr(step, "objective", None), state
    if isinstance(state, Start):
        # Arrays have the shapes and dtypes by which compiled programs are looked up; plain numbers have none.
        state = Start(state.init, jax.tree.map(jnp.asarray, state.args))
        like = result_like(state.init, *state.args)
    else:
        check_state(state)
    objective = own if objective is None else objective
    if not isinstance(data, Stream):
        data = as_arrays(data, "data")
        check_targets(own, like, data)
    if validation is not None:
        validation = as_arrays(validation, "validation")
        check_targets(objective, like, validation)
    settings = {"epochs": epochs, "batch_size": batch_size, "hooks": hooks, "patience": patience, "monitor": monitor}
    placed = {"fused": fused, "placement": placement, "totals": totals, "history": history}
    run = _run(step, data, validation=validation, objective=objective, constants=constants, **settings, **placed)
    return run(None, *state) if isinstance(state, Start) else run(copy_state(state))


def _run(
    step, data, *, validation, objective, constants, epochs, batch_size, hooks, patience, monitor, fused, placement,
    totals, history,
) -> Run:  # fmt: skip
    """Makes a run: checks the arguments, and puts the data on the devices."""
    check_placement(placement)
    epochs, patience = as_count("epochs", epochs), None if patience is None else as_count("patience", patience)
    constants = placement.put(as_constants(constants, () if isinstance(data, Stream) else data))
    # Refused here rather than after the first epoch, when the names of all metrics are known.
    if patience is not None and validation is None and monitor.startswith("validation/"):
        check_monitor(monitor, ["train/loss", "train/..."])
    if isinstance(data, Stream):
        feed = StreamFeed(data, constants, placement=placement)
    else:
        # With several processes each may pass only its own rows, but steps and epochs are counted over all of them.
        examples = placement.global_examples(count_examples(data))
        resident = Resident(placement.put_rows(on_device(data)), constants)
        batch_size = as_count("batch_size", batch_size, least=-math.inf)
        feed = ResidentFeed(resident, examples=examples, batch_size=batch_size, fused=fused, placement=placement)
    if validation is not None:
        check_objective(objective)
        validation = Validation(objective, Resident(placement.put(on_device(validation)), constants))
    totals, history = dict(totals or {}), list(history)
    return Run(as_value(step), feed, epochs, validation, as_hooks(hooks), placement, patience, monitor, totals, history)
