"""Where a run computes: the contract that a training loop asks of a placement, kept by the simplest one."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from jaxnn.training.batching import Shuffle

AXIS = "data"  # of the mapped devices among which a batch is divided

# What an argument of a distributed function is, and so how its arrays lie on the devices:
STATE = "state"  # what `put` places: parameters and all that is carried from step to step
WHOLE = "whole"  # the same on every device
DATA = "data"  # training examples, as `put_rows` places them
ORDER = "order"  # (steps, batch) rows of indices, whose columns are divided among the devices
BATCH = "batch"  # arrays of a batch, whose first axis is divided


def over_axis(step, axis_name: str | None):
    """The step of a device that has a part of the batch, which sums over the axis; the step itself without one.

    Raises:
      ValueError: a step that knows no axis, and would update each device by its own part of the batch.
    """
    if axis_name is None:
        return step
    if not dataclasses.is_dataclass(step) or "axis_name" not in {field.name for field in dataclasses.fields(step)}:
        raise ValueError(
            "`step` must be a dataclass with a field `axis_name` where each device sees a part of the batch; "
            f"received {step!r}. Sum its gradient over that axis, or take the placement `automatic`."
        )
    return dataclasses.replace(step, axis_name=axis_name)


@dataclass(frozen=True)
class OneDevice:
    """Everything where JAX puts it by itself. `jaxnn.parallel` has others, on many devices, with the same methods."""

    @property
    def batch_shards(self) -> int:
        """Into how many parts a batch is divided; their number must divide its size."""
        return 1

    @property
    def axis_name(self) -> str | None:
        """Of the devices on which a function is mapped, each with its part of a batch; None where it sees the whole."""
        return None

    def local_step(self, step):
        """The step that a device runs."""
        return step

    def distribute(self, function: Callable, roles: tuple[str, ...], *, sums: bool = False) -> Callable:
        """`function` over the devices; a value if it is one.

        Args:
          function: of as many arguments as `roles`.
          roles: what each argument is: STATE, WHOLE, DATA, ORDER or BATCH.
          sums: the result of a device is of its part alone, and what is wanted is the sum over the devices.
        """
        return function

    def distribute_init(self, init: Callable) -> Callable:
        """`init`, which makes a state, with what is needed so that no device ever holds more of it than `put` gives."""
        return init

    def put(self, tree):
        """Arrays, where every device finds them."""
        return tree

    def put_rows(self, data):
        """The training data; as `put`, unless each process has rows of its own."""
        return self.put(data)

    def put_batch(self, batch):
        """The arrays of a batch, each device's part on the device."""
        return self.put(batch)

    def global_examples(self, examples: int) -> int:
        """The training examples in all, where this process was given so many."""
        return examples

    def epoch_order(self, examples: int, batch_size: int) -> Callable:
        """`epoch_order(...)(key, epoch)`: the order of an epoch."""
        return Shuffle(examples, batch_size)

    def gather(self, tree):
        """The arrays of a state, each whole in this process, for files and pictures; all processes ask together."""
        return tree

    def max_over_processes(self, *numbers: float) -> tuple[float, ...]:
        """The largest of each number over all processes, so that what depends on them happens alike in each."""
        return numbers


ONE_DEVICE = OneDevice()
