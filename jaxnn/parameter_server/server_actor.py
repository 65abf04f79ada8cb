"""A parameter server holds a part of the parameters and applies gradients in the order in which they arrive.

It is plain Python around `TrainStep.descend` for one event loop. Tests run it directly; `ray_cluster` runs it as an
actor.
"""

import asyncio
import os
from typing import Any

import jax

from jaxnn.asynchronous.gradient_compression import Codec, decompress
from jaxnn.parameter_server.downpour_worker import Downpour
from jaxnn.parameter_server.push_log import Push, PushLog, Version
from jaxnn.parameter_server.shard_checkpoints import ShardCheckpoint, newest_shard, save_shard
from jaxnn.training.compilation import bind, call
from jaxnn.training.train_state import TrainState
from jaxnn.training.train_step import TrainStep


def apply_message(step: TrainStep, codec: Codec, part: TrainState, message, model_state) -> TrainState:
    """Computes the next state of a part from a message; a server computes nothing else."""
    return step.descend(part, decompress(codec, message, part.params), model_state)


class ParameterServer:
    """Runs one server, with one part of the parameters (a shard, in Dean et al. 2012).

    In a folder where the shard already has a checkpoint, the server continues from the newest one, in a new life.

    Args:
      step: a `TrainStep`; its `update` must treat each array by itself.
      part: the part of this server, from `parameter_shards.divide`.
      shard: the number of the part, from 0. The first server keeps the model state and applies the bound on workers.
      folder: the folder of the run, for the log and the checkpoints.
      settings: a `Downpour`.
    """

    def __init__(self, step: TrainStep, part: TrainState, shard: int, folder: str | os.PathLike, settings: Downpour):
        self.apply, self.shard, self.folder = bind(apply_message, step, settings.codec), shard, folder
        self.bound, self.every = settings.bound if shard == 0 else None, settings.checkpoint_every
        found = newest_shard(folder, shard, part) or ShardCheckpoint(part, None, {})
        self.part, origin, self.next_steps = found
        self.log = PushLog(folder, shard, origin)
        self.host, self.clocks, self.moved, self.widest_gap = None, {}, asyncio.Condition(), 0

    @property
    def version(self) -> Version:
        """Returns the present version of the parameters."""
        return Version(self.log.life, int(self.part.step))

    async def join(self, worker: int) -> int:
        """Lets a worker begin with the clock of the slowest; returns its first local step that is not yet applied."""
        others = [clock for other, clock in self.clocks.items() if other != worker]
        self.clocks[worker] = min(others, default=0)
        await self._tell()
        return self.next_steps.get(worker, 0)

    async def leave(self, worker: int) -> None:
        """Removes a worker that has finished or died from those that others wait for."""
        self.clocks.pop(worker, None)
        await self._tell()

    async def pull(self, worker: int) -> tuple[Version, dict, Any]:
        """Returns the version, its parameters by name and the model state, as NumPy arrays."""
        await self._within_bound(worker)
        if self.host is None:
            self.host = jax.device_get((self.part.params, self.part.model_state))
        return self.version, *self.host

    async def push(self, push: Push, message: dict, model_state) -> None:
        """Writes one push to the log, then applies its message."""
        await self._within_bound(push.worker)
        self.log.append(push._replace(applied=int(self.part.step)))
        self.part, self.host = call(self.apply, self.part, message, model_state), None
        self.next_steps[push.worker] = max(push.step + 1, self.next_steps.get(push.worker, 0))
        if int(self.part.step) % self.every == 0:
            self.checkpoint()
        if push.worker in self.clocks:
            self.clocks[push.worker] += 1
            await self._tell()

    def checkpoint(self) -> None:
        """Writes a checkpoint, from which a next life would begin."""
        save_shard(self.folder, self.shard, ShardCheckpoint(jax.device_get(self.part), self.version, self.next_steps))

    async def status(self) -> dict[str, int]:
        """Returns process, shard, life, version, and the widest gap between a worker that went on and the slowest."""
        return {"pid": os.getpid(), "shard": self.shard, **self.version._asdict(), "widest_gap": self.widest_gap}

    async def state(self) -> TrainState:
        """Writes a checkpoint and returns the part, as NumPy arrays."""
        self.checkpoint()
        return jax.device_get(self.part)

    async def _within_bound(self, worker):
        """Waits until the worker is at most `bound` pushes ahead of the slowest."""
        if self.bound is not None:
            async with self.moved:
                await self.moved.wait_for(lambda: self._gap(worker) <= self.bound)
        self.widest_gap = max(self.widest_gap, self._gap(worker))

    def _gap(self, worker):
        return self.clocks[worker] - min(self.clocks.values()) if worker in self.clocks else 0

    async def _tell(self):
        async with self.moved:
            self.moved.notify_all()
