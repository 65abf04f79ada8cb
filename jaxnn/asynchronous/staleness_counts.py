"""Staleness counts how late a gradient is applied, and how far a worker is ahead of the slowest."""

import numpy as np

from jaxnn.asynchronous.event_logs import Log
from jaxnn.asynchronous.event_simulation import FETCH, PUSH, Program


def staleness_of(log: Log) -> np.ndarray:
    """Returns the number of updates between reading a version and applying its gradient, for each gradient.

    This is `version_applied - version_read`. With N always busy workers that fetch and push in every step, the mean is
    N - 1, for any speeds. In a real run a push and the next fetch are two messages, so the mean is smaller by what
    other workers push between them (`push_log.push_rows` makes the rows).

    >>> staleness_of(Log(*np.array([(0, 0, 0, 0), (1, 0, 0, 1)]).T)).tolist()
    [0, 1]
    """
    return np.asarray(log.version_applied) - np.asarray(log.version_read)


def clock_gaps(program: Program) -> np.ndarray:
    """Returns, for each fetch, how many pushes its worker is ahead of the slowest: (fetches,), at most s by a bound s.

    A worker with no event left, such as after an outage, no longer counts as the slowest.
    """
    kind, worker = np.asarray(program.kind), np.asarray(program.worker)
    last = {who: np.flatnonzero(worker == who)[-1] for who in np.unique(worker).tolist()}
    clock, gaps = dict.fromkeys(last, 0), []
    for i, (what, who) in enumerate(zip(kind.tolist(), worker.tolist(), strict=True)):
        clock[who] += what == PUSH
        if what == FETCH:
            gaps.append(clock[who] - min(clock[other] for other in last if last[other] >= i))
    return np.array(gaps, np.int32)
