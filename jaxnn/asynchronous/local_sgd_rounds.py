"""In local SGD and DiLoCo workers descend by themselves for H steps, then agree; DiLoCo has an outer optimizer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.asynchronous.downpour_sgd import check_single
from jaxnn.asynchronous.event_scan import Cluster, Event, on_every_worker, worker_gradient
from jaxnn.asynchronous.event_simulation import COMPUTE
from jaxnn.optimizers import apply_updates
from jaxnn.training.train_state import TrainState


class LocalWorker(NamedTuple):
    """Holds a worker's own parameters, model state and optimizer state."""

    params: Any
    model_state: Any
    opt_state: Any


def local_cluster(state: TrainState, workers: int, *, outer=None) -> Cluster:
    """Returns a cluster where each worker has a copy of `state`, and the server the state of `outer`, if given.

    Raises:
      ValueError: fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1; received {workers}.")
    opt_state = () if outer is None else outer.init(state.params)
    own = LocalWorker(state.params, state.model_state, state.opt_state)
    return Cluster(state._replace(opt_state=opt_state), on_every_worker(own, workers))


def local_sgd(step, cluster: Cluster, data, *, rounds: int, local_steps: int, draw) -> tuple[Cluster, Any]:
    """Trains by local SGD (Stich 2019, arXiv 1805.09767).

    Each of the `rounds` rounds starts from the common w and has H = `local_steps` local steps:

        on every worker, H times:    x_i <- x_i + update(grad L(x_i)),        then    w, x_i <- mean of all x_i

    With H = 1 and plain SGD this is synchronous SGD. Each worker keeps its optimizer's state from round to round.

    Args:
      step: a `TrainStep` on one device.
      cluster: that of `local_cluster(state, workers)`, or that of an earlier call.
      data: dict of arrays, on the device.
      rounds: the number of rounds.
      local_steps: the number of local steps in a round; their numbers continue from round to round.
      draw: as for `downpour`.

    Returns:
      `(cluster, metrics)`: the server's step counts rounds, and the metrics are (sum, count) pairs of shape (rounds,
      local_steps, workers).

    Raises:
      ValueError: a step that sums over devices.
    """
    return _rounds(step, cluster, data, rounds, local_steps, draw, lambda server, mean: (mean, server.opt_state))


def diloco(step, cluster: Cluster, data, *, rounds: int, local_steps: int, draw, outer) -> tuple[Cluster, Any]:
    """Trains by DiLoCo (Douillard et al. 2023, arXiv 2311.08105, algorithm 1).

    After the local steps of a round, an outer optimizer treats the mean change of the workers as a gradient:

        Delta = w - mean of all x_i,        w <- w + outer(Delta),        x_i <- w

    The paper's inner optimizer is AdamW with H = 500 local steps; its outer optimizer is
    `sgd(0.7, momentum=0.9, nesterov=True)`. With `outer=sgd(1.0)` this is local SGD.

    Args:
      cluster: that of `local_cluster(state, workers, outer=outer)`, or that of an earlier call.
      outer: a pair (init, update), from `jaxnn.optimizers` or Optax. The other arguments are those of `local_sgd`.

    Returns:
      `(cluster, metrics)`, as `local_sgd`.

    Raises:
      ValueError: a step that sums over devices.
    """

    def agree(server, mean):
        delta = jax.tree.map(jnp.subtract, server.params, mean)
        updates, opt_state = outer.update(delta, server.opt_state, server.params)
        return apply_updates(server.params, updates), opt_state

    return _rounds(step, cluster, data, rounds, local_steps, draw, agree)


def local_step(step, server, own: LocalWorker, data, event: Event, *, draw, workers: int):
    """Makes one step of a worker on its own, with the server's key; returns `(own, metrics)`."""
    where = {"params": own.params, "model_state": own.model_state}
    grads, metrics, model_state = worker_gradient(step, server, data, event, **where, draw=draw, workers=workers)
    state = step.descend(server._replace(params=own.params, opt_state=own.opt_state), grads, model_state)
    return LocalWorker(state.params, state.model_state, state.opt_state), metrics


def _rounds(step, cluster, data, rounds, local_steps, draw, agree):
    check_single(step)
    workers = jax.tree.leaves(cluster.workers)[0].shape[0]
    numbers = jnp.arange(workers, dtype=jnp.int32)

    def on_all(server, own, k):
        one = lambda own, worker: local_step(
            step, server, own, data, Event(COMPUTE, worker, k), draw=draw, workers=workers
        )
        return jax.vmap(one)(own, numbers)

    def one_round(cluster, _):
        server, own = cluster
        first = server.step * local_steps
        own, metrics = lax.scan(lambda own, h: on_all(server, own, first + h), own, jnp.arange(local_steps))
        params, opt_state = agree(server, averaged(own.params))
        model_state, step = averaged(own.model_state), server.step + 1
        server = server._replace(step=step, params=params, model_state=model_state, opt_state=opt_state)
        common = on_every_worker((server.params, server.model_state), workers)
        return Cluster(server, LocalWorker(*common, own.opt_state)), metrics

    return lax.scan(one_round, cluster, length=rounds)


def averaged(tree):
    """Returns the mean over the leading axis, in the dtype of each leaf."""
    return jax.tree.map(lambda x: jnp.mean(x, axis=0).astype(x.dtype), tree)
