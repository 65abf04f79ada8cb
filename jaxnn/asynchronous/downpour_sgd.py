"""Downpour SGD with a parameter server is simulated here exactly, also stale-synchronous and delay-compensated.

These variants differ in the order of events (`event_simulation.simulate`: n_push, n_fetch, the bound of
stale-synchronous parallel) and in how the server applies a gradient that is late.
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
    """Holds the state of a Downpour worker: parameters, model state, the last fetch, and gradients not yet pushed.

    `fetched` are the parameters as fetched, `version` is their version, and `accrued` is the sum of the gradients that
    the worker has not yet pushed.
    """

    params: Any
    model_state: Any
    fetched: Any
    version: jax.Array
    accrued: Any


def replicate(state: TrainState, workers: int) -> Cluster:
    """Returns the cluster before the first event, where every worker has fetched the server's `state`.

    Raises:
      ValueError: fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1; received {workers}.")
    replica = Replica(state.params, state.model_state, state.params, state.step, zeros_like(state.params))
    return Cluster(state, on_every_worker(replica, workers))


def downpour(
    step, cluster: Cluster, data, program: Program, *, draw, local_rate=None, compensation=None, weight=None
) -> tuple[Cluster, Any]:
    """Trains by Downpour SGD (Dean et al., NIPS 2012), event by event.

    The server has the parameters w. Worker i has the parameters w_i, the fetched parameters f_i and the sum a_i of the
    gradients that it has not yet pushed:

        FETCH      w_i, f_i <- w
        COMPUTE    g = grad L(w_i; batch of (key, i, local step)),    a_i <- a_i + g,    w_i <- w_i - local_rate g
        PUSH       w <- w + update(a_i),    a_i <- 0

    The server's `update` may be that of any first-order optimizer. The paper uses AdaGrad, which tolerates staleness
    that plain SGD at the same progress does not. Without staleness this is SGD, bit for bit. A late gradient may be
    corrected:

        a_i + lambda a_i * a_i * (w - f_i)           `compensation` = lambda (Zheng et al. 2017, arXiv 1609.08326):
                                                     the Hessian approximated by the diagonal of g g^T
        weight(staleness) a_i                        1 / max(tau, 1): Zhang et al. 2015, arXiv 1511.05950;
                                                     0 drops it: Ringmaster, arXiv 2501.16168

    The function is pure: `jax.jit` it with `step`, `draw` and the functions bound, or `jax.vmap` it over states with
    different learning rates (`optimizers.adjustable`). Batch statistics are sent with the parameters; the server keeps
    those of the last push.

    Args:
      step: a `TrainStep` on one device.
      cluster: that of `replicate(state, workers)`, or that after an earlier program.
      data: dict of arrays of one length, on the device.
      program: a `Program`, from `simulate`, `in_turns` or `program_of`.
      draw: `draw(key, worker, local_step) -> rows`, such as `Shards`.
      local_rate: the learning rate of a worker for its own gradients between fetches, as in the paper; None: it applies
        none of them.
      compensation: lambda; None for no compensation. Meant for n_push = 1.
      weight: function of the staleness, a float32 scalar; None for 1.

    Returns:
      `(cluster, metrics)`: the metrics are (sum, count) pairs of shape (events,). Those of the step count where a
      worker computed; "staleness", the number of updates since the worker's last fetch, counts where it pushed.

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
    """Computes the server's last state of a logged run, bit for bit if the gradients are computed in the same way.

    Args:
      step, data: as in the run.
      state: the state with which the run began.
      log: rows (worker, local step, version read, version applied), in any order; NumPy arrays or lists.
      workers: the number of workers in the run.
      settings: `draw` and the other keyword arguments of `downpour`.

    Returns:
      `(state, metrics)`: the server's state, and the metrics of `downpour`.

    Raises:
      ValueError: a log with gaps, or with an impossible order.
    """
    cluster, metrics = downpour(step, replicate(state, workers), data, program_of(log), **settings)
    return cluster.server, metrics


def compensated(grads, params, fetched, strength):
    """Estimates the gradient at `params` from the gradient at `fetched`, to first order: g + lambda g * g * (w - f).

    >>> float(compensated(jnp.float32(2.0), jnp.float32(1.5), jnp.float32(1.0), 0.5))
    3.0
    """
    correct = lambda g, w, f: (g + strength * g * g * (w - f)).astype(g.dtype)
    return jax.tree.map(correct, grads, params, fetched)


def descended(params, grads, rate):
    """Returns `w - rate g`, in the dtypes of the parameters."""
    return jax.tree.map(lambda w, g: (w - rate * g).astype(w.dtype), params, grads)


def check_single(step) -> None:
    """Raises ValueError for a step that sums over devices, because each worker's gradient must stay separate."""
    if step.axis_name is not None:
        raise ValueError(
            f"`step` must be of one device; received axis_name={step.axis_name!r}. Leave `axis_name` out: the server "
            "sums, not the step."
        )
