"""`jaxnn summary` shows the layers of a model; `jaxnn list` lists the names that the other commands take."""

from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from jaxnn.cli.field_rules import NameOrCode, check_effects
from jaxnn.cli.main import parse
from jaxnn.cli.placement_flags import choose_placement, memory_of
from jaxnn.cli.training_flags import (
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    Count,
    Devices,
    OfMlp,
    Placement,
    Training,
    Widths,
    check,
    load_data,
)
from jaxnn.placement_names import PLACEMENT_NAMES
from jaxnn.recipes import Recipe, recipe
from jaxnn.recipes.image_classifiers import RECIPES
from jaxnn.recipes.named_recipes import known_recipe


@dataclass(frozen=True)
class SummaryFlags:
    """Shows the layers of a model: output shapes, parameters and multiply-adds for one example.

    With --placement or --devices it also shows the memory of a training step on each device, computed from the shapes
    and by XLA. Nothing is trained, and no array is made.
    """

    model: Annotated[str, NameOrCode("model", MODELS), tyro.conf.Positional] = "lenet5"
    """Names the model; `jaxnn list` lists the names."""
    hidden: Annotated[Widths, OfMlp] = (128,)
    """Sets the widths of the hidden layers of mlp."""
    placement: Placement | None = None
    """Selects how the work is divided among devices; `jaxnn list` lists the ways."""
    devices: Devices | None = None
    """Sets the number of devices; the CPU is divided into so many."""
    batch_size: Count | None = None
    """Sets the examples in a step, for the memory; by default the number of the recipe of the model."""


@dataclass(frozen=True)
class ListingFlags:
    """Lists models, data sets, optimizers, schedules and placements."""

    recipes: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names your own recipes, FILE.py:NAME, which are listed in addition."""


def summary_command(args) -> int:
    """Prints the layers of a model on the input of its recipe and, if asked for, the memory that a step takes."""
    config = parse(SummaryFlags, args, command="summary")
    check_effects(config, SummaryFlags())
    if config.batch_size is not None and (config.placement, config.devices) == (None, None):
        raise ValueError(
            f"--batch-size is for the memory of a step; received {config.batch_size} without --placement or --devices. "
            "Give one of them, or leave it out."
        )
    training = _training(config)
    placement = None if (config.placement, config.devices) == (None, None) else choose_placement(training, resume=False)
    print(_layers(training))
    if placement is not None:
        print(f"\na training step with {training.optimizer}, {training.batch_size} examples, each of the devices:\n")
        print(_memory(training, placement))
    return 0


def _layers(training: Training) -> str:
    """Returns the table of the layers of a model for an example of its data."""
    from jaxnn.cli.assembly import used_fields
    from jaxnn.diagnostics import format_summary, summarize
    from jaxnn.preprocessing import as_float
    from jaxnn.recipes.training_recipes import facts_of
    from jaxnn.training.batching import first_example

    dataset = load_data(training)
    trial = known_recipe(training.model).build(training, facts_of(dataset), 1)
    if trial.model is None:
        raise ValueError(f"{training.model} has no one model; its recipe builds a Trial without `model`.")
    inputs = next(iter(first_example(used_fields(trial, dataset.train)).values()))
    preprocess = getattr(trial.objective, "preprocess", as_float)
    return format_summary(summarize(trial.model, preprocess(inputs).shape[1:]))


def _training(config: SummaryFlags) -> Training:
    """Returns the training whose step is described."""
    default = recipe(config.model).defaults
    batch_size = default.batch_size if config.batch_size is None else config.batch_size
    asked = {"hidden": config.hidden, "placement": config.placement, "devices": config.devices}
    return check(replace(default, batch_size=batch_size, **asked))


def _memory(training: Training, placement):
    from jaxnn.cli.assembly import assemble

    return memory_of(assemble(training, load_data(training)), placement, batch_size=training.batch_size, compiled=True)


def list_command(args) -> int:
    """Prints every name that the other commands take, with one line of description for each."""
    own = parse(ListingFlags, args, command="list").recipes
    from jaxnn.data.sources import SOURCES

    recipes = {one.name: _described(one) for one in (*RECIPES.values(), *map(recipe, own))}
    datasets = {name: source.page for name, source in SOURCES.items()}
    for title, rows in (
        ("models (and how `jaxnn train` trains them)", recipes),
        ("data sets", datasets),
        ("optimizers", OPTIMIZERS),
        ("schedules", SCHEDULES),
        ("placements", PLACEMENT_NAMES),
    ):
        print(f"{title}\n" + "\n".join(f"  {name:<20}{text}" for name, text in rows.items()) + "\n")
    return 0


def _described(one: Recipe) -> str:
    how = one.defaults
    trained = f"{how.epochs} epochs of {how.batch_size}, {how.optimizer} {how.learning_rate:g}, {how.schedule}"
    return f"{trained}: {one.about}" if one.about else trained
