"""Where a run computes: the contract that `fit` asks of a placement, kept by the simplest one."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxnn.training.batching import Shuffle

AXIS = "data"  # of the mapped devices among which a batch is divided


@dataclass(frozen=True)
class OneDevice:
    """Everything where JAX puts it by itself. `jaxnn.parallel` has others, on many devices, with the same methods."""

    @property
    def parts(self) -> int:
        """Into how many a batch is divided; must divide its size."""
        return 1

    def step(self, step):
        """The `TrainStep` that a device runs."""
        return step

    def over(self, function: Callable, *, sums: bool = False) -> Callable:
        """`function`, whose fourth argument is an order (steps, batch), over the devices; a value if it is one.

        `sums`: the result of each device is of its rows alone, and what is wanted is the sum.
        """
        return function

    def made(self, init: Callable) -> Callable:
        """`init`, which makes a state, with what is needed so that no device ever holds more of it than `put` gives."""
        return init

    def put(self, tree):
        """Arrays, where every device finds them."""
        return tree

    def put_rows(self, data):
        """The training data; as `put`, unless each process has rows of its own."""
        return self.put(data)

    def total(self, examples: int) -> int:
        """The training examples in all, where this process was given so many."""
        return examples

    def shuffle(self, examples: int, batch_size: int) -> Callable:
        """`shuffle(key, epoch)`: the order of an epoch."""
        return Shuffle(examples, batch_size)

    def whole(self, tree):
        """The arrays of a state, each whole in this process, for files and pictures; all processes ask together."""
        return tree

    def agreed(self, *numbers: float) -> tuple[float, ...]:
        """The largest of each number over all processes, so that what depends on them happens alike in each."""
        return numbers


ONE_DEVICE = OneDevice()
