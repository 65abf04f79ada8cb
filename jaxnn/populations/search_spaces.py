"""`Range` and `Choice` are distributions of hyperparameters; `random_settings` draws settings from them.

Random points are better than a grid: n trials try each hyperparameter at n values, however many of the other
hyperparameters turn out not to matter (Bergstra and Bengio 2012, JMLR 13).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Range:
    """Describes floats from `low` to `high`, uniform on a linear or logarithmic line; see `uniform`, `log_uniform`.

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
        """Draws one value."""
        return self.clip(self._value(rng.uniform(*self.ends)))

    def clip(self, value: float) -> float:
        """Returns the nearest value in the range."""
        return float(min(max(value, self.low), self.high))

    @property
    def ends(self) -> tuple[float, float]:
        """Returns the positions of `low` and `high` on the line."""
        return self.position(self.low), self.position(self.high)

    def position(self, value: float) -> float:
        """Returns the position of a value on the line."""
        return math.log10(value) if self.log else float(value)

    def around(self, value: float, half_width: float) -> "Range":
        """Returns the part of the range that is at most `half_width` away from `value` on the line."""
        middle = self.position(value)
        low, high = (self.clip(self._value(middle + side * half_width)) for side in (-1, 1))
        return Range(low, high, self.log)

    def _value(self, position):
        return 10**position if self.log else position


@dataclass(frozen=True)
class Choice:
    """Describes a choice among values that are equally likely; see `choice`."""

    values: tuple[Any, ...]

    def __post_init__(self):
        if not self.values:
            raise ValueError("`choice` must have one value at least; received none.")

    def sample(self, rng: np.random.Generator):
        """Draws one value."""
        return self.values[rng.integers(len(self.values))]

    def clip(self, value):
        """Returns the value, or, among numbers, the nearest of the values that can be chosen.

        Raises:
          ValueError: a value that cannot be chosen, if it or one of the choices is not a number.
        """
        if value in self.values:
            return value
        if not all(isinstance(v, int | float) for v in (value, *self.values)):
            raise ValueError(f"the value must be one of {list(self.values)}; received {value!r}.")
        return min(self.values, key=lambda v: abs(v - value))


def uniform(low: float, high: float) -> Range:
    """Makes a `Range` of floats uniform in [low, high], for values that may be zero, such as a dropout rate.

    Raises:
      ValueError: low >= high, or one of them not finite.

    >>> uniform(0, 0.5).clip(0.7)
    0.5
    """
    return Range(low, high)


def log_uniform(low: float, high: float) -> Range:
    """Makes a `Range` of floats whose logarithm is uniform, for factors such as a learning rate or a weight decay.

    The density of x is 1 / (x ln(high / low)): each factor of ten is as likely as the next.

    Raises:
      ValueError: low >= high, or low <= 0.

    >>> draws = [log_uniform(1e-4, 1).sample(np.random.default_rng(seed)) for seed in range(1000)]
    >>> round(float(np.mean(np.array(draws) < 1e-2)), 1)
    0.5
    """
    return Range(low, high, log=True)


def choice(*values) -> Choice:
    """Makes a `Choice` among equally likely values.

    Values that are not floats are static: each is a program of its own.


    Raises:
      ValueError: no values.

    >>> choice(32, 64).clip(60)
    64
    """
    return Choice(values)


def random_settings(count: int, *, seed: int | Sequence[int] = 0, **distributions) -> list[dict[str, Any]]:
    """Draws `count` settings, each hyperparameter independently; a larger `count` begins with the same settings.

    Args:
      count: number of settings.
      seed: seed of the draws.
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
    """Returns whether `given` is a distribution; if not, it is a fixed value."""
    return isinstance(given, Range | Choice)
