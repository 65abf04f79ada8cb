"""The order in which workers and server of an asynchronous cluster act: a seeded event simulation on the host.

Its result is a program of integer arrays, which the device runs in one scan (`downpour_sgd` and others):
no clock and no thread there, so that the same program always ends at the same bits.
"""

import heapq
import itertools
import math
from typing import NamedTuple

import numpy as np

from jaxnn.asynchronous.worker_times import WorkerTimes

FETCH, COMPUTE, PUSH = range(3)


class Program(NamedTuple):
    """Events in order: arrays (events,). `kind`: FETCH (the server sends its parameters to the worker), COMPUTE (the
    worker's gradient, of its step `local_step`), PUSH (the server applies what the worker has gathered); `time` in
    seconds.
    """

    kind: np.ndarray
    worker: np.ndarray
    local_step: np.ndarray
    time: np.ndarray


def simulate(
    times: WorkerTimes, *, pushes: int, n_push: int = 1, n_fetch: int | None = 1, bound: int | None = None
) -> Program:
    """Workers that never wait for one another, save for a bound, until the server has applied `pushes` updates.

    A worker joins with a fetch. Then again and again: a gradient; after every `n_push` of them a push, after every
    `n_fetch` a fetch. A message costs the worker its way there and back; a push and a fetch due together are one, and
    nobody comes between them at the server. Gradients that were never pushed (an outage, the end) are left out.

    With N workers that are always busy and n_push = n_fetch = 1, the staleness of an update is the number of updates
    by others between two of a worker's own: N - 1 in the mean, whatever the speeds.

    Args:
      times: how long everything takes, and who is gone when. A worker that comes back continues with the first local
        step whose gradient the server does not have.
      pushes: updates of the server in all.
      n_push: gradients in a push.
      n_fetch: gradients from fetch to fetch; None: only the one on joining, as in elastic averaging.
      bound: s of stale-synchronous parallel (Ho et al., NIPS 2013): a worker begins its step c only when every other
        has finished c - s. 0: bulk-synchronous; None: no bound. Needs n_push = 1.

    Returns:
      The `Program`.

    Raises:
      ValueError: a number out of range, or no worker is left before the last push.

    >>> program = simulate(WorkerTimes(2, slowdown={1: 2.5}), pushes=4)
    >>> " ".join(f"{'FCP'[kind]}{worker}" for kind, worker in zip(program.kind, program.worker))
    'F0 F1 C0 P0 F0 C0 P0 F0 C1 P1 F1 C0 P0'
    >>> program.time[program.kind == PUSH].tolist()
    [1.0, 2.0, 2.5, 3.0]
    """
    low = min(pushes, n_push, 1 if n_fetch is None else n_fetch)
    if low < 1 or (bound is not None and (bound < 0 or n_push > 1)):
        raise ValueError(
            "`pushes`, `n_push` and `n_fetch` must be at least 1, `bound` at least 0 and only with n_push = 1; "
            f"received {pushes}, {n_push}, {n_fetch} and {bound}."
        )
    simulation = _Simulation(times, n_push, math.inf if n_fetch is None else n_fetch, bound)
    return simulation(pushes)


def in_turns(workers: int, pushes: int) -> Program:
    """One worker after the other fetches, computes and pushes: no staleness, the order of sequential SGD.

    >>> in_turns(2, 3).worker.tolist()
    [0, 0, 0, 1, 1, 1, 0, 0, 0]
    """
    turn = np.repeat(np.arange(pushes, dtype=np.int32), 3)
    kind = np.tile(np.array([FETCH, COMPUTE, PUSH], np.int32), pushes)
    return Program(kind, turn % workers, turn // workers, turn + (kind != FETCH).astype(float))


def split(program: Program, parts: int) -> list[Program]:
    """So many parts of equally many events, in order; what is left over at the end is left out.

    >>> [part.worker.tolist() for part in split(in_turns(2, 3), 2)]
    [[0, 0, 0, 1], [1, 1, 0, 0]]
    """
    if not 1 <= parts <= len(program.kind):
        raise ValueError(f"`parts` must be between 1 and the {len(program.kind)} events; received {parts}.")
    length = len(program.kind) // parts
    return [Program(*(column[i * length : (i + 1) * length] for column in program)) for i in range(parts)]


class _Simulation:
    """Processes are generators that yield seconds until they want to go on; None: until somebody wakes them."""

    def __init__(self, times, n_push, n_fetch, bound):
        self.times, self.n_push, self.n_fetch, self.bound = times, n_push, n_fetch, bound
        self.now, self.agenda, self.order = 0.0, [], itertools.count()
        self.events, self.lost, self.pushed, self.end = [], set(), 0, 0  # end: behind the last push
        self.streams = [times.stream(worker) for worker in range(times.workers)]
        self.received = [0] * times.workers  # local steps whose gradients the server has: the clock
        self.unsent = [[] for _ in range(times.workers)]  # positions of events
        self.clients, self.waiting = {}, []

    def __call__(self, pushes) -> Program:
        for worker in range(self.times.workers):
            self._join(worker)
        for outage in self.times.outages:
            self._resume(self._outage(outage))
        while self.pushed < pushes:
            if not self.agenda:
                raise ValueError(
                    f"`outages` must leave a worker until push {pushes}; received none after {self.pushed}."
                )
            self.now, _, process = heapq.heappop(self.agenda)
            self._resume(process)
        lost, until_last = self.lost.union(*self.unsent), self.events[: self.end]
        kind, worker, local_step, time = zip(*(e for i, e in enumerate(until_last) if i not in lost), strict=True)
        return Program(*(np.array(column, np.int32) for column in (kind, worker, local_step)), np.array(time))

    def _client(self, worker):
        first, stream = self.received[worker], self.streams[worker]
        message = lambda: self.times.message_seconds(stream)
        yield message()
        self._note(FETCH, worker, first)
        yield message()
        for done in itertools.count(1):
            yield self.times.gradient_seconds(stream, worker)
            self._note(COMPUTE, worker, first + done - 1)
            push, fetch = done % self.n_push == 0, done % self.n_fetch == 0
            if push or fetch:
                yield message()
            if push:
                self._push(worker, first + done)
            while self._too_far(worker):
                self.waiting.append(self.clients[worker])
                yield None
            if fetch:
                self._note(FETCH, worker, first + done)
            if push or fetch:
                yield message()

    def _outage(self, outage):
        yield outage.start
        if outage.worker in self.clients:
            self.clients.pop(outage.worker).close()
        self.lost.update(self.unsent[outage.worker])
        self.unsent[outage.worker] = []
        self._wake()
        yield outage.stop - outage.start
        self._join(outage.worker)

    def _join(self, worker):
        self.clients[worker] = self._client(worker)
        self._resume(self.clients[worker])

    def _resume(self, process):
        seconds = next(process, None)
        if seconds is not None and seconds < math.inf:
            heapq.heappush(self.agenda, (self.now + seconds, next(self.order), process))

    def _push(self, worker, received):
        self._note(PUSH, worker, received)
        self.received[worker], self.unsent[worker] = received, []
        self.pushed, self.end = self.pushed + 1, len(self.events)
        self._wake()

    def _wake(self):
        for process in self.waiting:
            heapq.heappush(self.agenda, (self.now, next(self.order), process))
        self.waiting = []

    def _too_far(self, worker):
        slowest = min(self.received[other] for other in self.clients)
        return self.bound is not None and self.received[worker] - slowest > self.bound

    def _note(self, kind, worker, local_step):
        if kind == COMPUTE:
            self.unsent[worker].append(len(self.events))
        self.events.append((kind, worker, local_step, self.now))
