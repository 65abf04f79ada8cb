"""A placement decides where a run computes; `OneDevice` is the simplest one and shows the methods of all."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from jaxnn.training.batching import shuffled_order
from jaxnn.training.compilation import bind

AXIS = "data"  # name of the axis of mapped devices among which a batch is divided

# The role of an argument of a distributed function decides how its arrays are placed on the devices:
STATE = "state"  # placed by `put`: parameters and all else that is carried from step to step
WHOLE = "whole"  # the same on every device
DATA = "data"  # training examples, as `put_rows` places them
ORDER = "order"  # (steps, batch) rows of indices, whose columns are divided among the devices
BATCH = "batch"  # arrays of a batch, whose first axis is divided


def over_axis(step, axis_name: str | None):
    """Returns the step of a device that has a part of the batch and sums over the axis; without an axis, the same step.

    Raises:
      ValueError: a step without `axis_name`, which would update each device by its own part of the batch.
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
    """Leaves everything where JAX puts it.

    `jaxnn.parallel` has placements on many devices, with the same methods.
    """

    @property
    def batch_shards(self) -> int:
        """Returns the number of parts into which a batch is divided; it must divide the batch size."""
        return 1

    @property
    def axis_name(self) -> str | None:
        """Returns the axis of mapped devices, each with a part of a batch; None if a function sees the whole batch."""
        return None

    def local_step(self, step):
        """Returns the step that a device runs."""
        return step

    def distribute(self, function: Callable, roles: tuple[str, ...], *, sums: bool = False) -> Callable:
        """Returns `function` over the devices; results for equal functions are equal, and share a compiled program.

        Args:
          function: a function with as many arguments as `roles`.
          roles: the role of each argument: STATE, WHOLE, DATA, ORDER or BATCH.
          sums: whether the result of a device is of its part alone, so that the sum over the devices is needed.
        """
        return function

    def distribute_init(self, init: Callable) -> Callable:
        """Returns `init`, which makes a state, so that no device ever holds more of the state than `put` gives it."""
        return init

    def put(self, tree):
        """Puts arrays where every device finds them."""
        return tree

    def put_rows(self, data):
        """Puts the training data; as `put`, unless each process has rows of its own."""
        return self.put(data)

    def put_batch(self, batch):
        """Puts the arrays of a batch, each device's part on the device."""
        return self.put(batch)

    def global_examples(self, examples: int) -> int:
        """Returns the number of training examples of all processes, from the number of this process."""
        return examples

    def epoch_order(self, examples: int, batch_size: int) -> Callable:
        """Returns the function `(key, epoch) -> order` that draws the order of an epoch."""
        return bind(shuffled_order, examples, batch_size)

    def gather(self, tree):
        """Returns the whole arrays of a state, for files and pictures; all processes must call it together."""
        return tree

    def max_over_processes(self, *numbers: float) -> tuple[float, ...]:
        """Returns the largest of each number over all processes, so that all processes decide alike."""
        return numbers


ONE_DEVICE = OneDevice()
