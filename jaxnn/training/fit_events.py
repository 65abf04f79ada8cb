"""An event tells a hook about the run.

A hook is a function `hook(event) -> bool | None`; True asks the run to stop after this step.
"""

from typing import Any, NamedTuple


class Started(NamedTuple):
    """Is sent before compilation.

    step: steps already made (on resume). steps: steps in all. steps_per_epoch: steps in an epoch. batch_size: examples
    in a batch.
    """

    step: int
    steps: int
    steps_per_epoch: int
    batch_size: int


class Compiling(NamedTuple):
    """Is sent while the step is compiled in other threads, so that a hook's own work costs little time.

    `state` has the shapes of the run's state, as `ShapeDtypeStruct`s or arrays; `last` is the future of the last
    compilation.
    """

    state: Any
    last: Any


class Compiled(NamedTuple):
    """Is sent when the step is compiled; `fused` is whether steps are compiled together."""

    seconds: float
    fused: bool


class Progress(NamedTuple):
    """Is sent after some steps: `metrics` are their means, `examples` were seen in them, and they took `seconds`."""

    step: int
    epoch: int
    metrics: dict[str, float | int]
    examples: int
    seconds: float


class Evaluated(NamedTuple):
    """Is sent after an epoch, with "train/..." means over the epoch and "validation/..." means of the evaluation.

    `metrics` holds these means. `state` is donated to the next step right after the hooks return: keep
    `copy_state(state)` instead.
    """

    step: int
    epoch: int
    metrics: dict[str, float | int]
    state: Any


class Stopped(NamedTuple):
    """Is sent when a hook or Ctrl-C ends the run within an epoch; `state` is after `step` steps.

    `totals`: name -> (sum, count) over the steps of `epoch` so far; `fit(totals=)` goes on with these.
    """

    step: int
    epoch: int
    state: Any
    totals: dict[str, tuple[float, float]]


Event = Started | Compiling | Compiled | Progress | Evaluated | Stopped


class DivergenceError(ValueError):
    """Is raised when a loss is no longer finite."""
