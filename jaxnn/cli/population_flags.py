"""The flags that commands of many trainings share, and how they are read. Imports no jax."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.configurations import (
    RECIPES,
    Count,
    Devices,
    Placement,
    Processes,
    Staleness,
    Strategy,
    Training,
    check_runnable,
    recipe,
)
from jaxnn.cli.field_rules import Between, fields_of, plain
from jaxnn.cli.main import parse
from jaxnn.cli.work_limits import MOST_TRAININGS

Trainings = Annotated[int, Between(1, MOST_TRAININGS)]


@dataclass(frozen=True)
class Settings(Training):
    """As for `jaxnn train`: what every member has that is not varied."""

    out: tyro.conf.Suppress[str | None] = None
    placement: tyro.conf.Suppress[Placement | None] = None
    devices: tyro.conf.Suppress[Devices | None] = None
    strategy: tyro.conf.Suppress[Strategy] = "synchronous"
    workers: tyro.conf.Suppress[Processes] = 2
    servers: tyro.conf.Suppress[Processes] = 1
    staleness: tyro.conf.Suppress[Staleness | None] = None
    address: tyro.conf.Suppress[str | None] = None
    keep: tyro.conf.Suppress[Count] = 3
    tensorboard: tyro.conf.Suppress[bool] = True
    pictures: tyro.conf.Suppress[bool] = True


@dataclass(frozen=True)
class SettingsWithoutTest(Settings):
    """As for `jaxnn train`: what every member has that is not varied. The test data are not looked at."""

    test_examples: tyro.conf.Suppress[Count | None] = None


def parse_with_recipe(config_class, args, *, command: str):
    """The command's configuration, the model's recipe being the defaults of its `training`, checked.

    Raises:
      ValueError: a flag that is none, a value out of range.
    """
    model = next((arg for arg in args if not arg.startswith("-")), "mlp")
    config = _parse(config_class, args, command, RECIPES.get(model, RECIPES["mlp"]))
    if config.training.model != model:  # it stood behind a flag's value
        config = _parse(config_class, args, command, recipe(config.training.model))
    check_runnable(config.training)
    return config


def is_finished(folder: str, result: str) -> bool:
    """Says so of a folder that holds its result, and nothing to go on with."""
    finished = (Path(folder) / result).exists() and not (Path(folder) / "checkpoints").exists()
    if finished:
        print(f"{folder} is finished; the result is in {Path(folder) / result}")
    return finished


def _parse(config_class, args, command, default):
    settings = plain(fields_of(config_class)["training"])
    default = config_class(training=settings(**vars(default)))
    return parse(config_class, args, command=command, default=default)
