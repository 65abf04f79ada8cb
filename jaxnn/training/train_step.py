"""`TrainStep` is the one pure step of training.

It knows no device, no loop and no file; everything else is a transformation of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.optimizers import apply_updates
from jaxnn.signatures import passable
from jaxnn.training.compilation import as_value
from jaxnn.training.key_streams import Keys
from jaxnn.training.objectives import means_of
from jaxnn.training.train_state import TrainState


@dataclass(frozen=True)
class TrainStep:
    """Is `step(state, batch) -> (state, metrics)`, which measures the loss, differentiates it and updates the state.

    Two instances with equal fields are equal, and share one compiled program.

    Args:
      objective: `objective(params, model_state, batch, keys, *, train) -> (Measures, model_state)`, such as
        `supervised(model, loss)`; the mean of its loss is minimized.
      update: the optimizer's update. An update that takes more than the gradient gets `value`, `grad` and `value_fn`,
        the loss of this batch, its gradient, and the loss as a function of params. Plateaus, line searches and
        second-order methods need these.
      axis_name: the axis of mapped devices, each of which has a part of the batch; gradient and metrics are those of
        the whole batch. It is for `shard_map` with `check_vma=False`, `pmap` or `vmap`.
    """

    objective: Callable[..., Any]
    update: Callable[..., tuple[Any, Any]]
    axis_name: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "objective", as_value(self.objective))
        object.__setattr__(self, "update", as_value(self.update))

    def __call__(self, state: TrainState, batch):
        """Makes one update; the metrics are (sum, count) pairs of the forward pass before the update."""
        grads, metrics, model_state = self.gradient(state, batch)
        value_fn = lambda params: self._summed(self.mean_loss(params, state, batch)[0])
        state = self.descend(state, grads, model_state, value=_mean(metrics["loss"]), grad=grads, value_fn=value_fn)
        seen = self._summed(jnp.sum(batch["mask"], dtype=jnp.uint32))
        return state._replace(examples=state.examples + seen), metrics

    def gradient(self, state: TrainState, batch):
        """Computes `(grads, metrics, model_state)` at `state.params`, the work of a worker."""
        loss = partial(self.mean_loss, state=state, batch=batch)
        (_, (metrics, model_state)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        return self._summed(grads), self._summed(metrics), self._averaged(model_state)

    def descend(self, state: TrainState, grads, model_state, **extra) -> TrainState:
        """Computes the next state, the work of a parameter server; `extra` is for updates that take more arguments."""
        updates, opt_state = self.update(grads, state.opt_state, state.params, **passable(self.update, **extra))
        params = apply_updates(state.params, updates)
        return state._replace(step=state.step + 1, params=params, model_state=model_state, opt_state=opt_state)

    def mean_loss(self, params, state, batch):
        """Computes the mean loss over the batch (this device's share of it), and its `(metrics, model_state)`."""
        part = None if self.axis_name is None else jax.lax.axis_index(self.axis_name)
        keys = Keys(state.key, state.step, part)
        measures, model_state = self.objective(params, state.model_state, batch, keys, train=True)
        metrics = means_of(measures, batch["mask"])
        whole = metrics["loss"]._replace(count=self._summed(metrics["loss"].count))
        return _mean(whole), (metrics, model_state)

    def _summed(self, tree):
        """Sums over the devices."""
        return tree if self.axis_name is None else jax.lax.psum(tree, self.axis_name)

    def _averaged(self, tree):
        """Averages statistics of each device's examples, such as batch norm's, over the devices."""
        return tree if self.axis_name is None else jax.lax.pmean(tree, self.axis_name)


def _mean(pair):
    """Returns the mean of a (sum, count) pair, 0 where nothing was counted."""
    return pair.sum / jnp.where(pair.count > 0, pair.count, 1)
