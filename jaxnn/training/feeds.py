"""A feed gives the batches of a run, from a split on the device or from a stream; the loop treats both alike."""

from typing import Any

import numpy as np

from jaxnn.training.batching import check_batch_size
from jaxnn.training.checked_arguments import as_constants
from jaxnn.training.compilation import call, prepare
from jaxnn.training.data_streams import Stream, check_likeness
from jaxnn.training.engine import Resident, choose_fusion, compile_batches, compile_steps, run_batches, run_steps


class ResidentFeed:
    """Feeds batches of a split on the device, in an order that is drawn anew for each epoch.

    Args:
      data: the split, on the devices of the placement.
      examples: number of examples of all processes.
      fused: whether steps are compiled together; None: `choose_fusion` decides.
    """

    def __init__(self, data: Resident, *, examples: int, batch_size: int, fused: bool | None, placement):
        check_batch_size(batch_size, examples)
        _check_shards(batch_size, placement.batch_shards)
        self.data, self.examples, self.batch_size, self.fused = data, examples, batch_size, fused
        self.placement, self.steps_per_epoch = placement, -(-examples // batch_size)
        self.shuffle = placement.epoch_order(examples, batch_size)

    def compile(self, step, like, epoch: int, first: int) -> list:
        """Starts to compile the programs of `begin` and `run`, for a state like this; returns a list of futures."""
        order = self.placement.put(np.zeros((self.steps_per_epoch, self.batch_size), np.int32))
        shuffle = prepare(self.shuffle, like.key, np.int32(0))
        if self.fused is None:
            self.fused = choose_fusion(step, like, self.data, order, self.placement)
        return [shuffle, compile_steps(step, like, self.data, order, fused=self.fused, placement=self.placement)]

    def begin(self, state, epoch: int, first: int) -> None:
        """Draws the order of an epoch."""
        self.order = self.placement.put(call(self.shuffle, state.key, np.int32(epoch)))

    def run(self, step, state, first: int, last: int):
        """Starts some steps of the epoch: `(state, metrics)`."""
        own = {"first": first, "last": last, "fused": self.fused, "placement": self.placement}
        return run_steps(step, state, self.data, self.order, **own)

    def seen(self, first: int, last: int) -> int:
        """Returns the number of examples in steps `first` to `last`, without the padding of the last step."""
        return min(last * self.batch_size, self.examples) - first * self.batch_size

    def place_of(self, state) -> tuple[int, int]:
        """Returns the epoch of a state and the step within the epoch.

        Raises:
          ValueError: the state is within an epoch of batches of another size.
        """
        if not hasattr(state, "examples"):
            return divmod(int(state.step), self.steps_per_epoch)
        epoch, rest = divmod(int(state.examples), self.examples)
        if rest % self.batch_size:
            raise ValueError(
                f"`state` must stand at the end of an epoch of {self.examples} examples, or after whole batches of "
                f"{self.batch_size}; received one that has seen {rest} examples of its epoch. Go on with the "
                "`batch_size` and the data that it was trained with."
            )
        return epoch, rest // self.batch_size


class StreamFeed:
    """Feeds batches of a `Stream`; the next batch is put on the devices while a step is running."""

    fused = False

    def __init__(self, stream: Stream, constants: dict[str, Any], *, placement):
        _check_shards(stream.batch_size, placement.batch_shards)
        self.stream, self.constants, self.placement = stream, constants, placement
        self.batch_size, self.steps_per_epoch = stream.batch_size, stream.steps_per_epoch
        self.first_batch = self.opened = None

    def compile(self, step, like, epoch: int, first: int) -> list:
        """Starts to compile, as `ResidentFeed.compile`; opens the stream at this step, to see the first batch."""
        self.begin(like, epoch, first)
        as_constants(self.constants, self.next_batch)
        return [compile_batches(step, like, self.next_batch, self.constants, placement=self.placement)]

    def begin(self, state, epoch: int, first: int) -> None:
        """Opens the stream at a step of an epoch, unless it was opened there already."""
        if self.opened != (epoch, first):
            self.opened, self.batches = (epoch, first), self._placed(epoch, first)
            self.next_batch = next(self.batches)

    def run(self, step, state, first: int, last: int):
        """Starts some steps of the epoch: `(state, metrics)`."""
        return run_batches(step, state, self._taken(last - first), self.constants, placement=self.placement)

    def seen(self, first: int, last: int) -> int:
        """Returns the number of examples in steps `first` to `last`, padding included."""
        return (last - first) * self.batch_size

    def place_of(self, state) -> tuple[int, int]:
        """Returns the epoch of a state and the step within the epoch."""
        return divmod(int(state.step), self.steps_per_epoch)

    def _placed(self, epoch, first):
        for step, batch in enumerate(self.stream.epoch(epoch, first), start=first):
            self.first_batch = batch if self.first_batch is None else self.first_batch
            check_likeness(batch, self.first_batch, f"step {step} of epoch {epoch}")
            yield self.placement.put_batch(batch)

    def _taken(self, count: int):
        for _ in range(count):
            yield self.next_batch
            self.next_batch = next(self.batches, None)  # after the step was dispatched, while it is computed


def _check_shards(batch_size, shards) -> None:
    if batch_size % shards:
        raise ValueError(
            f"`batch_size` must be a multiple of the {shards} devices among which a batch is divided; received "
            f"{batch_size}. Take {max(1, batch_size // shards) * shards}."
        )
