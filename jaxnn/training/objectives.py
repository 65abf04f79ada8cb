"""An objective is one pure function that defines what is learned.

Its form is `objective(params, model_state, batch, keys, *, train)`, and it returns `(Measures, model_state)`. The loss
among the measures is minimized, and all measures are reported. A measure is one number for each example, (batch,), or
`Weighted(values, weights)`, for example with one number for each token of a sequence. The batch is a dict of arrays and
has the `mask` of the padding; padding counts for nothing, whatever its value. A measure that compares examples
(triplets, contrasts) must itself leave out the examples that the mask hides. Its batch is the rows of a device if
devices are mapped, and the whole batch otherwise (`jaxnn.parallel.placements`).

An autoencoder without labels learns to remove the noise that it draws:

>>> import numpy as np
>>> from jaxnn.optimizers import adam
>>> from jaxnn.training import Measures, make_trial, train
>>> def denoise(params, model_state, batch, keys, *, train):
...     noisy = batch["x"] + jax.random.normal(keys["noise"], batch["x"].shape) / 10
...     return Measures(((noisy @ params - batch["x"]) ** 2).sum(axis=-1)), model_state
>>> trial = make_trial(denoise, adam(0.05), lambda key, example: (jnp.zeros((2, 2)), {}))
>>> points = {"x": np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)}
>>> fitted = train(trial.step, trial.init(0, points), points, epochs=20, batch_size=16)
>>> fitted.history[-1]["train/loss"] < 0.1 * fitted.history[0]["train/loss"]
True
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.metrics import Mean
from jaxnn.preprocessing import as_float
from jaxnn.training.compilation import as_value
from jaxnn.training.functional_model import FunctionalModel

RESERVED = ("loss", "count")  # reported together with the metrics, so that no metric may have these names


class Weighted(NamedTuple):
    """Holds values with different weights, for tokens, rare classes, ...; the two arrays have one shape."""

    values: Any
    weights: Any


class Measures(NamedTuple):
    """Holds the measures of an objective on a batch.

    loss: the measure whose mean over the examples, or weighted mean, is minimized. metrics: name -> a further measure
    that is reported.
    """

    loss: Any
    metrics: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Supervised:
    """Is the objective of a model that maps inputs to targets; see `supervised`."""

    model: FunctionalModel
    loss: Callable[..., Any]
    metrics: tuple[tuple[str, Callable[..., Any]], ...]
    preprocess: Callable[[Any], Any]
    augment: Callable[[Any, Any], Any] | None
    fields: tuple[str, str]

    def __call__(self, params, model_state, batch, keys, *, train: bool):
        """Returns the loss and the metrics of the model's outputs, and the new model state."""
        inputs, targets = (batch[name] for name in self.fields)
        if train and self.augment is not None:
            inputs = self.augment(keys["augmentation"], inputs)
        outputs, model_state = self.model.apply(params, model_state, self.preprocess(inputs), train=train, keys=keys)
        metrics = {name: metric(outputs, targets) for name, metric in self.metrics}
        return Measures(self.loss(outputs, targets), metrics), model_state


def supervised(
    model,
    loss: Callable,
    *,
    metrics=(),
    preprocess: Callable = as_float,
    augment: Callable | None = None,
    fields: tuple[str, str] = ("image", "label"),
) -> Supervised:
    """Makes the objective `loss(model(preprocess(inputs)), targets)`.

    Args:
      model: a linen module or a pair of functions (init, apply).
      loss, metrics: functions of (outputs, targets) that return one number for each example, or `Weighted`; metrics is
        a dict or pairs (name, metric).
      preprocess: a pure function of the inputs.
      augment: `augment(key, inputs) -> inputs`, applied before `preprocess`, in training only.
      fields: the batch's names for inputs and targets.

    Raises:
      ValueError: `model` is not a model, or a metric has a reserved name.
    """
    check_names(dict(metrics))
    named = tuple((name, as_value(metric)) for name, metric in dict(metrics).items())
    own = as_value(loss), named, as_value(preprocess), as_value(augment), tuple(fields)
    return Supervised(FunctionalModel(model), *own)


def means_of(measures: Measures, mask) -> dict[str, Mean]:
    """Computes the loss and the metrics as (sum, count) pairs without padding; counts are sums of weights.

    Raises:
      ValueError: a result that is not `Measures`, a measure that is neither one number for each example nor a suitable
        `Weighted`, or a metric with a reserved name.
    """
    if not isinstance(measures, Measures):
        raise ValueError(
            f"an objective must return (Measures, model_state); received a {type(measures).__name__}. Wrap what it "
            "measures: Measures(loss, {name: metric})."
        )
    check_names(measures.metrics)
    return {name: _mean(name, measure, mask) for name, measure in {"loss": measures.loss, **measures.metrics}.items()}


def check_names(metrics) -> None:
    """Raises ValueError for a metric with a reserved name."""
    for name in RESERVED:
        if name in metrics:
            raise ValueError(
                f"`metrics` must not name {name!r}, which is reported beside them; received {sorted(metrics)}. Rename "
                "it."
            )


def _mean(name, measure, mask):
    values, weights = measure if isinstance(measure, Weighted) else (measure, None)
    shape = jnp.shape(values)
    if weights is None and shape != mask.shape:
        raise ValueError(
            f"{name!r} must be one number for each example, of shape {mask.shape}; received {shape}. Sum or average "
            "over the other axes, or return Weighted(values, weights) for a number for each token."
        )
    if weights is None:
        return Mean(jnp.sum(jnp.where(mask, values, 0), dtype=jnp.float32), jnp.sum(mask, dtype=jnp.float32))
    if jnp.shape(weights) != shape or shape[: mask.ndim] != mask.shape:
        raise ValueError(
            f"{name!r} must have values and weights of one shape that begins with {mask.shape}; received {shape} and "
            f"{jnp.shape(weights)}."
        )
    kept = jnp.where(jax.lax.broadcast_in_dim(mask, shape, tuple(range(mask.ndim))), weights, 0)
    return Mean(jnp.sum(jnp.where(kept != 0, kept * values, 0), dtype=jnp.float32), jnp.sum(kept, dtype=jnp.float32))
