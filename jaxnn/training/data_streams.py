"""A `Stream` reads training data that are not on the device: batches from a loader or a generator."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxnn.training.checked_data import as_array

_END = object()


@dataclass(frozen=True)
class Stream:
    """Describes a source of batches whose position is a function of (epoch, step), so that a run resumes exactly.

    Args:
      batches: `batches(epoch, first_step) -> iterable` of dicts of arrays of one shape, from that step of the epoch on.
        Epochs and steps are counted from 0. `batches` is a generator function, or a method of a loader. A field "mask",
        (batch,) of booleans, is
        False at padding; without it every example counts.
      steps_per_epoch: number of batches in an epoch.
      batch_size: examples in a batch.
    """

    batches: Callable[[int, int], Iterable[Mapping[str, Any]]]
    steps_per_epoch: int
    batch_size: int

    def __post_init__(self):
        if self.steps_per_epoch < 1 or self.batch_size < 1:
            raise ValueError(
                "`steps_per_epoch` and `batch_size` must be at least 1; received "
                f"{self.steps_per_epoch} and {self.batch_size}."
            )

    def epoch(self, epoch: int, first: int) -> Iterator[dict[str, Any]]:
        """Yields the batches of an epoch from step `first` on, as dicts of arrays with a mask.

        Raises:
          ValueError: the source ends early, or gives something that is not a batch.
          RuntimeError: the source raised an error, which is the cause.
        """
        source = None
        for step in range(first, self.steps_per_epoch):
            where = f"step {step} of epoch {epoch}"
            try:
                source = iter(self.batches(epoch, first)) if source is None else source
                batch = next(source, _END)
            except Exception as error:
                raise RuntimeError(
                    f"the source of batches raised {type(error).__name__} at {where}: {error}"
                ) from error
            if batch is _END:
                raise ValueError(
                    f"the source of batches ended before {where}; expected {self.steps_per_epoch} batches an epoch."
                )
            yield self._in_arrays(batch, where)

    def _in_arrays(self, batch, where):
        if not isinstance(batch, Mapping):
            raise ValueError(
                f"the source of batches must give dicts of arrays; received a {type(batch).__name__} at {where}."
            )
        arrays = {name: as_array(x, f"batch[{name!r}] at {where}") for name, x in batch.items()}
        shapes = {name: np.shape(array) for name, array in arrays.items()}
        if {shape[:1] for shape in shapes.values()} != {(self.batch_size,)}:
            raise ValueError(
                f"the source of batches must give arrays of {self.batch_size} rows, as `batch_size` says; received "
                f"{shapes} at {where}. Pad the last batch and give a mask."
            )
        mask = arrays.pop("mask", np.ones(self.batch_size, bool))
        if mask.shape != (self.batch_size,) or mask.dtype != bool:
            raise ValueError(
                f"the source of batches must give a 'mask' of booleans, of shape ({self.batch_size},); received "
                f"{mask.dtype} of shape {mask.shape} at {where}."
            )
        return arrays | {"mask": mask}


def check_likeness(batch, first, where: str) -> None:
    """Raises ValueError for a batch that has other fields, shapes or dtypes than the first of the run."""
    own, expected = ({name: (x.shape, np.dtype(x.dtype)) for name, x in fields.items()} for fields in (batch, first))
    for name in sorted({*own, *expected}):
        if own.get(name) != expected.get(name):
            raise ValueError(
                f"the source of batches must give one shape and dtype for {name!r}; received {_told(own.get(name))} "
                f"at {where} after {_told(expected.get(name))}. Every other shape would compile the step anew."
            )


def _told(spec):
    return "nothing" if spec is None else f"{spec[1]}{list(spec[0])}"
