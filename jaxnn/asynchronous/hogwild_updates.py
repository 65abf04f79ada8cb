"""Hogwild workers read and write the same parameters without a lock, simulated here coordinate by coordinate.

Two threads cannot write the same JAX array, so the inconsistency itself is simulated: a worker that reads while others
write sees each coordinate as it was at a different moment.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn.asynchronous.downpour_sgd import check_single
from jaxnn.asynchronous.event_logs import Log
from jaxnn.asynchronous.event_scan import Event, worker_gradient
from jaxnn.asynchronous.event_simulation import COMPUTE
from jaxnn.asynchronous.staleness_counts import staleness_of
from jaxnn.training.key_streams import stream_key
from jaxnn.training.train_state import TrainState


def hogwild(step, state: TrainState, data, log: Log, *, workers: int, draw) -> tuple[TrainState, Any]:
    """Trains by lock-free updates (Recht et al. 2011, arXiv 1106.5730).

    For update t, of staleness tau_t, each coordinate j is read at a random version between the one at which the worker
    began to read and the present one, and every write is atomic:

        w^_j = (w at version t - d_j)_j,    d_j uniform in 0, ..., tau_t,        w <- w + update(grad L(w^))

    With tau = 0 this is sequential SGD, bit for bit. The paper's convergence rates are for sparse gradients and bounded
    tau; the dense gradients here are the hard case.

    Args:
      step: a `TrainStep` on one device; its update is applied to all coordinates at once.
      state: the state before the first update.
      data: dict of arrays, on the device.
      log: a log with n_push = 1, in the order of the updates, such as `log_of(simulate(...))`. It must hold NumPy
        arrays, because its largest staleness decides how many versions are kept.
      workers: the number of workers.
      draw: as for `downpour`.

    Returns:
      `(state, metrics)`: the metrics are (sum, count) pairs of shape (updates,).

    Raises:
      ValueError: a step that sums over devices, or a log out of order or with several gradients in one update.
    """
    check_single(step)
    delays = staleness_of(log)
    if not np.array_equal(log.version_applied, np.arange(len(delays))) or delays.min(initial=0) < 0:
        raise ValueError(
            "`log` must have one gradient for each of the versions 0, 1, 2, ..., in order, none read before it was "
            f"there; received versions {np.asarray(log.version_applied)[:8].tolist()}, ..."
        )
    kept = int(delays.max(initial=0)) + 1
    ring = jax.tree.map(lambda w: jnp.broadcast_to(w, (kept, *w.shape)), state.params)

    def update(carry, row):
        state, ring = carry
        worker, local_step, delay, version = row
        key = stream_key(jax.random.fold_in(state.key, worker), "order", local_step)
        params = torn(ring, version, delay, key=key)
        where = {"params": params, "model_state": state.model_state, "draw": draw, "workers": workers}
        grads, metrics, model_state = worker_gradient(step, state, data, Event(COMPUTE, worker, local_step), **where)
        state = step.descend(state, grads, model_state)
        slot = (version + 1) % kept
        return (state, jax.tree.map(lambda r, w: r.at[slot].set(w), ring, state.params)), metrics

    rows = tuple(jnp.asarray(x, jnp.int32) for x in (log.worker, log.local_step, delays, log.version_applied))
    (state, _), metrics = lax.scan(update, (state, ring), rows)
    return state, metrics


def torn(ring, version, delay, *, key):
    """Reads each coordinate at its own random version, uniform in `version - delay, ..., version`.

    Args:
      ring: a tree of arrays (kept, ...), where slot v % kept holds version v.
      version, delay: int32 scalars, with `delay` below `kept`.
      key: a typed key.

    >>> ring = jnp.arange(3.0)[:, None] * jnp.ones(1000)
    >>> read = torn(ring, 2, 1, key=jax.random.key(0))
    >>> sorted(set(read.tolist())), torn(ring, 2, 0, key=jax.random.key(0)).min()
    ([1.0, 2.0], Array(2., dtype=float32))
    """
    leaves, tree = jax.tree.flatten(ring)

    def read(number, r):
        late = jax.random.randint(jax.random.fold_in(key, number), (1, *r.shape[1:]), 0, delay + 1)
        return jnp.take_along_axis(r, (version - late) % len(r), axis=0)[0]

    return tree.unflatten([read(number, r) for number, r in enumerate(leaves)])
