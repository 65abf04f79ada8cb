"""Functions that read `--over NAME=VALUES`: the varied hyperparameters and their values. Imports no jax."""

import dataclasses
import math
import shlex
from typing import Any, NamedTuple

from jaxnn.cli.field_rules import without_effect
from jaxnn.cli.training_flags import Training, check_runnable
from jaxnn.naming import shown, unknown
from jaxnn.recipes.named_recipes import known_recipe

FLOATS = (
    "learning_rate", "momentum", "b1", "b2", "eps", "weight_decay", "decay_rate", "label_smoothing", "dropout_rate"
)  # fmt: skip
NAMES = (*FLOATS, "batch_size", "hidden", "optimizer", "schedule")
NOT_IN_A_TRAINING = ("model", "out", "keep", "tensorboard", "pictures", "test_examples")


class OverRange(NamedTuple):
    """Describes all numbers from `low` to `high`, uniformly, or uniformly in their logarithms."""

    low: float
    high: float
    is_log: bool

    def points(self, count: int) -> list[float]:
        """Returns `count` evenly spaced points, including both ends.

        >>> OverRange(0.01, 1.0, True).points(3)
        [0.01, 0.1, 1.0]
        """
        shares = [i / (count - 1) for i in range(count)]
        if not self.is_log:
            return [self.low + share * (self.high - self.low) for share in shares]
        between = [math.exp(math.log(self.low) + s * math.log(self.high / self.low)) for s in shares[1:-1]]
        return [self.low, *(float(f"{value:.12g}") for value in between), self.high]


def parse_over(texts, config: Training) -> dict[str, OverRange | tuple]:
    """Parses the texts of `--over` into name -> `OverRange` or tuple of values, and checks every value.

    Raises:
      ValueError: no hyperparameter is varied, a name is unknown or given twice, or a value is not allowed.

    >>> parse_over(["learning_rate=log:1e-4:1e-1", "hidden=32,256x128"], Training("mlp"))
    {'learning_rate': OverRange(low=0.0001, high=0.1, is_log=True), 'hidden': ((32,), (256, 128))}
    """
    over = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not values:
            raise ValueError(f"--over must be NAME=VALUES, as in learning_rate=log:1e-4:1e-1; received {shown(text)}.")
        if name not in NAMES:
            raise unknown("hyperparameter", name, NAMES)
        if name in over:
            raise ValueError(f"--over must name a hyperparameter once; received {name} twice. Join its values: a,b,c.")
        over[name] = _parse_range(name, values) if ":" in values else _parse_choices(name, values)
        for value in over[name][:2] if isinstance(over[name], OverRange) else over[name]:
            _check_value(config, name, value)
    if not over:
        raise ValueError(
            "--over must name a hyperparameter at least; received none. Say --over learning_rate=log:1e-4:1e-1"
        )
    return over


def grid_values(over: dict, *, trials: int) -> dict[str, list]:
    """Returns the values of a grid: lists unchanged, and each range in as many points as `trials` settings allow.

    Raises:
      ValueError: two points of each range already make more than `trials` settings.

    >>> grid_values({"b1": (0.8, 0.9), "b2": OverRange(0.0, 1.0, False)}, trials=7)
    {'b1': [0.8, 0.9], 'b2': [0.0, 0.5, 1.0]}
    """
    ranges = [name for name, values in over.items() if isinstance(values, OverRange)]
    listed = math.prod(len(values) for values in over.values() if not isinstance(values, OverRange))
    count = next(n for n in range(1, trials + 2) if listed * (n + 1) ** max(1, len(ranges)) > trials)
    if ranges and count < 2:
        least = listed * 2 ** len(ranges)
        raise ValueError(f"this grid has {least} settings at least; received --trials {trials}. Say --trials {least}.")
    return {name: values.points(count) if name in ranges else list(values) for name, values in over.items()}


def told(setting: dict[str, Any], *, digits: int = 4) -> dict[str, str]:
    """Returns the values as text in the form that `--over` takes.

    >>> told({"learning_rate": 0.0123456, "hidden": (256, 128)})
    {'learning_rate': '0.01235', 'hidden': '256x128'}
    """
    return {name: _told(value, digits) for name, value in setting.items()}


def train_command(config: Training, setting: dict[str, Any]) -> str:
    """Returns the command that trains with the setting, and other flags that have an effect and are not the default."""
    config = dataclasses.replace(config, **setting)
    default, words = known_recipe(config.model).defaults, ["jaxnn", "train", config.model]
    not_told = {*NOT_IN_A_TRAINING, *without_effect(config)}
    for field in dataclasses.fields(Training):
        value = getattr(config, field.name)
        if field.name not in not_told and (value != getattr(default, field.name) or field.name in setting):
            words += _flag(field.name.replace("_", "-"), value)
    return shlex.join(words)


def _flag(name, value):
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]


def _told(value, digits):
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _parse_range(name, text):
    kind, *ends = text.split(":") if text.startswith("log:") else ["", *text.split(":")]
    if name not in FLOATS:
        raise ValueError(f"--over {name} must be a list of values, as in 32,128; received {shown(text)}.")
    if len(ends) != 2:
        raise ValueError(f"--over {name}: a range is log:LOW:HIGH or LOW:HIGH; received {shown(text)}.")
    low, high = (_number(name, end) for end in ends)
    if not low < high or (kind and low <= 0):
        least = "0 < LOW < HIGH" if kind else "LOW < HIGH"
        raise ValueError(f"--over {name}: a range needs {least}; received {shown(text)}.")
    return OverRange(low, high, bool(kind))


def _parse_choices(name, text):
    values = tuple(_parse_value(name, word.strip()) for word in text.split(","))
    if len(set(values)) < len(values):
        raise ValueError(f"--over {name}: every value must stand there once; received {shown(text)}.")
    return values


def _parse_value(name, word):
    if name in FLOATS:
        return _number(name, word)
    if name in ("optimizer", "schedule"):
        return word
    widths = word.split("x") if name == "hidden" else [word]
    if not all(width.isdecimal() for width in widths):
        example = "widths such as 128 or 256x128" if name == "hidden" else "integers"
        raise ValueError(f"--over {name}: values must be {example}; received {word!r}.")
    return tuple(map(int, widths)) if name == "hidden" else int(word)


def _number(name, word):
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"--over {name}: values must be numbers; received {word!r}.") from None


def _check_value(config, name, value):
    try:
        check_runnable(dataclasses.replace(config, **{name: value}))
    except ValueError as error:
        raise ValueError(f"--over {name}: {error}") from None
