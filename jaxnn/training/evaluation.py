"""Exact evaluation and prediction over a whole split, in one compiled call."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.losses import cross_entropy
from jaxnn.metrics import accuracy
from jaxnn.preprocessing import as_float
from jaxnn.training.batching import check_batch_size, count_examples, plain_order, take_batch
from jaxnn.training.compilation import call, prepare
from jaxnn.training.functional_model import FunctionalModel
from jaxnn.training.one_device import ONE_DEVICE, OneDevice
from jaxnn.training.train_step import EvaluationStep

METRICS = (("loss", cross_entropy), ("accuracy", accuracy))


def evaluate(
    model,
    state,
    data,
    *,
    metrics=METRICS,
    preprocess=as_float,
    fields: tuple[str, str] = ("image", "label"),
    batch_size: int = 500,
    placement: OneDevice = ONE_DEVICE,
) -> dict[str, float | int]:
    """The mean of every metric over all examples; the last batch is padded and masked, and the count asserted.

    Args:
      model: a linen module or a pair (init, apply).
      state: a `TrainState`, or anything with `params` and `model_state`.
      data: a dict of arrays of one length, NumPy or JAX.
      metrics: a dict or pairs name -> metric.
      placement: on which devices; the state lies there.

    Returns:
      name -> mean, and "count" -> the number of examples that were counted.
    """
    examples = count_examples(data, fields)
    data = placement.put(on_device(data))
    program, args = _evaluation(model, state, data, metrics, preprocess, fields, batch_size, placement)
    totals = jax.device_get(call(program, *args))
    counts = {int(total.count) for total in totals.values()}
    if counts != {examples}:
        raise AssertionError(f"expected every metric to count {examples} examples; counted {sorted(counts)}")
    return {name: float(total.sum / total.count) for name, total in totals.items()} | {"count": examples}


def compile_evaluation(
    model, state, data, *, metrics, preprocess, fields, batch_size: int = 500, placement=ONE_DEVICE, after=None
):
    """Starts to compile, after another compilation, what `evaluate` will call with arguments like these; a future."""
    program, args = _evaluation(model, state, data, metrics, preprocess, fields, batch_size, placement)
    return prepare(program, *args, after=after)


def predict(model, state, inputs, *, preprocess=as_float, batch_size: int = 500) -> np.ndarray:
    """The model's outputs for all inputs, in order, as a NumPy array (examples, ...)."""
    examples = count_examples({"inputs": inputs})
    batch_size = min(batch_size, examples)
    check_batch_size(batch_size, examples)
    order = plain_order(examples=examples, batch_size=batch_size)
    program = _Prediction(FunctionalModel(model), preprocess)
    outputs = call(program, state.params, state.model_state, jnp.asarray(inputs), order)
    return np.asarray(outputs).reshape(-1, *outputs.shape[2:])[:examples]


def on_device(data):
    """The arrays on the device, once; 64-bit NumPy arrays become 32-bit, as JAX has them."""
    return {name: jnp.asarray(array) for name, array in data.items()}


def _evaluation(model, state, data, metrics, preprocess, fields, batch_size, placement):
    examples = count_examples(data)
    batch_size = min(batch_size, examples)
    check_batch_size(batch_size, examples)
    divisible = -(-batch_size // placement.parts) * placement.parts
    order = placement.put(plain_order(examples=examples, batch_size=divisible))
    step = EvaluationStep(model, tuple(dict(metrics).items()), preprocess, tuple(fields))
    return placement.over(_Evaluation(step), sums=True), (state.params, state.model_state, data, order)


@dataclass(frozen=True)
class _Evaluation:
    step: EvaluationStep

    def __call__(self, params, model_state, data, order):
        per_batch = jax.lax.map(lambda rows: self.step(params, model_state, take_batch(data, rows)), order)
        return jax.tree.map(jnp.sum, per_batch)


@dataclass(frozen=True)
class _Prediction:
    model: FunctionalModel
    preprocess: Any

    def __call__(self, params, model_state, inputs, order):
        def outputs(rows):
            x = self.preprocess(take_batch({"inputs": inputs}, rows)["inputs"])
            return self.model.apply(params, model_state, x, train=False, key=None)[0]

        return jax.lax.map(outputs, order)
