"""Parameter servers and workers run here as actors of Ray, on this machine or on a cluster, and survive deaths.

    a worker dies       the others continue; it is replaced, fetches, and continues at the next step the servers know
    a server dies       it is restored from its last checkpoint; workers whose call was under way begin a new life
    a worker is slow    only workers that are more than `bound` ahead of it wait; without a bound none waits

Ray is optional: `pip install "jaxnn[ray]"`. This module imports it only when it is needed. Anyone who reaches Ray's
ports or sockets can execute code: `ray_startup` describes how they are protected.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.losses import cross_entropy
from jaxnn.parameter_server.downpour_worker import Client, Downpour
from jaxnn.parameter_server.parameter_shards import divide, merge
from jaxnn.parameter_server.push_log import files_of_shard, read_log
from jaxnn.parameter_server.ray_startup import (
    LOOPBACK,
    STORE_BYTES,
    actor_environment,
    check_room,
    ray_session,
    require_ray,
)
from jaxnn.parameter_server.server_actor import ParameterServer
from jaxnn.parameter_server.shard_checkpoints import newest_shard
from jaxnn.preprocessing import as_float
from jaxnn.training.objectives import supervised
from jaxnn.training.train_state import TrainState, init_state
from jaxnn.training.train_step import TrainStep

_PATIENCE = 120.0  # seconds until an actor that is being restarted must answer


class RunStatus(NamedTuple):
    """Holds the progress passed to `watch`: seconds since the first step, statuses of actors that answer, restarts."""

    seconds: float
    servers: list[dict[str, int]]
    workers: list[dict[str, int]]
    restarts: int


class Trained(NamedTuple):
    """Holds the last state, seconds from first to last step, the number of restarts, and the servers' last statuses."""

    state: TrainState
    seconds: float
    restarts: int
    servers: list[dict[str, int]]


def train_asynchronously(
    model,
    train,
    *,
    optimizer,
    steps: int,
    folder: str | os.PathLike,
    settings: Downpour | None = None,
    loss: Callable = cross_entropy,
    preprocess: Callable = as_float,
    fields: tuple[str, str] = ("image", "label"),
    state: TrainState | None = None,
    address: str | None = None,
    host: str = LOOPBACK,
    watch: Callable[[RunStatus], Any] | None = None,
    every: float = 1.0,
    pauses: dict[int, float] | None = None,
    most_restarts: int = 100,
) -> Trained:
    """Trains by Downpour SGD (Dean et al., NIPS 2012) in processes that wait for one another only as `settings` say.

    Args:
      model, train, loss, preprocess, fields: as in `training.fit`.
      optimizer: the optimizer of the servers; each applies it to its part. The paper uses AdaGrad, with a larger
        learning rate than usual.
      steps: the number of local steps of every worker.
      folder: the folder for logs and checkpoints, which all servers must reach. A run that is unfinished there
        continues.
      settings: a `Downpour`.
      state: the state with which the run begins; by default `init_state` with the seed of `settings`.
      address, host: see `ray_session`.
      watch: a function called with the progress about every `every` seconds; if it returns True, the run ends after the
        steps under way.
      pauses: worker -> seconds by which each of its steps is slower, to see how the others cope.
      most_restarts: the largest number of restarts; with more the run is given up.

    Returns:
      `Trained(state, seconds, restarts, servers)`. `replay_run` computes the same state from the logs.

    Raises:
      ImportError: Ray is not installed.
      ValueError: numbers out of range, a folder that is damaged or of another model, or a cluster with fewer CPUs than
        actors.
      ConnectionError, TimeoutError: see `ray_session`; or actors that do not answer for two minutes.
      DivergenceError: the loss is not finite.
      RuntimeError: more restarts than allowed.
    """
    settings = settings or Downpour()
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; received {steps}.")
    step = TrainStep(supervised(model, loss, preprocess=preprocess, fields=fields), optimizer.update)
    train = {name: np.asarray(array) for name, array in train.items()}
    if state is None:
        state = init_state(model, optimizer, train[fields[0]][:1], key=settings.seed, preprocess=preprocess)
    folder, parts = os.path.abspath(folder), divide(state, optimizer.init, settings.servers)
    # All checks of the folder come before Ray starts: a folder of another model, or a damaged one, is refused here, in
    # this process, before any actor exists.
    for shard, part in enumerate(parts):
        newest_shard(folder, shard, part)  # refuses the folder of another model
    life = _next_life(folder, settings.servers)  # refuses a damaged log
    room = 2 * sum(array.nbytes for array in train.values()) + STORE_BYTES
    with ray_session(address, cpus=settings.workers + settings.servers, host=host, store_bytes=room) as ray:
        check_room(ray, settings.workers + settings.servers)
        cluster = _RayCluster(ray, step, parts, train, jax.device_get(state.params), settings, folder, life)
        try:
            run = cluster.run(steps, pauses or {}, watch, every, most_restarts)
            return Trained(merge(cluster.states(), state), *run, cluster.statuses()[0])
        finally:
            cluster.close()


