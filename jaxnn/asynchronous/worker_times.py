"""A seeded model in NumPy says how long the workers of a simulated cluster compute and how long their messages take.

Every worker draws from its own stream of random numbers, so that its times do not depend on the other workers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Outage(NamedTuple):
    """Describes the absence of a worker from `start` to `stop`, in seconds.

    The gradients that the worker had not sent are lost. It joins again at `stop`, which may be never (infinity).
    """

    worker: int
    start: float
    stop: float = math.inf


@dataclass(frozen=True)
class WorkerTimes:
    """Describes log-normal times of gradients and messages.

    A gradient of worker i takes `compute * slowdown[i] * exp(spread * z)` seconds, with z ~ N(0, 1). A message takes
    `latency * exp(jitter * z)` seconds one way.

    Args:
      workers: the number of workers.
      compute: median seconds of a gradient.
      spread: standard deviation of the logarithm of a gradient's time; 0: always the median.
      slowdown: worker -> factor, for slow workers; the factor is 1 for workers that are not in it.
      latency: median seconds of a message one way.
      jitter: standard deviation of the logarithm of a message's time.
      outages: which workers are absent, and when.
      seed: the seed of all streams.

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
        """Returns the random generator of one worker."""
        return np.random.default_rng((self.seed, worker))

    def gradient_seconds(self, stream, worker: int, shape=None):
        """Draws the seconds of a gradient, or an array of them for a `shape`."""
        scale = self.compute * self.slowdown.get(worker, 1.0)
        return scale * _exp(self.spread * stream.standard_normal(shape))

    def message_seconds(self, stream, shape=None):
        """Draws the seconds of a message one way, or an array of them for a `shape`."""
        return self.latency * _exp(self.jitter * stream.standard_normal(shape))


class Rounds(NamedTuple):
    """Holds synchronous rounds: `accepted` (rounds, workers) bool, whose gradients count; `time` (rounds,) of ends."""

    accepted: np.ndarray
    time: np.ndarray


def round_times(times: WorkerTimes, rounds: int, *, backup: int = 0, local_steps: int = 1) -> Rounds:
    """Simulates rounds that all workers begin together and that end after the (N - backup)-th gradient has arrived.

    A round's end includes the server's answer to the workers. The `backup` slowest workers are dropped: they give up
    their computation and use the new parameters. (In Chen et al. 2016, arXiv 1604.00981, a late worker first finishes,
    and its gradient is then dropped.)

    Args:
      times: the times of the workers, without outages.
      rounds: the number of rounds.
      backup: the number of workers for whose gradients no round waits, fewer than all.
      local_steps: the number of gradients that a worker computes in a round, for local SGD.

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
    """Returns (2, rounds): seconds from a round's start to the arrival of the worker's message, and of the answer."""
    stream = times.stream(worker)
    computing = times.gradient_seconds(stream, worker, (rounds, local_steps)).sum(axis=1)
    there, back = times.message_seconds(stream, (2, rounds))
    return np.stack([computing + there, back])


def _exp(x):
    return np.exp(x) if np.ndim(x) else math.exp(x)
