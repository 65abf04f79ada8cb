"""The one pure step. It knows no device, no loop and no file; everything else is a transformation of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.metrics import masked_mean
from jaxnn.optimizers import apply_updates
from jaxnn.preprocessing import as_float
from jaxnn.signatures import passable
from jaxnn.training.functional_model import FunctionalModel
from jaxnn.training.train_state import TrainState, stream_key


@dataclass(frozen=True)
class TrainStep:
    """`step(state, batch) -> (state, metrics)`: forward, loss, gradient, update.

    A value, equal to another with equal fields: what is compiled for one serves the other.

    Args:
      model: a linen module or a pair (init, apply).
      loss: `loss(outputs, targets) -> per-example array`; its mean over the mask is minimized.
      update: the optimizer's; one that takes more than the gradient gets `value`, `grad` and `value_fn`, the loss of
        this batch: what plateaus, line searches and second-order methods need.
      metrics: pairs (name, metric), metric as loss; reported next to "loss".
      preprocess: pure function of the inputs.
      fields: the batch's names for inputs and targets.
      axis_name: of the mapped devices, each of which has a part of the batch; gradient and metrics are those of the
        whole. Under `shard_map` with `check_vma=False`, `pmap` or `vmap`.
    """

    model: Any
    loss: Callable[..., jax.Array]
    update: Callable[..., tuple[Any, Any]]
    metrics: tuple[tuple[str, Callable[..., jax.Array]], ...] = ()
    preprocess: Callable[[jax.Array], jax.Array] = as_float
    fields: tuple[str, str] = ("image", "label")
    axis_name: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "model", FunctionalModel(self.model))

    def __call__(self, state: TrainState, batch):
        """One update; the metrics are (sum, count) pairs of the forward pass before it."""
        grads, metrics, model_state = self.gradient(state, batch)
        loss = metrics["loss"].sum / jnp.maximum(metrics["loss"].count, 1)
        value_fn = lambda params: self._summed(self.objective(params, state, batch)[0])  # noqa: E731
        return self.descend(state, grads, model_state, value=loss, grad=grads, value_fn=value_fn), metrics

    def gradient(self, state: TrainState, batch):
        """`(grads, metrics, model_state)` at `state.params`: what a worker computes."""
        objective = partial(self.objective, state=state, batch=batch)
        (_, (metrics, model_state)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        return self._summed(grads), self._summed(metrics), self._averaged(model_state)

    def descend(self, state: TrainState, grads, model_state, **extra) -> TrainState:
        """The next state: what a parameter server computes. `extra`: for optimizers that ask for more."""
        updates, opt_state = self.update(grads, state.opt_state, state.params, **passable(self.update, **extra))
        return TrainState(state.step + 1, apply_updates(state.params, updates), model_state, opt_state, state.key)

    def objective(self, params, state, batch):
        """The mean loss over the mask (this device's share of it), and `(metrics, model_state)` of this device."""
        inputs, targets = (batch[name] for name in self.fields)
        key = stream_key(state.key, "dropout", state.step)
        if self.axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(self.axis_name))
        outputs, model_state = self.model.apply(params, state.model_state, self.preprocess(inputs), train=True, key=key)
        metrics = measure(outputs, targets, batch["mask"], (("loss", self.loss), *self.metrics))
        count = self._summed(metrics["loss"].count)
        return metrics["loss"].sum / jnp.maximum(count, 1), (metrics, model_state)

    def _summed(self, tree):
        """Over the devices."""
        return tree if self.axis_name is None else jax.lax.psum(tree, self.axis_name)

    def _averaged(self, tree):
        """Statistics of each device's examples, such as batch norm's, become one."""
        return tree if self.axis_name is None else jax.lax.pmean(tree, self.axis_name)


@dataclass(frozen=True)
class EvaluationStep:
    """`step(params, model_state, batch) -> metrics`: the same measures without an update; fields as `TrainStep`."""

    model: Any
    metrics: tuple[tuple[str, Callable[..., jax.Array]], ...]
    preprocess: Callable[[jax.Array], jax.Array] = as_float
    fields: tuple[str, str] = ("image", "label")

    def __post_init__(self):
        object.__setattr__(self, "model", FunctionalModel(self.model))

    def __call__(self, params, model_state, batch):
        """The (sum, count) pairs of one batch."""
        inputs, targets = (batch[name] for name in self.fields)
        outputs, _ = self.model.apply(params, model_state, self.preprocess(inputs), train=False, key=None)
        return measure(outputs, targets, batch["mask"], self.metrics)


def measure(outputs, targets, mask, metrics):
    """Each metric, reduced over the mask: name -> (sum, count)."""
    return {name: masked_mean(metric(outputs, targets), mask) for name, metric in metrics}
