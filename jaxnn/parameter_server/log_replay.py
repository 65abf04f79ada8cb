"""A replay computes a real asynchronous run again from its log, in one process, and ends at the same bits.

Every gradient is a function of the versions that its worker fetched, and every version is a function of the pushes
before it. So the log is a graph of dependencies, and the replay may use any order that respects it. Deaths of workers
and restored servers are part of the graph.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxnn.asynchronous.event_logs import Log
from jaxnn.parameter_server.downpour_worker import Client, Downpour
from jaxnn.parameter_server.parameter_shards import divide, merge
from jaxnn.parameter_server.push_log import Life, Version, read_log
from jaxnn.parameter_server.server_actor import apply_message
from jaxnn.training.compilation import bind, call
from jaxnn.training.evaluation import on_device
from jaxnn.training.train_state import TrainState
from jaxnn.training.train_step import TrainStep


def lost_updates(lives: Sequence[Life]) -> list[int]:
    """Counts the accepted updates that each death of a server lost: one number for each life except the last.

    A push is accepted once it is in the log, which is before it is applied and before its worker gets an answer. A
    version contains the pushes that its life had applied before it, and all pushes of the version from which the life
    began. A death loses the pushes that the last version of the dead server contained and the restored version does
    not. These are never more than the interval between checkpoints, because a server writes a due checkpoint before it
    accepts the next push.

    Args:
      lives: all lives of one shard, from `read_log`.

    >>> from jaxnn.parameter_server.push_log import Push
    >>> pushes = [Push(0, 0, step, (), applied=step) for step in range(7)]
    >>> lost_updates([Life(0, None, pushes), Life(1, Version(0, 5), [])])
    [2]
    """
    ends = [Version(life.number, 1 + max((push.applied for push in life.pushes), default=-1)) for life in lives[:-1]]
    origins = [life.origin for life in lives[1:]]
    return [len(_made_of(lives, end) - _made_of(lives, origin)) for end, origin in zip(ends, origins, strict=True)]


def _made_of(lives, version: Version | None) -> set[tuple[int, int]]:
    """Returns the pushes that a version contains, as pairs (life, applied)."""
    made = set()
    while version is not None:
        life = lives[version.life]
        made |= {(life.number, push.applied) for push in life.pushes if push.applied < version.number}
        version = life.origin
    return made


_MOST_GRADIENTS = 10**7  # in one log; more than an hour of training makes, and a gigabyte of rows


def replay_run(
    step: TrainStep, state: TrainState, data, *, init, settings: Downpour, folder: str | os.PathLike
) -> TrainState:
    """Computes the state at which a run ended from its logs.

    Args:
      step, data, settings: as in the run.
      state: the state with which the run began.
      init: the `init` of the optimizer.
      folder: the folder of the run.

    Returns:
      The state. It is equal bit for bit if XLA computes as in the run: on the same kind of processor, with the same
      number of threads (`NPROC=1` in the environment before jax is imported).

    Raises:
      FileNotFoundError: the folder has no log.
      ValueError: the logs contradict one another, or are not whole.
    """
    logs = [read_log(folder, shard) for shard in range(settings.servers)]
    _check_of_run(logs, settings)
    shared = on_device(data)
    clients = [Client(step, shared, state.params, settings, worker) for worker in range(settings.workers)]
    replay = _Replay(logs, clients, bind(apply_message, step, settings.codec), divide(state, init, settings.servers))
    return merge(replay(), state)


def gradient_log(lives: Sequence[Life]) -> Log:
    """Returns the log of a run with one server and no deaths in the form of `downpour_sgd.replay`: a row a gradient.

    The simulator ends at the same bits, although it is one compiled program and the run was several. It cannot replay a
    run of several servers: it counts one version, while each of several servers applies the pushes in its own order.

    Raises:
      ValueError: several servers, or a server or worker that had more than one life.
    """
    if len(lives) != 1 or any(push.life or len(push.fetches[-1].versions) > 1 for push in lives[0].pushes):
        raise ValueError(
            "`lives` must be one, of one server and of workers of one life; received a log of several servers or "
            "lives. replay_run replays those, too."
        )
    rows, done = [], Counter()
    for push in sorted(lives[0].pushes, key=lambda push: push.step):
        first, done[push.worker] = done[push.worker], push.step + 1
        if push.fetches[0].step > first or len(rows) + push.step - first >= _MOST_GRADIENTS:
            raise ValueError(
                f"every push must say what its gradients, {_MOST_GRADIENTS} in all at most, were computed from; "
                f"received {push}, whose first is of step {first}. Is the log whole?"
            )
        for t in range(first, push.step + 1):
            read = max(fetch for fetch in push.fetches if fetch.step <= t).versions[0]
            rows.append((push.worker, t, read.number, push.applied))
    return Log(*np.array(rows, np.int64).reshape(-1, 4).T)


class _Replay:
    """Runs one generator for each life of a worker or server, in turns; each continues as far as it can."""

    def __init__(self, logs, clients, apply, parts):
        self.logs, self.clients, self.apply, self.parts = logs, clients, apply, parts
        self.fetches, self.last = {}, {}
        for push in (push for lives in logs for life in lives for push in life.pushes):
            who = push.worker, push.life
            self.fetches.setdefault(who, {}).update({fetch.step: fetch.versions for fetch in push.fetches})
            self.last[who] = max(self.last.get(who, 0), push.step)
        self.readers = Counter(
            (shard, version)
            for fetches in self.fetches.values()
            for versions in fetches.values()
            for shard, version in enumerate(versions)
        )
        self.origins = {(shard, life.origin) for shard, lives in enumerate(logs) for life in lives if life.origin}
        self.versions: dict[tuple[int, Version], TrainState] = {}
        self.messages: dict[tuple, Any] = {}
        self.ends, self.events = {}, 0

    def __call__(self) -> list[TrainState]:
        programs = [self._client(*who) for who in self.fetches]
        programs += [self._server(shard, life) for shard, lives in enumerate(self.logs) for life in lives]
        while programs:
            before = self.events, len(programs)
            programs = [program for program in programs if next(program, "done") != "done"]
            if (self.events, len(programs)) == before:
                raise ValueError("the logs are not whole: what is left in them waits for versions or pushes not there.")
        return [self.ends[shard, lives[-1].number] for shard, lives in enumerate(self.logs)]

    def _client(self, worker, life) -> Iterator[None]:
        client, fetches = self.clients[worker], self.fetches[worker, life]
        own, first, last = None, min(fetches), self.last[worker, life]
        for t in range(first, last + 1):
            if t in fetches:
                keys = list(enumerate(fetches[t]))
                while not all(key in self.versions for key in keys):
                    yield
                own = client.fetched(own, *self._read(keys))
            own = client.computed(own, t)
            if client.settings.sends(t, first) or t == last:
                message, own = client.packed(own, t)
                self.messages[worker, life, t] = message, own.model_state
            self.events += 1

    def _server(self, shard, life: Life) -> Iterator[None]:
        while life.origin and (shard, life.origin) not in self.versions:
            yield
        part = self.versions[shard, life.origin] if life.origin else self.parts[shard]
        self._publish(shard, life, part)
        for push in life.pushes:
            while (push.worker, push.life, push.step) not in self.messages:
                yield
            message, model_state = self.messages[push.worker, push.life, push.step]
            own = {name: message[name] for name in part.params}
            part = call(self.apply, part, own, model_state if shard == 0 else {})
            self._publish(shard, life, part)
        self.ends[shard, life.number] = part

    def _read(self, keys):
        """Returns what a worker fetched; deletes a version after its last reader, if no life begins at the version."""
        parts = [self.versions[key] for key in keys]
        for key in keys:
            self.readers[key] -= 1
            if not self.readers[key] and key not in self.origins:
                del self.versions[key]
        return {name: leaf for part in parts for name, leaf in part.params.items()}, parts[0].model_state

    def _publish(self, shard, life, part):
        self.events += 1
        key = shard, Version(life.number, int(part.step))
        if self.readers[key] or key in self.origins:
            self.versions[key] = part


def _check_of_run(logs, settings):
    """Raises ValueError for pushes that no worker of a run with these settings can have sent."""
    begun, sent = {}, {}
    for push in (push for lives in logs for life in lives for push in life.pushes):
        servers = len(push.fetches[-1].versions)
        if push.worker >= settings.workers or servers != settings.servers:
            raise ValueError(
                f"the logs must be of {settings.workers} workers and {settings.servers} servers, as `settings` say; "
                f"received a push of worker {push.worker}, beside {servers} servers. Give the settings of the run."
            )
        who = push.worker, push.life
        begun[who] = min(begun.get(who, push.step), push.fetches[0].step)
        sent.setdefault(who, set()).add(push.step)
    for who, steps in sent.items():
        most = settings.n_push * (len(steps) + settings.in_flight + 1)
        if max(steps) - begun[who] > most:
            raise ValueError(
                f"the logs are not whole: worker {who[0]} made {max(steps) - begun[who]} steps in its life {who[1]} "
                f"and pushed {len(steps)} times, after {settings.n_push} steps each. Restore them from a copy."
            )
