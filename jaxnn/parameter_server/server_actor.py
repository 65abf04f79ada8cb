"""A parameter server: it holds a part of the parameters, and applies gradients in the order in which they come.

Plain Python around `TrainStep.descend`, for one event loop: tests run it as it is, `ray_cluster` as an actor.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import jax

from jaxnn.asynchronous.gradient_compression import Codec, decompress
from jaxnn.parameter_server.downpour_worker import Downpour
from jaxnn.parameter_server.push_log import Push, PushLog, Version
from jaxnn.parameter_server.shard_checkpoints import ShardCheckpoint, newest_shard, save_shard
from jaxnn.training.compilation import call
from jaxnn.training.train_state import TrainState
from jaxnn.training.train_step import TrainStep


@dataclass(frozen=True)
class Apply:
    """`apply(part, message, model_state)`: the next state of a part; all that a server computes."""

    step: TrainStep
    codec: Codec

    def __call__(self, part: TrainState, message, model_state) -> TrainState:
        return self.step.descend(part, decompress(self.codec, message, part.params), model_state)


class ParameterServer:
    """One server, with one part of the parameters (a shard, in Dean et al. 2012).

    Made in a folder in which it has been before, it goes on from its last checkpoint, in a new life.

    Args:
      step: a `TrainStep`; its `update` must treat each array by itself.
      part: of `parameter_shards.divide`.
      shard: which part, from 0. The first server keeps the model state and the clock by which workers wait.
      folder: of the run, for the log and the checkpoints.
      settings: a `Downpour`.
    """

    def __init__(self, step: TrainStep, part: TrainState, shard: int, folder: str | os.PathLike, settings: Downpour):
        self.apply, self.shard, self.folder = Apply(step, settings.codec), shard, folder
        self.bound, self.every = settings.bound if shard == 0 else None, settings.checkpoint_every
        found = newest_shard(folder, shard, part) or ShardCheckpoint(part, None, {})
        self.part, origin, self.next_steps = found
        self.log = PushLog(folder, shard, origin)
        self.host, self.clocks, self.moved, self.widest_gap = None, {}, asyncio.Condition(), 0

    @property
    def version(self) -> Version:
        """Of the parameters now."""
        return Version(self.log.life, int(self.part.step))

    async def join(self, worker: int) -> int:
        """Lets a worker begin, beside the slowest; returns its first local step that the server has not applied."""
        others = [clock for other, clock in self.clocks.items() if other != worker]
        self.clocks[worker] = min(others, default=0)
        await self._tell()
        return self.next_steps.get(worker, 0)

    async def leave(self, worker: int) -> None:
        """Nobody waits for the worker any more: it is done, or dead."""
        self.clocks.pop(worker, None)
        await self._tell()

    async def pull(self, worker: int) -> tuple[Version, dict, Any]:
        """The version, its parameters by name and the model state, as NumPy arrays."""
        await self._within_bound(worker)
        if self.host is None:
            self.host = jax.device_get((self.part.params, self.part.model_state))
        return self.version, *self.host

    async def push(self, push: Push, message: dict, model_state) -> None:
        """Applies one message, after it is in the log."""
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
        """Writes what a next life would begin from."""
        save_shard(self.folder, self.shard, ShardCheckpoint(jax.device_get(self.part), self.version, self.next_steps))

    async def status(self) -> dict[str, int]:
        """Process, shard, life and version, and the widest gap between a worker that went on and the slowest."""
        return {"pid": os.getpid(), "shard": self.shard, **self.version._asdict(), "widest_gap": self.widest_gap}

    async def state(self) -> TrainState:
        """The part, as NumPy arrays, checkpointed."""
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
