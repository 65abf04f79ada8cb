"""Training data that does not lie on the device: batches that come one after another, from a loader or a generator."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np


@dataclass(frozen=True)
class Stream:
    """A source of batches, whose position is a function of (epoch, step), so that a run resumes exactly.

    Args:
      batches: `batches(epoch, first_step) -> iterable` of dicts of arrays of one shape, from that step of the epoch on:
        a generator function, or a method of a loader. A field "mask", (batch,) of booleans, is False at padding;
        without one every example counts.
      steps_per_epoch: how many batches an epoch has.
      batch_size: examples in a batch.
    """

    batches: Callable[[int, int], Iterable[dict[str, Any]]]
    steps_per_epoch: int
    batch_size: int

    def __post_init__(self):
        if self.steps_per_epoch < 1 or self.batch_size < 1:
            raise ValueError(
                "`steps_per_epoch` and `batch_size` must be at least 1; received "
                f"{self.steps_per_epoch} and {self.batch_size}."
            )

    def epoch(self, epoch: int, first: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of an epoch from step `first` on, checked as they come.

        Raises:
          ValueError: the source ends early, or gives a batch of other fields, shapes or dtypes than its first.
          RuntimeError: the source raised; its error is the cause.
        """
        source, like = iter(()), None
        for step in range(first, self.steps_per_epoch):
            where = f"step {step} of epoch {epoch + 1}"
            try:
                source = iter(self.batches(epoch, first)) if step == first else source
                batch = next(source, None)
            except Exception as error:
                raise RuntimeError(
                    f"the source of batches raised {type(error).__name__} at {where}: {error}"
                ) from error
            if batch is None:
                raise ValueError(
                    f"the source of batches ended before {where}; expected {self.steps_per_epoch} batches an epoch."
                )
            batch = self._padded(batch, where)
            like = _checked(batch, like, where)
            yield batch

    def first_batch(self) -> dict[str, np.ndarray]:
        """One batch, to learn shapes from."""
        return next(self.epoch(0, 0))

    def _padded(self, batch, where):
        """The batch in NumPy or JAX arrays, with a mask."""
        arrays = {name: x if isinstance(x, jax.Array) else np.asarray(x) for name, x in dict(batch).items()}
        lengths = {name: np.shape(array)[:1] for name, array in arrays.items()}
        if set(lengths.values()) != {(self.batch_size,)}:
            shapes = {name: np.shape(array) for name, array in arrays.items()}
            raise ValueError(
                f"the source of batches must give arrays of {self.batch_size} rows, as `batch_size` says; received "
                f"{shapes} at {where}. Pad the last batch and give a mask."
            )
        return {"mask": np.ones(self.batch_size, bool)} | arrays


def _checked(batch, like, where):
    """The shapes and dtypes of the first batch, which every other must have."""
    shapes = {name: (np.shape(array), np.dtype(array.dtype)) for name, array in batch.items()}
    for name in sorted({*shapes, *(like or shapes)}):
        if like is not None and shapes.get(name) != like.get(name):
            raise ValueError(
                f"the source of batches must give one shape and dtype for {name!r}; received {_told(shapes.get(name))} "
                f"at {where} after {_told(like.get(name))}. Every other shape would compile the step anew."
            )
    return shapes


def _told(spec):
    return "nothing" if spec is None else f"{spec[1]}{list(spec[0])}"
