"""A Downpour worker repeats fetch, gradient and push, and waits for other workers only if there is a bound.

Every number comes from one of three pure functions of the worker's state: `Client.fetched`, `computed` and `packed`. So
a log of which versions were fetched at which step (`push_log`) determines every gradient, compressed or not.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.asynchronous.downpour_sgd import descended
from jaxnn.asynchronous.event_scan import Event, Shards, worker_gradient
from jaxnn.asynchronous.event_simulation import COMPUTE
from jaxnn.asynchronous.gradient_compression import EXACT, Codec, compress
from jaxnn.optimizers.gradient_transformation import zeros_like
from jaxnn.parameter_server.parameter_shards import assign, named_leaves, with_named_leaves
from jaxnn.parameter_server.push_log import Fetch, Push, Version
from jaxnn.training.batching import count_examples
from jaxnn.training.compilation import bind, call
from jaxnn.training.evaluation import on_device
from jaxnn.training.fit_events import DivergenceError
from jaxnn.training.key_streams import as_key
from jaxnn.training.train_state import begin
from jaxnn.training.train_step import TrainStep

_PACKING = 0x7061636B  # the stream of random numbers that codecs draw from


@dataclass(frozen=True)
class Downpour:
    """Holds the settings of Downpour SGD (Dean et al., NIPS 2012, "Large scale distributed deep networks").

    Args:
      workers: the number of workers, each with its own shard of the data.
      servers: the number of servers, each with a part of the parameters.
      batch_size: the number of examples in a gradient.
      n_fetch, n_push: local steps between fetches, and between pushes; 1 and 1 in the paper's experiments.
      local_rate: the learning rate of a worker for its own gradients between fetches, as in the paper; None: it applies
        none of them.
      codec: how gradients are sent, `Exact()`, `TopK(fraction)` or `EightBits()`, with error feedback at the worker.
      bound: s of stale-synchronous parallel (Ho et al., NIPS 2013): a worker that is more than s pushes ahead of the
        slowest waits. 0: bulk-synchronous; None: no worker waits.
      in_flight: the number of pushes that a worker may have on the way while it computes; with more it waits.
      checkpoint_every: the number of updates of a server between its checkpoints.
      seed: the seed of batches, dropout and codecs; together with the log it determines the run.

    Raises:
      ValueError: a number out of range.
    """

    workers: int = 2
    servers: int = 1
    batch_size: int = 64
    n_fetch: int = 1
    n_push: int = 1
    local_rate: float | None = None
    codec: Codec = EXACT
    bound: int | None = None
    in_flight: int = 0
    checkpoint_every: int = 500
    seed: int = 0

    def __post_init__(self):
        for name in ("workers", "servers", "batch_size", "n_fetch", "n_push", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; received {getattr(self, name)}.")
        if self.in_flight < 0 or (self.bound is not None and self.bound < 0):
            raise ValueError(f"`in_flight` and `bound` must be at least 0; received {self.in_flight} and {self.bound}.")

    def sends(self, t: int, first: int) -> bool:
        """Returns whether a worker that began at local step `first` pushes after step t."""
        return (t + 1 - first) % self.n_push == 0


class Server(Protocol):
    """Describes the methods that a worker calls on a server, in this process or over a network."""

    async def pull(self, worker: int) -> tuple[Version, dict, Any]:
        """Returns the version, its parameters by name, and the model state (which the first server holds)."""

    async def push(self, push: Push, message: dict, model_state: Any) -> None:
        """Applies a gradient, and returns when that is done."""

    async def leave(self, worker: int) -> None:
        """Removes the worker from those that others wait for."""


class ClientState(NamedTuple):
    """Holds a worker's parameters and model state, its sum of unpushed gradients, and the residual of compression."""

    params: Any
    model_state: Any
    accrued: Any
    residual: Any


