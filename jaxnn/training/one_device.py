"""Where a run computes: the contract that `fit` asks of a placement, kept by the simplest one."""

from collections.abc import Callable
from dataclasses import dataclass


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

    def put(self, tree):
        """Arrays, where every device finds them."""
        return tree


ONE_DEVICE = OneDevice()
