"""What a hook is told. A hook is a function `hook(event) -> bool | None`; True asks the run to stop after this step."""

from typing import Any, NamedTuple


class Started(NamedTuple):
    """Before compilation: steps already made (on resume), steps in all and in an epoch, examples in a batch."""

    step: int
    steps: int
    steps_per_epoch: int
    batch_size: int


class Compiling(NamedTuple):
    """The step is being compiled in other threads: what this thread does meanwhile costs little time.

    `state` is like the run's, in `ShapeDtypeStruct`s or arrays; `last` is the future of what is compiled last.
    """

    state: Any
    last: Any


class Compiled(NamedTuple):
    """The step is compiled; `fused` tells whether steps are compiled together."""

    seconds: float
    fused: bool


class Progress(NamedTuple):
    """Steps were made: `metrics` are means over them, `examples` were seen in them, `seconds` is the time they took."""

    step: int
    epoch: int
    metrics: dict[str, float | int]
    examples: int
    seconds: float


class Evaluated(NamedTuple):
    """An epoch ended. `metrics` holds "train/..." means over the epoch and "validation/..." of the evaluation.

    `state` is given to the next step right after the hooks return, and its memory with it: keep `copy_state(state)`.
    """

    step: int
    epoch: int
    metrics: dict[str, float | int]
    state: Any


class Stopped(NamedTuple):
    """A hook asked to stop; `state` is after `step` steps, in the middle of `epoch`.

    `totals`: name -> (sum, count) of the epoch's steps so far; `fit(totals=)` goes on with them.
    """

    step: int
    epoch: int
    state: Any
    totals: dict[str, tuple[float, float]]


Event = Started | Compiling | Compiled | Progress | Evaluated | Stopped


class DivergenceError(ValueError):
    """The loss is no longer finite."""