class Client:
    """Runs one worker.

    Args:
      step: a `TrainStep` on one device.
      data: dict of arrays of one length; the worker draws from its own shard of them.
      params: a tree like the model's parameters.
      settings: a `Downpour`.
      worker: the number of the worker, from 0.

    Raises:
      ValueError: fewer examples than workers.
    """

    def __init__(self, step: TrainStep, data, params, settings: Downpour, worker: int):
        draw = Shards(count_examples(data, step.objective.fields), settings.batch_size, settings.workers)
        self._gradient = bind(_gradient, step, draw, settings.workers)
        self._pack = bind(_pack, settings.codec, settings.workers)
        self.data, self.like, self.settings, self.worker = on_device(data), params, settings, worker
        self.parts, self.key, self.stopping = assign(params, settings.servers), as_key(settings.seed), False
        self.pushes = 0  # number of pushes that all servers have applied

    def stop(self) -> None:
        """Makes the run end before its next step."""
        self.stopping = True

    async def run(self, servers: Sequence[Server], *, life: int, first: int, last: int, pause: float = 0.0) -> None:
        """Runs local steps `first` to `last` - 1 as the worker's `life`; each step waits `pause` seconds longer.

        Raises:
          DivergenceError: the loss is not finite.
        """
        own, fetches, pending = None, [], deque()
        try:
            for t in itertools.takewhile(lambda _: not self.stopping, range(first, last)):
                if (t - first) % self.settings.n_fetch == 0:
                    versions, *answer = await self._pull(servers)
                    own = self.fetched(own, *answer)
                    fetches.append(Fetch(t, versions))
                own = self.computed(own, t)
                await asyncio.sleep(pause)
                if self.settings.sends(t, first) or t + 1 == last:
                    message, own = self.packed(own, t)
                    push = Push(self.worker, life, t, tuple(fetches))
                    pending.append((push, asyncio.ensure_future(self._push(servers, push, message, own.model_state))))
                while len(pending) > self.settings.in_flight:
                    fetches = await _acknowledged(fetches, *pending.popleft())
            while pending:
                await pending.popleft()[1]
        finally:
            for _, task in pending:
                task.cancel()
        await asyncio.gather(*(server.leave(self.worker) for server in servers))

    def fetched(self, own: ClientState | None, params: dict, model_state) -> ClientState:
        """Computes FETCH: w_i <- w; gradients not yet pushed stay."""
        params = with_named_leaves(self.like, params)
        if own is None:
            zeros = jax.device_get(zeros_like(params))
            return ClientState(params, model_state, zeros, zeros)
        return own._replace(params=params, model_state=model_state)

    def computed(self, own: ClientState, t: int) -> ClientState:
        """Computes COMPUTE: a <- a + g, and w_i <- w_i - local_rate g if `local_rate` is set.

        Raises:
          DivergenceError: the loss is not finite.
        """
        event = Event(np.int32(COMPUTE), np.int32(self.worker), np.int32(t))
        grads, metrics, model_state = call(self._gradient, own.params, own.model_state, self.key, self.data, event)
        loss = float(metrics["loss"].sum)
        if not np.isfinite(loss):
            raise DivergenceError(f"the loss of worker {self.worker} became {loss} at its step {t}. {_REMEDY}")
        params, rate = own.params, self.settings.local_rate
        if rate is not None:
            params = call(descended, params, grads, np.float32(rate))
        return own._replace(params=params, model_state=model_state, accrued=call(_added, own.accrued, grads))

    def packed(self, own: ClientState, t: int) -> tuple[dict, ClientState]:
        """Computes PUSH: returns the message by the parameters' names, as NumPy arrays, and sets a <- 0."""
        event = Event(np.int32(COMPUTE), np.int32(self.worker), np.int32(t))
        packed, residual = call(self._pack, named_leaves(own.accrued), named_leaves(own.residual), self.key, event)
        zeros = jax.tree.map(np.zeros_like, jax.device_get(own.accrued))
        return jax.device_get(packed), own._replace(accrued=zeros, residual=with_named_leaves(self.like, residual))

    async def _pull(self, servers):
        answers = await asyncio.gather(*(server.pull(self.worker) for server in servers))
        versions = tuple(Version(*version) for version, _, _ in answers)
        params = {name: leaf for _, part, _ in answers for name, leaf in part.items()}
        return versions, params, answers[0][2]

    async def _push(self, servers, push, message, model_state):
        """Sends each server its part of the message; the model state goes to the first server."""
        parts = [{name: message[name] for name in names} for names in self.parts]
        states = [jax.device_get(model_state)] + [{}] * (len(servers) - 1)
        sent = (server.push(push, *of) for server, *of in zip(servers, parts, states, strict=True))
        await asyncio.gather(*sent)
        self.pushes += 1


def _gradient(step: TrainStep, draw, workers: int, params, model_state, key, data, event):
    where = {"params": params, "model_state": model_state}
    state = begin(params, (), key=key, model_state=model_state)
    return worker_gradient(step, state, data, event, **where, draw=draw, workers=workers)


def _pack(codec: Codec, workers: int, accrued, residual, key, event):
    key = jax.random.fold_in(jax.random.fold_in(key, _PACKING), event.local_step * workers + event.worker)
    return compress(codec, accrued, residual, key)


async def _acknowledged(fetches, push, task):
    """Waits until the push has arrived; returns the fetches to name in later pushes: its newest and all after that."""
    await task
    return [fetch for fetch in fetches if fetch.step >= push.fetches[-1].step]


def _added(a, b):
    return jax.tree.map(jnp.add, a, b)


_REMEDY = "Lower the learning rate, choose adagrad at the server, or bound the staleness."
