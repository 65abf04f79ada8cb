"""Asynchronous SGD with a parameter server, exactly simulated: Downpour, stale-synchronous, delay-compensated.

They differ in the order of events (`event_times.simulate`: n_push, n_fetch, the bound of stale-synchronous parallel)
and in what the server makes of a gradient that is late.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.asynchronous.event_logs import Log, program_of
from jaxnn.asynchronous.event_scan import Cluster, measured, no_metrics, on_every_worker, run_events, worker_gradient
from jaxnn.asynchronous.event_simulation import Program
from jaxnn.optimizers.gradient_transformation import zeros_like
from jaxnn.training.train_state import TrainState


class Replica(NamedTuple):
    """What a Downpour worker holds: its parameters and model state, the parameters as fetched and their version, and
    the sum of the gradients that it has not yet pushed.
    """

    params: Any
    model_state: Any
    fetched: Any
    version: jax.Array
    accrued: Any


def replicate(state: TrainState, workers: int) -> Cluster:
    """The cluster before the first event: every worker has fetched `state`, which is the server's.

    Raises:
      ValueError: no workers.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1; received {workers}.")
    replica = Replica(state.params, state.model_state, state.params, state.step, zeros_like(state.params))
    return Cluster(state, on_every_worker(replica, workers))


def downpour(
    step, cluster: Cluster, data, program: Program, *, draw, local_rate=None, compensation=None, weight=None
) -> tuple[Cluster, Any]:
    """Downpour SGD (Dean et al., NIPS 2012), event by event. With the server's w, and w_i, f_i, a_i of worker i:

        FETCH      w_i, f_i <- w
        COMPUTE    g = grad L(w_i; batch of (key, i, local step)),    a_i <- a_i + g,    w_i <- w_i - local_rate g
        PUSH       w <- w + update(a_i),    a_i <- 0

    The server's `update` is any first-order optimizer: the paper's is AdaGrad, which bears staleness that plain SGD at
    the same progress does not. Without staleness this is SGD, bit for bit. A late gradient may be corrected:

        a_i + lambda a_i * a_i * (w - f_i)           `compensation` = lambda (Zheng et al. 2017, arXiv 1609.08326):
                                                     the Hessian approximated by the diagonal of g g^T
        weight(staleness) a_i                        1 / max(tau, 1): Zhang et al. 2015, arXiv 1511.05950;
                                                     0 drops it: Ringmaster, arXiv 2501.16168

    A pure function: `jax.jit` it with `step`, `draw` and the functions bound, `jax.vmap` it over states with learning
    rates of their own (`optimizers.adjustable`). Batch statistics travel with the parameters: who pushes last is kept.

    Args:
      step: a `TrainStep` on one device.
      cluster: of `replicate(state, workers)`, or of an earlier program.
      data: dict of arrays of one length, on the device.
      program: of `simulate`, `in_turns` or `program_of`.
      draw: `draw(key, worker, local_step) -> rows`, such as `Shards`.
      local_rate: with which a worker applies its own gradients between fetches, as in the paper; None: not at all.
      compensation: lambda; None for none. Meant for n_push = 1.
      weight: function of the staleness, a float32 scalar; None for 1.

    Returns:
      `(cluster, metrics)`: (sum, count) pairs (events,), those of the step where a worker computed, "staleness" where
      the server applied: the updates since the worker's last fetch.

    Raises:
      ValueError: a step that sums over devices, or a program of more workers than the cluster's.
    """
    check_single(step)
    workers = cluster.workers.version.shape[0]
    nothing = no_metrics(step, cluster.server, data, draw=draw)

    def fetch(server, own, event):
        fetched = Replica(server.params, server.model_state, server.params, server.step, own.accrued)
        return server, fetched, measured(nothing)

    def compute(server, own, event):
        where = {"params": own.params, "model_state": own.model_state}
        g, metrics, model_state = worker_gradient(step, server, data, event, **where, draw=draw, workers=workers)
        params = own.params if local_rate is None else descended(own.params, g, local_rate)
        accrued = jax.tree.map(jnp.add, own.accrued, g)
        return server, Replica(params, model_state, own.fetched, own.version, accrued), measured(nothing, **metrics)

    def push(server, own, event):
        late = jnp.asarray(server.step - own.version, jnp.float32)
        g = own.accrued if compensation is None else compensated(own.accrued, server.params, own.fetched, compensation)
        g = g if weight is None else jax.tree.map(lambda g: (weight(late) * g).astype(g.dtype), g)
        server = step.descend(server, g, own.model_state)
        return server, own._replace(accrued=zeros_like(own.accrued)), measured(nothing, staleness=late)

    return run_events((fetch, compute, push), cluster, program)


def replay(step, state: TrainState, data, log: Log, *, workers: int, **settings) -> tuple[TrainState, Any]:
    """The server's state that a logged run ended at, bit for bit where the gradients are computed alike.

    Args:
      step, data: as in the run.
      state: with which the run began.
      log: rows (worker, local step, version read, version applied), in any order; NumPy arrays or lists.
      workers: how many took part.
      settings: `draw` and the others of `downpour`.

    Returns:
      `(state, metrics)`, as `downpour`.

    Raises:
      ValueError: a log with gaps or of an order that cannot have been.
    """
    cluster, metrics = downpour(step, replicate(state, workers), data, program_of(log), **settings)
    return cluster.server, metrics


def compensated(grads, params, fetched, strength):
    """The gradient at `params` to first order, from that at `fetched`: g + lambda g * g * (w - f).

    >>> float(compensated(jnp.float32(2.0), jnp.float32(1.5), jnp.float32(1.0), 0.5))
    3.0
    """
    correct = lambda g, w, f: (g + strength * g * g * (w - f)).astype(g.dtype)
    return jax.tree.map(correct, grads, params, fetched)


def descended(params, grads, rate):
    """`w - rate g`, in the parameters' dtypes."""
    return jax.tree.map(lambda w, g: (w - rate * g).astype(w.dtype), params, grads)


def check_single(step) -> None:
    """Raises ValueError for a step that sums over devices: a worker's gradient is its own."""
    if step.axis_name is not None:
        raise ValueError(
            f"`step` must be of one device; received axis_name={step.axis_name!r}. Leave `axis_name` out: the server "
            "sums, not the step."
        )
