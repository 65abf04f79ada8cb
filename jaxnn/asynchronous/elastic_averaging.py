"""Elastic averaging: workers that explore by themselves, tied to a common centre by a spring."""

from typing import Any

import jax

from jaxnn.asynchronous.downpour_sgd import check_single
from jaxnn.asynchronous.event_scan import Cluster, measured, no_metrics, run_events
from jaxnn.asynchronous.event_simulation import Program
from jaxnn.asynchronous.local_sgd_rounds import local_step


def easgd(step, cluster: Cluster, data, program: Program, *, draw, alpha) -> tuple[Cluster, Any]:
    """Asynchronous EASGD (Zhang, Choromanska and LeCun 2015, arXiv 1412.6651, algorithm 1). With the centre c:

        COMPUTE    x_i <- x_i + update(grad L(x_i; batch of (key, i, local step)))
        PUSH       x_i, c <- x_i - alpha (x_i - c), c + alpha (x_i - c)

    The move keeps x_i + c, for any alpha: what a worker gives the centre has. Stable for alpha in (0, 1); the paper
    takes alpha = 0.9 / N and a push every tau = 10 gradients or more. A step with Nesterov's momentum is its EAMSGD.
    There the gradient that follows a move is of the x_i before it; here of the one after, as in `torch-distlearn`.

    Args:
      step: a `TrainStep` on one device; its optimizer is each worker's own.
      cluster: of `local_cluster(state, workers)`. The server's parameters are the centre.
      data: dict of arrays, on the device.
      program: of `simulate(times, n_push=tau, n_fetch=None)`: a worker fetches only when it joins.
      draw: as for `downpour`.
      alpha: of the spring: a number, traced or not.

    Returns:
      `(cluster, metrics)`, as `downpour`; the server's step counts the moves, and their staleness is 0: a move reads
      the centre that it changes.

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
    """`(x - d, c + d)` with d = alpha (x - c), leaf by leaf.

    >>> [float(part) for part in elastic(jax.numpy.float32(1.0), jax.numpy.float32(0.0), 0.25)]
    [0.75, 0.25]
    """
    d = jax.tree.map(lambda x, c: (alpha * (x - c)).astype(x.dtype), x, c)
    return jax.tree.map(lambda x, d: x - d, x, d), jax.tree.map(lambda c, d: c + d, c, d)
