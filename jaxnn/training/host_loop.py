"""`StepCalls` makes the compiled calls of a run, and `Totals` adds up their metrics.

Between calls the host sizes the next call by the clock and reads the metrics of a call while the next call is running.
This is the package's only loop over steps: `fit`, `train` and populations use it.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxnn.metrics import Mean
from jaxnn.training.engine import read_metrics

SECONDS_PER_CALL = 0.25  # a compiled call is sized to take about this long, so that progress bars and Ctrl-C respond
FIRST_CALL = 8  # steps of the first call, whose time per step is not known


class Call(NamedTuple):
    """Holds a finished call: its steps, their metrics on the host, arrays (..., steps), and its time in seconds."""

    first: int
    last: int
    metrics: dict[str, Mean]
    seconds: float


class StepCalls:
    """Makes the calls of a run: `over` runs them, and `heard` receives the outcome of each.

    Args:
      agree: a function that returns the largest of each number over all processes, because all must do the same.
    """

    def __init__(self, agree: Callable = lambda *numbers: numbers):
        self.agree, self.steps_per_call, self.stopped = agree, FIRST_CALL, False

    def over(self, dispatch: Callable[[int, int], Any], first: int, last: int) -> Iterator[Call]:
        """Runs steps `first` to `last`; yields each call when its metrics are ready, while the next call is running.

        Args:
          dispatch: `dispatch(first, last) -> metrics`, which starts these steps and does not wait for them.
        """
        pending, clock = None, time.perf_counter()
        while True:
            running = None
            if first < last and not self.stopped:
                until = min(first + self.steps_per_call, last)
                running, first = (dispatch(first, until), first, until), until
            if pending is not None:
                metrics, now = read_metrics(*pending), time.perf_counter()
                yield Call(*pending[1:], metrics, now - clock)
                clock = now
            if running is None:
                return
            pending = running

    def heard(self, call: Call, *, stop: bool) -> None:
        """Sizes the next calls by the clock; no further calls are made if any process wants to `stop`."""
        asked, seconds = self.agree(float(stop), call.seconds)
        self.stopped = self.stopped or bool(asked)
        self.steps_per_call = resized(self.steps_per_call, seconds / (call.last - call.first), SECONDS_PER_CALL)


class Totals:
    """Adds up sums and counts of an epoch, in float64, step by step.

    The totals do not depend on how the steps were divided into calls.

    Args:
      so_far: name -> (sum, count) over earlier steps of the epoch.
    """

    def __init__(self, so_far=None):
        self.pairs = {name: tuple(map(_wide, pair)) for name, pair in (so_far or {}).items()}

    def add(self, metrics: dict[str, Mean]) -> None:
        """Adds the metrics of some steps, arrays (..., steps)."""
        for name, pair in metrics.items():
            before = self.pairs.get(name, (np.float64(0), np.float64(0)))
            self.pairs[name] = tuple(_accumulated(old, new) for old, new in zip(before, pair, strict=True))

    def means(self) -> dict[str, Any]:
        """Returns name -> mean; NaN where nothing was counted."""
        return means_of_pairs(self.pairs)


def means_of_pairs(pairs) -> dict[str, Any]:
    """Divides sums by counts; NaN where nothing was counted.

    >>> means_of_pairs({"loss": (3.0, 2.0)})
    {'loss': 1.5}
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: np.divide(_wide(total), _wide(count)) for name, (total, count) in pairs.items()}
    return {name: mean if np.ndim(mean) else float(mean) for name, mean in means.items()}


def mean_of_call(call: Call) -> dict[str, Any]:
    """Returns name -> mean over the steps of a call."""
    return means_of_pairs({name: tuple(_wide(x).sum(axis=-1) for x in pair) for name, pair in call.metrics.items()})


def resized(steps_per_call: int, seconds_per_step: float, seconds_per_call: float) -> int:
    """Returns the number of steps of the next call, so that it takes about `seconds_per_call`.

    The number at most doubles, because the time of a single call is not reliable.
    """
    wanted = round(seconds_per_call / max(seconds_per_step, 1e-7))
    return int(np.clip(wanted, 1, 2 * steps_per_call))


def _accumulated(old, new):
    """Adds the new terms to the old sum from left to right."""
    new = _wide(new)
    start = np.broadcast_to(old, new.shape[:-1])[..., None]
    return np.add.accumulate(np.concatenate([start, new], axis=-1), axis=-1)[..., -1][()]


def _wide(x):
    """Converts to float64; an array without axes becomes a number."""
    return np.asarray(x, np.float64)[()]
