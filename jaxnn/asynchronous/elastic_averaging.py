"""Elastic averaging lets workers explore by themselves while a spring ties each of them to a common centre."""

from typing import Any

import jax

from jaxnn.asynchronous.downpour_sgd import check_single
from jaxnn.asynchronous.event_scan import Cluster, measured, no_metrics, run_events
from jaxnn.asynchronous.event_simulation import Program
from jaxnn.asynchronous.local_sgd_rounds import local_step


def easgd(step, cluster: Cluster, data, program: Program, *, draw, alpha) -> tuple[Cluster, Any]:
    """Trains by asynchronous EASGD (Zhang, Choromanska and LeCun 2015, arXiv 1412.6651, algorithm 1).

    With the centre c and the parameters x_i of worker i:

        COMPUTE    x_i <- x_i + update(grad L(x_i; batch of (key, i, local step)))
        PUSH       x_i, c <- x_i - alpha (x_i - c), c + alpha (x_i - c)

    The push keeps x_i + c for any alpha: the centre gains what the worker loses. It is stable for alpha in (0, 1); the
    paper uses alpha = 0.9 / N and a push every tau = 10 gradients or more. A step with Nesterov's momentum gives the
    paper's EAMSGD. In the paper the gradient that follows a push is that of x_i before the push; here it is that of x_i
    after the push, as in `torch-distlearn`.

    Args:
      step: a `TrainStep` on one device; each worker has its own optimizer state.
      cluster: that of `local_cluster(state, workers)`. The server's parameters are the centre.
      data: dict of arrays, on the device.
      program: from `simulate(times, n_push=tau, n_fetch=None)`: a worker fetches only when it joins.
      draw: as for `downpour`.
      alpha: the strength of the spring, a number that may be traced.

    Returns:
      `(cluster, metrics)`, as `downpour`. The server's step counts the pushes, and their staleness is 0, because a push
      reads the centre that it changes.

    Raises:
      ValueError: a step that sums over devices, or a program of more workers than the cluster's.
    """
    check_single(step)
    workers = jax.tree.leaves(cluster.workers)[0].shape[0]
    nothing = no_metrics(step, cluster.server, data, draw=draw)

    def fetch(server, own, event):
        return server, own._replace(params=server.params, model_state=server.model_state), measured(nothing)

    def compute(server, own, event):
        own, metrics = local_step(step, server, own, data, event, draw=draw, workers=workers)
        return server, own, measured(nothing, **metrics)

    def push(server, own, event):
        x, c = elastic(own.params, server.params, alpha)
        server = server._replace(step=server.step + 1, params=c, model_state=own.model_state)
        return server, own._replace(params=x), measured(nothing, staleness=0)

    return run_events((fetch, compute, push), cluster, program)


def elastic(x, c, alpha):
    """Returns `(x - d, c + d)` with d = alpha (x - c), leaf by leaf.

    >>> [float(part) for part in elastic(jax.numpy.float32(1.0), jax.numpy.float32(0.0), 0.25)]
    [0.75, 0.25]
    """
    d = jax.tree.map(lambda x, c: (alpha * (x - c)).astype(x.dtype), x, c)
    return jax.tree.map(lambda x, d: x - d, x, d), jax.tree.map(lambda c, d: c + d, c, d)
