"""Downpour SGD runs here on real devices in lock-step: each has its own stale replica, and all push in turn.

The devices of one program cannot be asynchronous, but they can reproduce one asynchronous order exactly: that of
equally fast workers, whose updates are N - 1 versions late from the second wave on.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxnn.asynchronous.downpour_sgd import check_single
from jaxnn.asynchronous.event_scan import Event, worker_gradient
from jaxnn.asynchronous.event_simulation import COMPUTE
from jaxnn.naming import unknown
from jaxnn.training.train_state import TrainState

AXIS = "workers"
DRIVERS = ("shard_map", "pmap", "vmap")


def downpour_waves(
    step, state: TrainState, data, *, workers: int, waves: int, draw, driver: str = "shard_map", devices=None
) -> tuple[TrainState, Any]:
    """Trains by Downpour SGD in waves, with one worker on each device.

    In each wave every worker computes a gradient at its replica; then every device applies all N updates in turn:

        g_i = grad L(w_i; batch of (key, i, wave)),        gathered from all devices
        for i = 1, ..., N:    w <- w + update(g_i),    w_i <- w

    This is `downpour` with the events of `simulate(WorkerTimes(N), pushes=N * waves)`, except that N devices compute
    the gradients side by side instead of one after another.

    Args:
      step: a `TrainStep` on one device, without an axis name.
      state: the server's state, with which every worker starts.
      data: dict of arrays, on every device.
      workers: the number of workers, one on each device except under "vmap".
      waves: the number of gradients of each worker.
      draw: as for `downpour`.
      driver: "shard_map", "pmap", or "vmap", which maps over the workers on one device.
      devices: by default the first `workers` of all devices.

    Returns:
      `(state, metrics)`: the server's state, and (sum, count) pairs of shape (workers, waves).

    Raises:
      ValueError: an unknown driver, a step that sums over devices, fewer devices than workers.
    """
    check_single(step)
    if driver not in DRIVERS:
        raise unknown("driver", driver, DRIVERS)
    own = partial(_own_waves, step, draw, workers, waves)
    numbers = jnp.arange(workers, dtype=jnp.int32)
    if driver == "vmap":
        states, metrics = jax.vmap(own, in_axes=(None, None, 0), axis_name=AXIS)(state, data, numbers)
        return jax.tree.map(lambda x: x[0], states), metrics
    devices = _devices(devices, workers)
    if driver == "pmap":
        axes = {"in_axes": (None, None, 0), "out_axes": (None, 0)}
        return jax.pmap(own, axis_name=AXIS, devices=devices, **axes)(state, data, numbers)
    mesh = Mesh(np.array(devices), (AXIS,))
    specs = {"in_specs": (P(), P(), P(AXIS)), "out_specs": (P(), P(AXIS))}
    return jax.shard_map(partial(_squeezed, own), mesh=mesh, check_vma=False, **specs)(state, data, numbers)


def _own_waves(step, draw, workers, waves, server, data, worker):
    """Runs the waves of one device; all devices end with the same `server`."""

    def wave(carry, k):
        server, (params, model_state) = carry
        event, where = Event(COMPUTE, worker, k), {"params": params, "model_state": model_state}
        grads, metrics, model_state = worker_gradient(step, server, data, event, **where, draw=draw, workers=workers)
        server, history = lax.scan(apply, server, lax.all_gather((grads, model_state), AXIS))
        return (server, jax.tree.map(lambda h: h[worker], history)), metrics

    def apply(server, pushed):
        server = step.descend(server, *pushed)
        return server, (server.params, server.model_state)

    start = server, (server.params, server.model_state)
    (server, _), metrics = lax.scan(wave, start, server.step // workers + jnp.arange(waves, dtype=jnp.int32))
    return server, metrics


def _squeezed(own, state, data, numbers):
    """Runs `own` on one device of a mesh, where the axis of workers has length 1."""
    state, metrics = own(state, data, numbers[0])
    return state, jax.tree.map(lambda x: x[None], metrics)


def _devices(devices: Sequence | None, workers: int) -> list:
    devices = list(jax.devices() if devices is None else devices)
    if len(devices) < workers:
        raise ValueError(
            f"`workers` must be at most the number of devices, {len(devices)}; received {workers}. On CPU, "
            f'jax.config.update("jax_num_cpu_devices", {workers}) before the first computation; or driver="vmap".'
        )
    return devices[:workers]
