"""`Settings` and `parse_with_recipe` read the flags that commands of many trainings share. Imports no jax."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.field_rules import Between, fields_of, plain
from jaxnn.cli.home_folders import expand_home
from jaxnn.cli.main import parse
from jaxnn.cli.training_flags import (
    Count,
    Devices,
    Placement,
    Processes,
    Staleness,
    Strategy,
    Training,
    check_runnable,
)
from jaxnn.cli.work_limits import MOST_TRAININGS
from jaxnn.recipes import recipe
from jaxnn.recipes.image_classifiers import RECIPES
from jaxnn.recipes.named_recipes import known_recipe

Trainings = Annotated[int, Between(1, MOST_TRAININGS)]


@dataclass(frozen=True)
class Settings(Training):
    """Holds the values of `jaxnn train` that are not varied and that all members share."""

    out: tyro.conf.Suppress[str | None] = None
    placement: tyro.conf.Suppress[Placement | None] = None
    devices: tyro.conf.Suppress[Devices | None] = None
    strategy: tyro.conf.Suppress[Strategy] = "synchronous"
    workers: tyro.conf.Suppress[Processes] = 2
    servers: tyro.conf.Suppress[Processes] = 1
    staleness: tyro.conf.Suppress[Staleness | None] = None
    address: tyro.conf.Suppress[str | None] = None
    validation: tyro.conf.Suppress[str] = "none"
    patience: tyro.conf.Suppress[Count | None] = None
    keep: tyro.conf.Suppress[Count] = 3
    tensorboard: tyro.conf.Suppress[bool] = True
    pictures: tyro.conf.Suppress[bool] = True


@dataclass(frozen=True)
class SettingsWithoutTest(Settings):
    """Holds the values of `jaxnn train` that are not varied and that all members share; the test data are not used."""

    test_examples: tyro.conf.Suppress[Count | None] = None


def parse_with_recipe(config_class, args, *, command: str):
    """Parses and checks the configuration of a command; the recipe of the model gives the defaults of `training`.

    Raises:
      ValueError: a flag is unknown, or a value is out of range.
    """
    model = expand_home(next((arg for arg in args if not arg.startswith("-")), "mlp"))
    config = _parse(config_class, args, command, recipe(model if ":" in model or model in RECIPES else "mlp").defaults)
    if config.training.model != model:  # the first word without a dash was the value of a flag
        config = _parse(config_class, args, command, recipe(config.training.model).defaults)
    check_runnable(config.training)
    return config


def metric_of(config) -> str:
    """Returns the metric of a search or a cross-validation: `--metric`, or the monitor of the recipe.

    It is measured on the data held out. For a loss, an error or a perplexity a smaller value is better.
    """
    return known_recipe(config.training.model).monitor if config.metric is None else f"validation/{config.metric}"


def is_finished(folder: str, result: str) -> bool:
    """Returns whether a folder has its result and no checkpoints left; if so, prints where the result is."""
    finished = (Path(folder) / result).exists() and not (Path(folder) / "checkpoints").exists()
    if finished:
        print(f"{folder} is finished; the result is in {Path(folder) / result}")
    return finished


def _parse(config_class, args, command, default):
    settings = plain(fields_of(config_class)["training"])
    default = config_class(training=settings(**{**_common(default), "validation": "none", "patience": None}))
    return parse(config_class, args, command=command, default=default)


def _common(default: Training) -> dict:
    """Returns the flags that all recipes have; own flags of a recipe keep their defaults in populations."""
    return {name: getattr(default, name) for name in fields_of(Training)}
