"""The flags that commands of many trainings share, and how they are read. Imports no jax."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxnn.cli.configurations import RECIPES, Training, check, recipe
from jaxnn.cli.main import parse


@dataclass(frozen=True)
class Settings(Training):
    """As for `jaxnn train`: what every member has that is not varied."""

    out: tyro.conf.Suppress[str | None] = None
    placement: tyro.conf.Suppress[str | None] = None
    devices: tyro.conf.Suppress[int | None] = None
    strategy: tyro.conf.Suppress[str] = "synchronous"
    workers: tyro.conf.Suppress[int] = 2
    servers: tyro.conf.Suppress[int] = 1
    staleness: tyro.conf.Suppress[int | None] = None
    address: tyro.conf.Suppress[str | None] = None
    keep: tyro.conf.Suppress[int] = 3
    tensorboard: tyro.conf.Suppress[bool] = True
    pictures: tyro.conf.Suppress[bool] = True


@dataclass(frozen=True)
class SettingsWithoutTest(Settings):
    """As for `jaxnn train`: what every member has that is not varied. The test data are not looked at."""

    test_examples: tyro.conf.Suppress[int | None] = None


def parse_with_recipe(config_class, args, *, command: str):
    """The command's configuration, the model's recipe being the defaults of its `training`, checked.

    Raises:
      ValueError: a flag that is none, a value out of range.
    """
    model = next((arg for arg in args if not arg.startswith("-")), "mlp")
    config = _parse(config_class, args, command, RECIPES.get(model, RECIPES["mlp"]))
    if config.training.model != model:  # it stood behind a flag's value
        config = _parse(config_class, args, command, recipe(config.training.model))
    check(config.training)
    return config


def check_count(name: str, value: int, *, least: int = 1) -> None:
    """Raises ValueError for a flag's number that is too small."""
    if value < least:
        raise ValueError(f"--{name} must be an integer of at least {least}; received {value}.")


def is_finished(folder: str, result: str) -> bool:
    """Says so of a folder that holds its result, and nothing to go on with."""
    finished = (Path(folder) / result).exists() and not (Path(folder) / "checkpoints").exists()
    if finished:
        print(f"{folder} is finished; the result is in {Path(folder) / result}")
    return finished


def _parse(config_class, args, command, default):
    settings = {field.name: field.type for field in dataclasses.fields(config_class)}["training"].__origin__
    default = config_class(training=settings(**vars(default)))
    return parse(config_class, args, command=command, default=default)
