"""Synchronous SGD with backup workers waits in each round for the fastest workers only."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.asynchronous.downpour_sgd import check_single
from jaxnn.asynchronous.event_scan import Event, worker_gradient
from jaxnn.asynchronous.event_simulation import COMPUTE
from jaxnn.training.train_state import TrainState


def synchronous(step, state: TrainState, data, accepted, *, draw) -> tuple[TrainState, Any]:
    """Trains by synchronous SGD (Chen et al. 2016, arXiv 1604.00981).

    In every round all workers have the same parameters, and

        w <- w + update(mean of the gradients that arrived in time)

    If all gradients arrive, their mean is the gradient of the joined batch, and this is data-parallel training.

    Args:
      step: a `TrainStep` on one device.
      state: the state before the first round, or that of an earlier call.
      data: dict of arrays, on the device.
      accepted: (rounds, workers) bool, from `round_times(times, rounds, backup=b)`; at least one True in each round.
      draw: as for `downpour`; the local step of all workers is the server's step, which counts rounds.

    Returns:
      `(state, metrics)`: the metrics are (sum, count) pairs of shape (rounds, workers), of all workers.

    Raises:
      ValueError: a step that sums over devices, or `accepted` of another shape.
    """
    check_single(step)
    if jnp.ndim(accepted) != 2:
        raise ValueError(f"`accepted` must have shape (rounds, workers); received {jnp.shape(accepted)}.")
    rounds, workers = jnp.shape(accepted)
    numbers = jnp.arange(workers, dtype=jnp.int32)

    def one_round(state, row):
        arrived, k = row

        def one(worker):
            where = {"params": state.params, "model_state": state.model_state, "draw": draw, "workers": workers}
            return worker_gradient(step, state, data, Event(COMPUTE, worker, k), **where)

        grads, metrics, model_state = jax.vmap(one)(numbers)
        return step.descend(state, mean_of(grads, arrived), mean_of(model_state, arrived)), metrics

    local_steps = state.step + jnp.arange(rounds, dtype=jnp.int32)
    return lax.scan(one_round, state, (jnp.asarray(accepted, bool), local_steps))


def mean_of(tree, kept):
    """Returns the mean of the kept entries along the leading axis; the other entries may hold anything, also NaN.

    >>> mean_of(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([True, True, False]))
    Array(2., dtype=float32)
    """

    def mean(x):
        own = kept.reshape(-1, *(1,) * (x.ndim - 1))
        return (jnp.sum(jnp.where(own, x, 0), axis=0) / jnp.sum(kept)).astype(x.dtype)

    return jax.tree.map(mean, tree)
