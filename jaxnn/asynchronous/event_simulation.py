"""A seeded simulation on the host decides the order in which the workers and the server of a cluster act.

Its result is a program of integer arrays, which the device runs in one scan (`downpour_sgd` and others). The scan has
no clock and no threads, so the same program always gives the same result, bit for bit.
"""

import heapq
import itertools
import math
from typing import NamedTuple

import numpy as np

from jaxnn.asynchronous.worker_times import WorkerTimes

FETCH, COMPUTE, PUSH = range(3)


class Program(NamedTuple):
    """Holds events in order, as arrays (events,).

    The `kind` is FETCH (the server sends its parameters to the worker), COMPUTE (the worker computes the gradient of
    its step `local_step`) or PUSH (the server applies the sum of the worker's gradients since its last push). The
    `time` is in seconds.
    """

    kind: np.ndarray
    worker: np.ndarray
    local_step: np.ndarray
    time: np.ndarray


def simulate(
    times: WorkerTimes, *, pushes: int, n_push: int = 1, n_fetch: int | None = 1, bound: int | None = None
) -> Program:
    """Simulates workers that wait for one another only by `bound`, until the server has applied `pushes` updates.

    A worker joins with a fetch. Then it computes gradients; it pushes after every `n_push` gradients and fetches after
    every `n_fetch`. A message costs the worker the time there and back. A push and a fetch that are due together are
    one message, and no other worker acts at the server between them. Gradients that are never pushed, because of an
    outage or the end, are left out.

    With N workers that are always busy and n_push = n_fetch = 1, the staleness of an update is the number of updates by
    other workers between two updates of one worker. Its mean is N - 1, for any speeds.

    Args:
      times: how long everything takes, and when workers are absent. A worker that returns continues with the first
        local step whose gradient the server does not have.
      pushes: the number of updates of the server in all.
      n_push: the number of gradients in a push.
      n_fetch: the number of gradients between fetches; None: a worker fetches only on joining, as in elastic averaging.
      bound: s of stale-synchronous parallel (Ho et al., NIPS 2013): a worker begins its step c only when all others
        have finished their step c - s. 0: bulk-synchronous; None: no bound. Needs n_push = 1.

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
    """Returns a program in which the workers fetch, compute and push in turns: sequential SGD, without staleness.

    >>> in_turns(2, 3).worker.tolist()
    [0, 0, 0, 1, 1, 1, 0, 0, 0]
    """
    turn = np.repeat(np.arange(pushes, dtype=np.int32), 3)
    kind = np.tile(np.array([FETCH, COMPUTE, PUSH], np.int32), pushes)
    return Program(kind, turn % workers, turn // workers, turn + (kind != FETCH).astype(float))


def split(program: Program, parts: int) -> list[Program]:
    """Splits a program into `parts` parts of equal length, in order; events that remain at the end are left out.

    Raises:
      ValueError: `parts` below 1, or more parts than events.

    >>> [part.worker.tolist() for part in split(in_turns(2, 3), 2)]
    [[0, 0, 0, 1], [1, 1, 0, 0]]
    """
    if not 1 <= parts <= len(program.kind):
        raise ValueError(f"`parts` must be between 1 and the {len(program.kind)} events; received {parts}.")
    length = len(program.kind) // parts
    return [Program(*(column[i * length : (i + 1) * length] for column in program)) for i in range(parts)]


class _Simulation:
    """Runs processes, which are generators.

    A process yields the seconds after which it continues, or None to wait until `_wake` resumes it.
    """

    def __init__(self, times, n_push, n_fetch, bound):
        self.times, self.n_push, self.n_fetch, self.bound = times, n_push, n_fetch, bound
        self.now, self.agenda, self.order = 0.0, [], itertools.count()
        self.events, self.lost, self.pushed, self.end = [], set(), 0, 0  # end: the position after the last push
        self.streams = [times.stream(worker) for worker in range(times.workers)]
        self.received = [0] * times.workers  # number of local steps whose gradients the server has: the clock
        self.unsent = [[] for _ in range(times.workers)]  # positions of COMPUTE events that are not yet pushed
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
