"""An axis shows one hyperparameter: numbers on a linear or logarithmic scale, or names."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnn.plots.score_scales import distinct, is_log, value_told

FEW = 6  # up to this number of values, all are written


class HyperparameterAxis:
    """Maps the values of a hyperparameter to numbers on an axis.

    The axis is logarithmic if the values span more than a decade (see `is_log`), else linear. Values that are not
    numbers are placed by their rank.

    Args:
      name: the name of the hyperparameter.
      values: one value for each setting.
      is_linear: True means that the axis is never logarithmic.

    >>> axis = HyperparameterAxis("learning_rate", [0.001, 0.01, 0.1])
    >>> axis.heights.round(3).tolist()
    [0.0, 0.5, 1.0]
    """

    def __init__(self, name: str, values: Sequence[Any], *, is_linear: bool = False):
        self.name, self.values = name, distinct(values)
        self.is_named = not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        self.numbers = np.asarray([self.values.index(v) for v in values] if self.is_named else values, float)
        self.is_log = not self.is_named and not is_linear and is_log(self.numbers)

    @property
    def heights(self) -> np.ndarray:
        """Returns the values, scaled to [0, 1]."""
        return self._height(self.numbers)

    def ticks(self) -> list[tuple[float, Any]]:
        """Returns heights and values to write: all values if there are few, else some round ones."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        if self.is_named or len(self.values) <= FEW:
            at = range(len(self.values)) if self.is_named else self.values
            return [(float(self._height(x)), value) for x, value in zip(at, self.values, strict=True)]
        low, high = np.nanmin(self.numbers), np.nanmax(self.numbers)
        locator = LogLocator(subs=(1, 3) if high < 1000 * low else (1,)) if self.is_log else MaxNLocator(5)
        inside = [float(f"{value:.6g}") for value in locator.tick_values(low, high) if low <= value <= high]
        return [(float(self._height(value)), value) for value in inside]

    def put_on(self, drawn) -> None:
        """Sets the scale and the ticks of a matplotlib axis."""
        if self.is_named:
            drawn.set_ticks(range(len(self.values)), [value_told(value) for value in self.values])
            return
        if self.is_log:
            drawn.axes.set(**{f"{drawn.axis_name}scale": "log"})
        if len(self.values) <= FEW:
            mark_values(drawn, self.values)

    def _height(self, x):
        scaled = np.log if self.is_log else np.asarray
        low, high = (scaled(float(end)) for end in (np.nanmin(self.numbers), np.nanmax(self.numbers)))
        return (scaled(np.asarray(x, float)) - low) / (high - low) if high > low else np.full(np.shape(x), 0.5)


def mark_values(drawn, values) -> None:
    """Sets ticks at these values only, in plain numbers."""
    drawn.set_ticks(values, [value_told(value) for value in values])
    drawn.set_ticks([], minor=True)
