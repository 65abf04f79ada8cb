"""One scan on the device runs an event program for any algorithm; an algorithm is a function for each kind of event.

Such a function is `action(server, worker's own state, event) -> (server, worker's own state, metrics)`: an event
changes only the server and one worker. The states of all workers are stacked on a leading axis.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn.asynchronous.event_simulation import COMPUTE, PUSH, Program
from jaxnn.metrics import Mean
from jaxnn.training.batching import take_batch
from jaxnn.training.key_streams import stream_key


class Event(NamedTuple):
    """Holds one event of a program, as int32 scalars."""

    kind: jax.Array
    worker: jax.Array
    local_step: jax.Array


class Cluster(NamedTuple):
    """Holds the server's `TrainState` and the states of the workers, with a leading axis (workers, ...)."""

    server: Any
    workers: Any


@dataclass(frozen=True)
class Shards:
    """Draws the rows of a worker's batch: `shards(key, worker, local_step)` returns (batch,) int32.

    Worker i of N has the rows from i n / N to (i + 1) n / N (Dean et al. 2012: a shard of the data for each replica),
    and draws from them with replacement. The rows depend only on key, worker and local step, so a step that is repeated
    after a failure sees the same batch.

    Raises:
      ValueError: no workers, more workers than examples, or an empty batch.

    >>> shards = Shards(examples=10, batch_size=4, workers=2)
    >>> rows = shards(jax.random.key(0), 1, 0)
    >>> rows.shape, bool((rows >= 5).all())
    ((4,), True)
    """

    examples: int
    batch_size: int
    workers: int

    def __post_init__(self):
        if not 1 <= self.workers <= self.examples or self.batch_size < 1:
            raise ValueError(
                "`workers` must be between 1 and `examples`, and `batch_size` at least 1; received "
                f"{self.workers}, {self.examples} and {self.batch_size}."
            )

    def __call__(self, key, worker, local_step):
        first, last = (jnp.asarray(worker + i, jnp.int32) * self.examples // self.workers for i in (0, 1))
        own = jax.random.fold_in(stream_key(key, "order", local_step), worker)
        return jax.random.randint(own, (self.batch_size,), first, last, jnp.int32)


def worker_gradient(step, server, data, event: Event, *, params, model_state, draw, workers: int):
    """Computes `(grads, metrics, model_state)` of a worker's own parameters on its own batch.

    The batch depends only on (key, worker, local step). Dropout and other random layers get as their step the number
    `local_step * workers + worker`, which counts the computations of all workers in turn; for one worker it is the
    local step.
    """
    number = event.local_step * workers + event.worker
    state = server._replace(params=params, model_state=model_state, step=number)
    return step.gradient(state, take_batch(data, draw(server.key, event.worker, event.local_step)))


def run_events(actions: tuple[Callable, ...], cluster: Cluster, program: Program) -> tuple[Cluster, Any]:
    """Runs the events and returns the cluster after them, and the metrics of all events, stacked.

    Args:
      actions: a function for each kind of event, in the order FETCH, COMPUTE, PUSH; their metrics have one structure.
      cluster: the cluster before the events; that after an earlier program continues the earlier program.
      program: NumPy or JAX arrays (events,); its times are ignored.

    Raises:
      ValueError: a worker or kind that does not exist; checked only in NumPy arrays.
    """
    _check(program, cluster)

    def one(cluster, event):
        own = jax.tree.map(lambda all_workers: all_workers[event.worker], cluster.workers)
        server, own, metrics = lax.switch(event.kind, actions, cluster.server, own, event)
        workers = jax.tree.map(lambda all_workers, x: all_workers.at[event.worker].set(x), cluster.workers, own)
        return Cluster(server, workers), metrics

    return lax.scan(one, cluster, Event(*(jnp.asarray(column, jnp.int32) for column in program[:3])))


def on_every_worker(tree, workers: int):
    """Returns a copy of the tree for each worker, on a leading axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (workers, *jnp.shape(x))), tree)


def no_metrics(step, server, data, *, draw) -> dict[str, Mean]:
    """Returns the (sum, count) pairs of an event that measures nothing: zeros of the shapes and dtypes of real ones."""
    first = lambda server, data: step.gradient(server, take_batch(data, draw(server.key, 0, server.step)))[1]
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(first, server, data))
    return {**zeros, "staleness": Mean(jnp.float32(0), jnp.float32(0))}


def measured(nothing, *, staleness=None, **metrics) -> dict[str, Mean]:
    """Returns the pairs of an event: `nothing` (of `no_metrics`) with the step's metrics or a staleness set."""
    late = {} if staleness is None else {"staleness": Mean(jnp.asarray(staleness, jnp.float32), jnp.float32(1))}
    return {**nothing, **metrics, **late}


def _check(program, cluster):
    workers = jax.tree.leaves(cluster.workers)[0].shape[0]
    kind, worker = program.kind, program.worker
    if isinstance(worker, np.ndarray) and worker.size and not 0 <= worker.min() <= worker.max() < workers:
        raise ValueError(
            f"`program` must name workers 0 to {workers - 1}; received {worker.max()}. Make a larger cluster."
        )
    if isinstance(kind, np.ndarray) and not np.isin(kind, (0, COMPUTE, PUSH)).all():
        raise ValueError(f"`program.kind` must be FETCH, COMPUTE or PUSH; received {np.unique(kind).tolist()}.")