class _RayCluster:
    """Holds the actors of one run, and the present life of each worker."""

    def __init__(self, ray, step, parts, train, params, settings, folder, life):
        self.ray, self.settings, self.restarts = ray, settings, 0
        options = {"max_restarts": -1, "max_task_retries": 0, "num_cpus": 1, "runtime_env": actor_environment()}
        server, worker = (ray.remote(kind).options(**options) for kind in (_ServerActor, _Worker))
        self.lives = dict.fromkeys(range(settings.workers), life)
        # The references are kept in this object, because Ray makes the replacement of a dead actor from the same
        # arguments. They are sent as bytes: Ray calls references inside an argument an error.
        self.parts, self.shared = [ray.put(part) for part in parts], ray.put((step, train, params, settings))
        sent = ray.cloudpickle.dumps
        self.servers = [server.remote(step, sent(part), i, folder, settings) for i, part in enumerate(self.parts)]
        self.workers = [worker.remote(sent((self.shared, self.servers)), i) for i in range(settings.workers)]

    def run(self, steps, pauses, watch, every, most_restarts) -> tuple[float, int]:
        """Runs until every worker has made its steps; returns seconds and restarts."""
        # Every actor must answer before the clock starts, so that `seconds` does not count the start of processes.
        self._answers(lambda: [actor.status.remote() for actor in (*self.servers, *self.workers)])
        start = told = time.perf_counter()
        stopping = False
        # All workers join before any begins; otherwise the first would run ahead before the bound knows of the others.
        firsts = {worker: self._join(worker) for worker in self.lives}
        begin = lambda worker, first: self.workers[worker].run.remote(
            self.lives[worker], first, steps, pauses.get(worker, 0.0)
        )
        running, dead = {begin(worker, first): worker for worker, first in firsts.items()}, set()
        while running or (dead and not stopping):
            dead |= self._fallen(running, min(every, 0.2))
            # A dead worker begins a new life only once its actor answers again. The life gets a new number before it
            # begins, so that the log can tell its pushes from those of the earlier life.
            for worker in () if stopping else [worker for worker in dead if any(self._status(self.workers[worker]))]:
                dead.remove(worker)
                self._count_restart(most_restarts)
                self.lives[worker] += 1
                running[begin(worker, self._join(worker))] = worker
            if watch is not None and time.perf_counter() - told >= every:
                told = time.perf_counter()
                stopping = self._stopped(watch(RunStatus(told - start, *self.statuses(), self.restarts))) or stopping
        return time.perf_counter() - start, self.restarts

    def states(self) -> list[TrainState]:
        """Returns the parts of the servers."""
        return self._answers(lambda: [server.state.remote() for server in self.servers])

    def statuses(self) -> tuple[list, list]:
        """Returns the statuses of the servers and of the workers that answer."""
        ask = lambda actors: [answer for actor in actors for answer in self._status(actor)]
        return ask(self.servers), ask(self.workers)

    def close(self):
        """Ends the actors."""
        for actor in (*self.workers, *self.servers):
            self.ray.kill(actor)

    def _stopped(self, wish) -> bool:
        """Asks all workers to stop, if `wish` is true; returns whether it is."""
        if wish:
            for worker in self.workers:
                worker.stop.remote()
        return bool(wish)

    def _join(self, worker) -> int:
        """Joins the worker at all servers; returns the first step of its new life."""
        # The largest answer counts: a server that was restored from a checkpoint may know of fewer steps than others.
        self._answers(lambda: [server.leave.remote(worker) for server in self.servers])
        return max(self._answers(lambda: [server.join.remote(worker) for server in self.servers]))

    def _fallen(self, running, seconds) -> set[int]:
        """Waits a little, removes the runs that have ended, and returns the workers whose run a death has ended."""
        if not running:
            time.sleep(seconds)
            return set()
        ended = {running.pop(reference): reference for reference in self.ray.wait(list(running), timeout=seconds)[0]}
        return {worker for worker, reference in ended.items() if not self._ended_well(reference)}

    def _ended_well(self, reference) -> bool:
        try:
            self.ray.get(reference)
        except self.ray.exceptions.RayActorError:  # the worker died, or a server that it called
            return False
        except self.ray.exceptions.RayTaskError as error:  # the worker itself raised an error
            raise error.cause from error
        return True

    def _count_restart(self, most):
        self.restarts += 1
        if self.restarts > most:
            raise RuntimeError(
                f"workers began anew {self.restarts} times; Ray's logs say why. `most_restarts` is {most}."
            )

    def _answers(self, ask: Callable[[], list]) -> list:
        """Returns the answers of the actors; waits for actors that are being restarted."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.ray.get(ask(), timeout=_PATIENCE)
            except (self.ray.exceptions.ActorUnavailableError, self.ray.exceptions.GetTimeoutError) as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"servers or workers did not answer for {_PATIENCE:.0f} s: {error} Is the machine busy with "
                        "other work, or a machine of the cluster gone?"
                    ) from error
                time.sleep(0.2)

    def _status(self, actor) -> Iterator[dict[str, int]]:
        with contextlib.suppress(self.ray.exceptions.RayActorError, self.ray.exceptions.GetTimeoutError):
            yield self.ray.get(actor.status.remote(), timeout=2.0)


class _ServerActor(ParameterServer):
    """Runs a `ParameterServer` as an actor."""

    def __init__(self, step, part, shard, folder, settings):
        super().__init__(step, require_ray().get(_received(part)), shard, folder, settings)


class _Worker:
    """Runs a `Client` as an actor, which calls servers that are actors."""

    def __init__(self, sent, worker):
        shared, servers = _received(sent)
        self.client = Client(*require_ray().get(shared), worker)
        self.servers = [_Remote(server) for server in servers]

    async def run(self, life, first, last, pause):
        await self.client.run(self.servers, life=life, first=first, last=last, pause=pause)

    async def stop(self):
        self.client.stop()

    async def status(self):
        return {"pid": os.getpid(), "worker": self.client.worker, "pushes": self.client.pushes}


class _Remote:
    """Wraps a server actor in the methods of a `Server`; a message holds NumPy arrays."""

    def __init__(self, actor):
        self.actor = actor

    async def pull(self, worker):
        return await self.actor.pull.remote(worker)

    async def push(self, push, message, model_state):
        await self.actor.push.remote(push, message, model_state)

    async def leave(self, worker):
        await self.actor.leave.remote(worker)


def _received(sent: bytes):
    """Returns the references in the bytes, for which this process may then ask."""
    return require_ray().cloudpickle.loads(sent)


def _next_life(folder, shards: int) -> int:
    """Returns the number of a new life of workers, after all lives in the logs of the folder."""
    logs = [read_log(folder, shard) for shard in range(shards) if files_of_shard(folder, shard, ".jsonl")]
    return 1 + max((push.life for lives in logs for life in lives for push in life.pushes), default=-1)
