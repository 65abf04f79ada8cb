"""Where hyperparameters are drawn from, and settings drawn at random.

Random points rather than a grid: of n trials each hyperparameter is then tried at n values, however many of the others
turn out not to matter (Bergstra and Bengio 2012, JMLR 13).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Range:
    """Floats from `low` to `high`, uniform on a line that is linear or logarithmic; see `uniform` and `log_uniform`.

    A position on the line is the value itself, or its logarithm to the base 10, so that widths are in decades.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self):
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"`low` must be less than `high`, both finite; received {self.low} and {self.high}. "
                "A value that is fixed needs no range: give the value."
            )
        if self.log and self.low <= 0:
            raise ValueError(f"`low` of a log range must be positive; received {self.low}. Take `uniform` to reach 0.")

    def sample(self, rng: np.random.Generator) -> float:
        """One value."""
        return self.clip(self._value(rng.uniform(*self.ends)))

    def clip(self, value: float) -> float:
        """The nearest value in the range."""
        return float(min(max(value, self.low), self.high))

    @property
    def ends(self) -> tuple[float, float]:
        """The positions of `low` and `high`."""
        return self.position(self.low), self.position(self.high)

    def position(self, value: float) -> float:
        """Of a value on the line."""
        return math.log10(value) if self.log else float(value)

    def around(self, value: float, half_width: float) -> "Range":
        """The part of the range that is at most `half_width` to either side of `value` on the line."""
        middle = self.position(value)
        low, high = (self.clip(self._value(middle + side * half_width)) for side in (-1, 1))
        return Range(low, high, self.log)

    def _value(self, position):
        return 10**position if self.log else position


@dataclass(frozen=True)
class Choice:
    """One of some values, each as likely; see `choice`."""

    values: tuple[Any, ...]

    def __post_init__(self):
        if not self.values:
            raise ValueError("`choice` must have one value at least; received none.")

    def sample(self, rng: np.random.Generator):
        """One value."""
        return self.values[rng.integers(len(self.values))]

    def clip(self, value):
        """The value, or the nearest of those that can be chosen, if they are numbers.

        Raises:
          ValueError: a value that is none of them, nor a number.
        """
        if value in self.values:
            return value
        if not all(isinstance(v, int | float) for v in (value, *self.values)):
            raise ValueError(f"the value must be one of {list(self.values)}; received {value!r}.")
        return min(self.values, key=lambda v: abs(v - value))


def uniform(low: float, high: float) -> Range:
    """Floats uniform in [low, high]: for what may be zero, as a rate of dropping.

    Raises:
      ValueError: low >= high, or one of them not finite.

    >>> uniform(0, 0.5).clip(0.7)
    0.5
    """
    return Range(low, high)


def log_uniform(low: float, high: float) -> Range:
    """Floats whose logarithm is uniform: for what acts by factors, as a learning rate or a weight decay.

    The density of x is 1 / (x ln(high / low)): each factor of ten is as likely as the next.

    Raises:
      ValueError: low >= high, or low <= 0.

    >>> draws = [log_uniform(1e-4, 1).sample(np.random.default_rng(seed)) for seed in range(1000)]
    >>> round(float(np.mean(np.array(draws) < 1e-2)), 1)
    0.5
    """
    return Range(low, high, log=True)


def choice(*values) -> Choice:
    """One of the values, each as likely. Values that are no floats are static: each is a program of its own.

    Raises:
      ValueError: no values.

    >>> choice(32, 64).clip(60)
    64
    """
    return Choice(values)


def random_settings(count: int, *, seed: int | Sequence[int] = 0, **distributions) -> list[dict[str, Any]]:
    """`count` settings, each hyperparameter drawn on its own; more settings begin with the same ones.

    Args:
      count: how many.
      seed: of the draws.
      **distributions: name -> `log_uniform`, `uniform`, `choice`; anything else is a value that all settings share.

    Raises:
      ValueError: fewer than one setting.

    >>> [sorted(setting) for setting in random_settings(2, learning_rate=log_uniform(1e-4, 1), momentum=0.9)]
    [['learning_rate', 'momentum'], ['learning_rate', 'momentum']]
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1; received {count}.")
    rng = np.random.default_rng(seed)
    draw = lambda given: given.sample(rng) if is_distribution(given) else given
    return [{name: draw(given) for name, given in distributions.items()} for _ in range(count)]


def is_distribution(given) -> bool:
    """Whether values are drawn from it; else it is a value."""
    return isinstance(given, Range | Choice)
