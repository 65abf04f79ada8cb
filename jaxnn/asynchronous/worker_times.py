"""How long workers of a simulated cluster compute and how long their messages take. NumPy on the host, seeded.

Every worker draws from a stream of its own, so that its times do not depend on what the others do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Outage(NamedTuple):
    """A worker that is gone from `start` to `stop` (seconds): what it had not sent is lost. It joins anew, or never."""

    worker: int
    start: float
    stop: float = math.inf


@dataclass(frozen=True)
class WorkerTimes:
    """Log-normal times: a gradient of worker i takes `compute * slowdown[i] * exp(spread * z)`, z ~ N(0, 1), a message
    one way `latency * exp(jitter * z)`.

    Args:
      workers: how many.
      compute: median seconds of a gradient.
      spread: deviation of the log of a gradient's time; 0: always the median.
      slowdown: worker -> factor, for stragglers; 1 for those it does not name.
      latency, jitter: the same for messages.
      outages: who is gone, and when.
      seed: of all streams.

    Raises:
      ValueError: no workers, a time or factor out of range, a worker that does not exist.

    >>> WorkerTimes(4, slowdown={3: 5.0}).gradient_seconds(np.random.default_rng(0), 3)
    5.0
    """

    workers: int
    compute: float = 1.0
    spread: float = 0.0
    slowdown: Mapping[int, float] = field(default_factory=dict)
    latency: float = 0.0
    jitter: float = 0.0
    outages: tuple[Outage, ...] = ()
    seed: int = 0

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(f"`workers` must be at least 1; received {self.workers}.")
        if not 0 < self.compute < math.inf or not all(0 < factor < math.inf for factor in self.slowdown.values()):
            raise ValueError(
                f"`compute` and every `slowdown` must be positive; received {self.compute} and {dict(self.slowdown)}."
            )
        for name in ("spread", "latency", "jitter"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be at least 0; received {getattr(self, name)}.")
        absent = {*self.slowdown, *(outage.worker for outage in self.outages)} - set(range(self.workers))
        if absent:
            raise ValueError(f"`slowdown` and `outages` must name workers below {self.workers}; received {absent}.")

    def stream(self, worker: int) -> np.random.Generator:
        """The random numbers of one worker."""
        return np.random.default_rng((self.seed, worker))

    def gradient_seconds(self, stream, worker: int, shape=None):
        """Seconds of a gradient, or of an array of them."""
        scale = self.compute * self.slowdown.get(worker, 1.0)
        return scale * _exp(self.spread * stream.standard_normal(shape))

    def message_seconds(self, stream, shape=None):
        """Seconds of a message one way, or of an array of them."""
        return self.latency * _exp(self.jitter * stream.standard_normal(shape))


class Rounds(NamedTuple):
    """Synchronous rounds: `accepted` (rounds, workers) bool, whose gradients count; `time` (rounds,), their ends."""

    accepted: np.ndarray
    time: np.ndarray


def round_times(times: WorkerTimes, rounds: int, *, backup: int = 0, local_steps: int = 1) -> Rounds:
    """All workers begin together; a round ends with the answer to the (N - backup)-th of them to arrive.

    The `backup` slowest are dropped: they give up what they compute and take the new parameters (Chen et al. 2016,
    arXiv 1604.00981, where a late worker finishes first and its gradient is then dropped).

    Args:
      times: without outages.
      rounds: how many.
      backup: workers whose gradients are not waited for, fewer than all.
      local_steps: gradients that a worker computes in a round: of local SGD.

    Raises:
      ValueError: a number out of range, or outages.

    >>> times = WorkerTimes(3, slowdown={1: 5.0})
    >>> round_times(times, 2, backup=1).accepted.tolist()
    [[True, False, True], [True, False, True]]
    >>> round_times(times, 2, backup=1).time.tolist(), round_times(times, 2).time.tolist()
    ([1.0, 2.0], [5.0, 10.0])
    """
    if not 0 <= backup < times.workers or rounds < 1 or local_steps < 1:
        raise ValueError(
            f"`backup` must be in 0, ..., {times.workers - 1}, `rounds` and `local_steps` at least 1; received "
            f"{backup}, {rounds} and {local_steps}."
        )
    if times.outages:
        raise ValueError("`times` of rounds must have no outages: a barrier waits for ever. Use `simulate`.")
    arrival, answer = np.stack([_round_trip(times, worker, rounds, local_steps) for worker in range(times.workers)], -1)
    rank = np.argsort(np.argsort(arrival, axis=1, kind="stable"), axis=1, kind="stable")
    accepted = rank < times.workers - backup
    last = np.where(accepted, arrival, 0).max(axis=1)
    return Rounds(accepted, np.cumsum(last + answer.max(axis=1)))


def _round_trip(times, worker, rounds, local_steps):
    """Seconds from a round's begin to the arrival of the worker's message, and those of the answer: (2, rounds)."""
    stream = times.stream(worker)
    computing = times.gradient_seconds(stream, worker, (rounds, local_steps)).sum(axis=1)
    there, back = times.message_seconds(stream, (2, rounds))
    return np.stack([computing + there, back])


def _exp(x):
    return np.exp(x) if np.ndim(x) else math.exp(x)
