"""A log of an asynchronous run, simulated or real, says for each gradient which version was read and which updated.

A version is the number of updates that the server has made. From such a log the run can be replayed bit for bit,
because a gradient depends only on the version that was read and on (key, worker, local step).
"""

from typing import NamedTuple

import numpy as np

from jaxnn.asynchronous.event_simulation import COMPUTE, FETCH, PUSH, Program


class Log(NamedTuple):
    """Holds a row for each gradient that was applied, as integer arrays (gradients,).

    `worker` and `local_step` identify the gradient. `version_read` is the version of the parameters that the worker had
    fetched. `version_applied` is the version of the server before the update; all rows with the same `version_applied`
    are one push, and their gradients are summed.
    """

    worker: np.ndarray
    local_step: np.ndarray
    version_read: np.ndarray
    version_applied: np.ndarray


def log_of(program: Program) -> Log:
    """Returns the log that a server and its workers would have written for this program.

    >>> from jaxnn.asynchronous.event_simulation import in_turns
    >>> [column.tolist() for column in log_of(in_turns(2, 3))]
    [[0, 1, 0], [0, 0, 1], [0, 1, 2], [0, 1, 2]]
    """
    version, read, unsent, rows = 0, {}, {}, []
    for kind, worker, local_step in zip(*(np.asarray(column).tolist() for column in program[:3]), strict=True):
        if kind == FETCH:
            read[worker] = version
        elif kind == COMPUTE:
            unsent.setdefault(worker, []).append((worker, local_step, read.get(worker, 0)))
        else:
            rows += [(*row, version) for row in unsent.pop(worker, [])]
            version += 1
    return Log(*np.array(rows, np.int32).reshape(-1, 4).T)


def program_of(log: Log) -> Program:
    """Returns the events of a log, in an order in which every gradient is computed from the version in the log.

    A worker fetches where its `version_read` changes, computes as soon as it can, and pushes at `version_applied`.
    Between two fetches it keeps its own local steps, as in the run. Its next fetch may overtake its last push, as when
    communication overlaps computation, but not the push before that. The times of the events are the versions.

    Raises:
      ValueError: a version that no worker or more than one updated, that was read before it existed, or a fetch that
        overtook too many pushes.

    >>> program = program_of(Log([0, 1], [0, 0], [0, 0], [0, 1]))
    >>> " ".join(f"{'FCP'[kind]}{worker}" for kind, worker in zip(program.kind, program.worker))
    'F0 C0 F1 C1 P0 P1'
    """
    log = Log(*(np.asarray(column, np.int64) for column in log))
    log = Log(*(column[np.lexsort((log.local_step, log.version_applied))] for column in log))
    _check_versions(log)
    events, last = [], {}
    for row, gradient in enumerate(zip(*(column.tolist() for column in log), strict=True)):
        worker, local_step, read, applied = gradient
        ready, must_fetch = _place(last.get(worker), read, applied)
        events += [(read, row, FETCH, worker, local_step)] * must_fetch
        events += [(ready, row, COMPUTE, worker, local_step)]
        last[worker] = _Placed(read, ready, applied)
    pushes = {applied: (worker, step + 1) for worker, step, _, applied in zip(*(c.tolist() for c in log), strict=True)}
    events += [(version, len(log.worker), PUSH, *which) for version, which in pushes.items()]
    version, _, kind, worker, local_step = np.array(sorted(events)).reshape(-1, 5).T
    return Program(*(column.astype(np.int32) for column in (kind, worker, local_step)), version.astype(float))


class _Placed(NamedTuple):
    """Holds three versions of a worker's last gradient: read, at which it is computed, and to which it is applied."""

    read: int
    ready: int
    applied: int


def _place(before: _Placed | None, read: int, applied: int) -> tuple[int, bool]:
    """Returns the version at which a gradient can be computed, and whether a fetch precedes it.

    All gradients of an earlier push must have been sent by then.
    """
    if before is None:
        return read, True
    if read != before.read and read < before.ready:
        raise ValueError(
            "a fetch must not overtake its worker's last push but one; received `version_read` "
            f"{read} for an update of version {applied}, after one that could not begin before {before.ready}."
        )
    sent = 0 if before.applied == applied else before.applied + 1
    return max(read, before.ready, sent), read != before.read


def _check_versions(log):
    pairs = np.unique(np.stack([log.version_applied, log.worker]), axis=1)
    if not np.array_equal(pairs[0], np.arange(pairs.shape[1])):
        raise ValueError(
            "`version_applied` must be 0, 1, 2, ... without a gap, each of one worker; received the pairs (version, "
            f"worker) {pairs.T[:8].tolist()}, ... Does the log begin with the run?"
        )
    if (log.version_read < 0).any() or (log.version_read > log.version_applied).any():
        raise ValueError("`version_read` must be at least 0 and at most `version_applied`; received one that is not.")
