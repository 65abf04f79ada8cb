"""`fit` and `train` repeat one run over seeds, hyperparameters and subsets of the data.

Similar members share one program.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax

from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.populations.hyperparameter_paths import SupervisedTrials, paths_of
from jaxnn.populations.mapping import MemberMesh, check_mapping
from jaxnn.populations.member_memory import SHARE, free_memory
from jaxnn.populations.member_steps import BATCH_SIZE, Blueprint
from jaxnn.populations.members import Member, check_members, groups_of
from jaxnn.populations.planning import Resources, plan
from jaxnn.populations.population import Population
from jaxnn.populations.population_run import PopulationRun
from jaxnn.preprocessing import as_float
from jaxnn.training import Trial
from jaxnn.training.batching import first_example
from jaxnn.training.checked_arguments import (
    as_constants,
    as_count,
    as_factory,
    as_fields,
    as_hooks,
    as_loss,
    as_metrics,
)
from jaxnn.training.checked_data import as_arrays, as_split, check_targets
from jaxnn.training.compilation import as_value
from jaxnn.training.engine import Resident
from jaxnn.training.evaluation import check_objective, on_device
from jaxnn.training.functional_model import FunctionalModel
from jaxnn.training.objectives import Supervised


def check_metric(train: Callable, metric: str, *, splits: bool = False) -> None:
    """Raises an error for a metric that will not be measured, before anything is trained.

    A `functools.partial` of `populations.fit` shows which metrics it will measure. Any other trainer passes this check;
    its metrics are known only from the population that it returns.

    Args:
      train: a trainer.
      metric: such as "validation/accuracy".
      splits: whether the members have test rows of their own; else "validation/..." needs `validation`.

    Raises:
      ValueError: the metric will not be measured.

    >>> check_metric(partial(fit, metrics=()), "validation/loss")
    Traceback (most recent call last):
    ValueError: `metric` must be one of ['train/loss']; received 'validation/loss'. Has the trainer `validation` data?
    """
    if not isinstance(train, partial) or train.func is not fit:
        return
    metrics = train.keywords.get("metrics", inspect.signature(fit).parameters["metrics"].default)
    has_test = splits or train.keywords.get("validation") is not None
    measured, splits = sorted({"loss", *as_metrics(metrics)}), ("validation", "train")[not has_test :]
    known = [f"{split}/{name}" for split in splits for name in measured]
    if metric not in known:
        advice = "" if has_test or not metric.startswith("validation/") else " Has the trainer `validation` data?"
        raise ValueError(f"`metric` must be one of {known}; received {metric!r}.{advice}")


def fit(
    model,
    data,
    members: Sequence[Member],
    *,
    optimizer,
    epochs: int,
    validation=None,
    loss: Callable = cross_entropy,
    metrics=(("accuracy", accuracy),),
    preprocess: Callable = as_float,
    augment: Callable | None = None,
    fields: tuple[str, str] = ("image", "label"),
    **how,
) -> Population:
    """Trains every member for `epochs` passes over its part of `data`; each ends as in a `training.fit` of its own.

    A hyperparameter is named by its path, "optimizer.learning_rate", "loss.label_smoothing", "model.dropout_rate",
    "init.scale" (a factor of the initial weights), or by its last word where only one piece has it; "batch_size"
    belongs to the loop. Members that differ only in seeds, floats and subsets of equal size share one program, compiled
    once. A member whose loss is no longer finite stops, and is marked; once whole chunks of members have stopped, these
    members cost nothing. A dropout rate can be traced in `jaxnn.layers.dropout`, but not in Flax's dropout; a constant
    rate may draw other masks (of fewer bits).

    Args:
      model: a linen module or a pair (init, apply).
      data: dict of arrays of one length; a member's split names rows of these arrays.
      members: see `members_of`.
      optimizer: a factory that takes the hyperparameters, or one pair (init, update) for all.
      epochs: epochs in all, those of `population` included.
      validation: dict of arrays; members with a split are tested on its test rows of `data` instead.
      loss, metrics, preprocess, augment, fields: as for `training.fit`.
      **how: the other arguments of `train`.

    Returns:
      The `Population`.

    Raises:
      ValueError: no members, an unknown hyperparameter, rows outside the data, a batch size out of range, devices or a
        batch that `data_shards` does not divide, too little memory for one member.

    >>> from jaxnn.optimizers import sgd
    >>> from jaxnn.populations import grid, members_of
    >>> line = (lambda key, x: {"w": jax.numpy.zeros((1, 1))}, lambda params, x: x @ params["w"])
    >>> ones = jax.numpy.ones((4, 1))
    >>> data = {"image": ones, "label": ones}
    >>> error = lambda outputs, targets: ((outputs - targets) ** 2).sum(-1)
    >>> settings = {"loss": error, "metrics": (), "batch_size": 4, "epochs": 1}
    >>> trained = fit(line, data, members_of(grid(learning_rate=[0.125, 0.5])), optimizer=sgd, **settings)
    >>> [float(state.params["w"][0, 0]) for state in trained.states]
    [0.25, 1.0]
    """
    members, fields, optimizer, loss = check_members(members), as_fields(fields), as_factory(optimizer), as_loss(loss)
    names = members[0].hyperparameters
    how_measured = ("metrics", tuple(as_metrics(metrics).items())), ("fields", fields)
    settings = *how_measured, ("preprocess", as_value(preprocess)), ("augment", as_value(augment))
    paths = tuple(sorted(paths_of(names, model=model, optimizer=optimizer, loss=loss).items()))
    build = SupervisedTrials(FunctionalModel(model), optimizer, as_value(loss), settings, paths)
    split = as_split(data, fields, "data")
    validation = None if validation is None else as_split(validation, fields, "validation", like=split)
    return train(build, split, members, epochs=epochs, validation=validation, **how)


def train(
    build: Callable[[dict[str, Any]], Trial],
    data,
    members: Sequence[Member],
    *,
    epochs: int,
    validation=None,
    constants: dict[str, Any] | None = None,
    batch_size: int = 128,
    population: Population | None = None,
    patience: int | None = None,
    monitor: str = "validation/loss",
    hooks: Iterable[Callable[[Any], bool | None]] = (),
    mapping: str | None = None,
    devices: Sequence | None = None,
    data_shards: int = 1,
    memory: int | None = None,
    chunk: int | None = None,
) -> Population:
    """Trains every member by the step that its hyperparameters build: `training.train` for many members.

    Args:
      build: `build(values) -> Trial(init, step, objective, model)`; values is a dict of a member's hyperparameters,
        whose floats are traced.
      data, members, epochs, validation: as for `fit`.
      constants: further entries of every batch, as for `training.train`.
      batch_size: examples in a step.
      population: a population to continue; it has the same number of members, whose traced hyperparameters may have
        changed.
      patience: a member stops after this many epochs in a row without a better `monitor`; None: never.
      hooks: functions of an event (`jaxnn.training.fit_events`), whose metrics are medians over the members, and whose
        `state` is a function that returns the `Population` so far; a hook that returns True stops all members after
        the epoch.
      mapping: "vmap" or "map"; None: the model and the platform decide.
      devices: devices over which the members are divided; by default all of this process. On CPU members run fastest
        with a device for each core: `jax.config.update("jax_num_cpu_devices", cores)` before the first computation.
      data_shards: number of neighbouring devices that have the same members and divide each member's batches, as
        `shard_map` does in `training.fit`: eight devices with `data_shards=4` are 2 x 4. Batch norm sees a device's
        rows, unless the model has the axis (`nn.BatchNorm(axis_name="data")`), and dropout draws other masks on each
        device.
      memory: bytes on each device that may be filled; by default half of what is free.
      chunk: members that run at once; the last chunk is padded. By default as many as memory and caches suggest. A
        later, smaller population with the same `chunk` runs the same program: nothing is compiled anew.

    Returns:
      The `Population`.

    Raises:
      ValueError: as `fit`.
    """
    members, counts = check_members(members), {"epochs": epochs, "batch_size": batch_size}
    counts |= {name: n for name, n in (("patience", patience), ("chunk", chunk)) if n is not None}
    counts = {name: as_count(name, count) for name, count in counts.items()}
    data = as_arrays(data, "data")
    validation = None if validation is None else as_arrays(validation, "validation")
    _check(members, mapping)
    devices = tuple(jax.local_devices() if devices is None else devices)
    memory = int(SHARE * free_memory(devices[0])) if memory is None else memory
    resources = Resources(mapping, MemberMesh(devices, data_shards), memory, counts.get("chunk"))
    grouped, constants = groups_of(members), as_constants(constants, data)
    groups = [
        plan(
            Blueprint(as_value(build), tuple(sorted(static.items()))),
            [members[i] for i in positions],
            data,
            constants,
            batch_size=counts["batch_size"],
            resources=resources,
        )
        for static, positions in grouped
    ]
    if validation is not None:
        check_objective(groups[0].programs.blueprint.trial(members[0].hyperparameters).objective)
    for _, positions in grouped:
        _check_targets(build, members[positions[0]], data, validation)
    if monitor.startswith("validation/") and validation is None and members[0].split is None:
        monitor = f"train/{monitor.removeprefix('validation/')}"
    run = PopulationRun(
        members, [positions for _, positions in grouped], as_hooks(hooks), monitor, counts.get("patience")
    )
    resident = [None if split is None else Resident(on_device(split), constants) for split in (data, validation)]
    return run(groups, *resident, population, counts["epochs"])


def _check(members, mapping) -> None:
    if len({member.split is None for member in members}) > 1:
        raise ValueError("either all members must have a split, or none; received some of each.")
    check_mapping(mapping)


def _check_targets(build, member, data, validation) -> None:
    """Checks the targets for the first member of a program; the others have outputs of the same shape."""
    values = {name: value for name, value in member.hyperparameters.items() if name != BATCH_SIZE}
    trial, example = build(values), first_example(data)
    if isinstance(trial.objective, Supervised):
        check_targets(trial.objective, jax.eval_shape(trial.init, jax.random.key(0), example), data, validation)
