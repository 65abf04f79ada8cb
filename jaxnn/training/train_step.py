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
    """

    model: Any
    loss: Callable[..., jax.Array]
    update: Callable[..., tuple[Any, Any]]
    metrics: tuple[tuple[str, Callable[..., jax.Array]], ...] = ()
    preprocess: Callable[[jax.Array], jax.Array] = as_float
    fields: tuple[str, str] = ("image", "label")

    def __post_init__(self):
        object.__setattr__(self, "model", FunctionalModel(self.model))

    def __call__(self, state: TrainState, batch):
        """One update; the metrics are (sum, count) pairs of the forward pass before it."""
        objective = partial(self._objective, state=state, batch=batch)
        (loss, (metrics, model_state)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        extra = passable(self.update, value=loss, grad=grads, value_fn=lambda params: objective(params)[0])
        updates, opt_state = self.update(grads, state.opt_state, state.params, **extra)
        params = apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, model_state, opt_state, state.key), metrics

    def _objective(self, params, state, batch):
        inputs, targets = (batch[name] for name in self.fields)
        key = stream_key(state.key, "dropout", state.step)
        outputs, model_state = self.model.apply(params, state.model_state, self.preprocess(inputs), train=True, key=key)
        metrics = measure(outputs, targets, batch["mask"], (("loss", self.loss), *self.metrics))
        loss = metrics["loss"].sum / jnp.maximum(metrics["loss"].count, 1)
        return loss, (metrics, model_state)


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
