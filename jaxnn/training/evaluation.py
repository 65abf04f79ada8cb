"""These functions evaluate and predict exactly over a whole split, in one compiled call."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.losses import cross_entropy
from jaxnn.metrics import Mean, accuracy
from jaxnn.preprocessing import as_float
from jaxnn.training.batching import check_batch_size, count_examples, plain_order, take_batch
from jaxnn.training.checked_arguments import (
    as_constants,
    as_count,
    as_fields,
    as_metrics,
    check_alive,
    check_placement,
    check_state,
)
from jaxnn.training.checked_data import as_array, as_split, check_targets, outputs_of
from jaxnn.training.compilation import as_value, bind, call, prepare
from jaxnn.training.engine import Resident
from jaxnn.training.functional_model import FunctionalModel
from jaxnn.training.key_streams import Keys, stream_key
from jaxnn.training.objectives import means_of, supervised
from jaxnn.training.placement_contract import ONE_DEVICE, ORDER, WHOLE, OneDevice

METRICS = (("loss", cross_entropy), ("accuracy", accuracy))
BATCH_SIZE = 500


def evaluate(
    model,
    state,
    data,
    *,
    metrics=METRICS,
    preprocess=as_float,
    fields: tuple[str, str] = ("image", "label"),
    batch_size: int = BATCH_SIZE,
    placement: OneDevice = ONE_DEVICE,
) -> dict[str, float | int]:
    """Measures the mean of every metric over all examples; the last batch is padded and masked.

    Args:
      model: a linen module or a pair (init, apply).
      state: a `TrainState`, or anything with `params` and `model_state`.
      data: a dict of arrays of one length, NumPy or JAX.
      metrics: a dict or pairs name -> metric.
      preprocess: pure function of the inputs.
      fields: the names of inputs and targets in the data.
      batch_size: examples in a compiled batch.
      placement: the devices, on which the state is.

    Returns:
      name -> mean, and "count" -> the number of examples that were counted.
    """
    named, fields = as_metrics(metrics), as_fields(fields)
    if not named or "count" in named:
        raise ValueError(f"`metrics` must be one at least, and none of the name 'count'; received {sorted(named)}.")
    main = "loss" if "loss" in named else next(iter(named))
    rest = {name: metric for name, metric in named.items() if name != main}
    objective = supervised(model, named[main], metrics=rest, preprocess=preprocess, fields=fields)
    used = as_split(data, fields, "data")
    check_placement(placement)
    check_state(state, needs=("params", "model_state"))
    check_targets(objective, state, used)
    means = evaluate_objective(objective, state, used, batch_size=batch_size, placement=placement)
    means[main] = means.pop("loss")
    return {name: means[name] for name in (*named, "count")}


def evaluate_objective(
    objective, state, data, *, constants=None, batch_size: int = BATCH_SIZE, placement: OneDevice = ONE_DEVICE
) -> dict[str, float | int]:
    """Measures an objective's loss and metrics, without training, as means over all examples (or tokens, ...).

    Args:
      objective: see `jaxnn.training.objectives`; it is called with `train=False`, and with keys derived from the
        state's `key`, the same at every evaluation.
      state: a `TrainState`, or anything with `params` and `model_state`.
      data: a dict of arrays of one length, NumPy or JAX.
      constants: a dict of further entries of every batch, such as a teacher's parameters.
      placement: the devices, on which the state is.

    Returns:
      name -> mean, and "count" -> the number of examples.
    """
    examples = count_examples(data)
    check_alive(state=state, data=data)
    data = Resident(placement.put(on_device(data)), placement.put(as_constants(constants, data)))
    function, args = _evaluation(objective, state, data, batch_size, placement)
    return checked_means(jax.device_get(call(function, *args)), examples)


def compile_evaluation(
    objective, state, data: Resident, *, batch_size: int = BATCH_SIZE, placement=ONE_DEVICE, after=None
):
    """Starts to compile the program that `evaluate_objective` will call for such data; returns a future.

    The compilation waits for the future `after`, if there is one.
    """
    function, args = _evaluation(objective, state, data, batch_size, placement)
    return prepare(function, *args, after=after)


def predict(model, state, inputs, *, preprocess=as_float, batch_size: int = BATCH_SIZE) -> Any:
    """Computes the model's outputs for all inputs, in order: a NumPy array (examples, ...), or a tree of arrays."""
    if isinstance(inputs, dict):
        raise ValueError(f"`inputs` must be an array; received a dict of {sorted(inputs)}. Pass data['image'], say.")
    model, preprocess, inputs = FunctionalModel(model), as_value(preprocess), as_array(inputs, "inputs")
    examples = count_examples({"inputs": inputs})
    batch_size = as_count("batch_size", batch_size, least=-math.inf)
    check_state(state, needs=("params", "model_state"))
    outputs_of(model, state, inputs[:1], preprocess=preprocess)
    function, args = _prediction(model, state, jnp.asarray(inputs), preprocess, batch_size)
    outputs = call(function, *args)
    return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:])[:examples], outputs)


def compile_prediction(model, state, inputs, *, preprocess=as_float, batch_size: int = BATCH_SIZE, after=None):
    """Starts to compile the program that `predict` will call for such inputs; returns a future.

    The compilation waits for the future `after`, if there is one.
    """
    function, args = _prediction(model, state, inputs, preprocess, batch_size)
    return prepare(function, *args, after=after)


def check_objective(objective) -> None:
    """Raises ValueError if the objective is None."""
    if objective is None:
        raise ValueError(
            "`objective` must be given where validation data are measured and the step is none that knows its own, as "
            "a `TrainStep` does; received None."
        )


def _prediction(model, state, inputs, preprocess, batch_size):
    examples = count_examples({"inputs": inputs})
    batch_size = min(batch_size, examples)
    check_batch_size(batch_size, examples)
    order = plain_order(examples=examples, batch_size=batch_size)
    function = bind(all_outputs, FunctionalModel(model), as_value(preprocess))
    return function, (measured(state), inputs, order)


def on_device(data):
    """Converts the arrays to JAX arrays; 64-bit NumPy arrays become 32-bit, unless JAX's 64-bit mode is on."""
    return {name: jnp.asarray(array) for name, array in data.items()}


@dataclass(frozen=True)
class EvaluationStep:
    """Is `step(state, batch, i) -> metrics`: the objective's measures, and "count", the examples without padding.

    The keys are those of step i of a separate stream, the same at every evaluation. `axis_name` is as for `TrainStep`,
    but the metrics are those of the device's part of the batch.
    """

    objective: Any
    axis_name: str | None = None

    def __call__(self, state, batch, i):
        """Returns the (sum, count) pairs of one batch."""
        part = None if self.axis_name is None else jax.lax.axis_index(self.axis_name)
        keys = evaluation_keys(state.key, i, part)
        measures, _ = self.objective(state.params, state.model_state, batch, keys, train=False)
        counted = jnp.sum(batch["mask"], dtype=jnp.int32)
        return means_of(measures, batch["mask"]) | {"count": Mean(counted, counted)}


def evaluation_keys(key, i, part=None) -> Keys:
    """Returns the keys of step i of an evaluation, from the stream "evaluation"."""
    return Keys(None if key is None else stream_key(key, "evaluation", 0), i, part)


class Measured(NamedTuple):
    """Holds the parts of a state that an evaluation needs."""

    params: Any
    model_state: Any
    key: jax.Array | None


def measured(state) -> Measured:
    """Returns the parts of a state that an evaluation needs; a state without a key gives None, so nothing is drawn."""
    return Measured(state.params, state.model_state, getattr(state, "key", None))


def all_batches(step, state, rows, constants, order):
    """Computes the (sum, count) pairs over a whole order of examples."""
    one = lambda own: step(state, take_batch(rows, own[0]) | constants, own[1])
    per_batch = jax.lax.map(one, (order, jnp.arange(len(order))))
    return jax.tree.map(jnp.sum, per_batch)


def all_outputs(model, preprocess, state, inputs, order):
    """Computes the model's outputs for every batch of an order, with the keys of an evaluation."""

    def outputs(own):
        rows, i = own
        x = preprocess(take_batch({"inputs": inputs}, rows)["inputs"])
        keys = evaluation_keys(state.key, i)
        return model.apply(state.params, state.model_state, x, train=False, keys=keys)[0]

    return jax.lax.map(outputs, (order, jnp.arange(len(order))))


def checked_means(totals, examples: int) -> dict[str, float | int]:
    """Computes means on the host, and "count"; raises AssertionError unless all examples were counted."""
    totals = dict(totals)
    counted = int(totals.pop("count").sum)
    if counted != examples:
        raise AssertionError(f"expected the evaluation to count {examples} examples; counted {counted}")
    with np.errstate(invalid="ignore"):
        return {name: float(np.divide(*total)) for name, total in totals.items()} | {"count": counted}


def _evaluation(objective, state, data, batch_size, placement):
    examples = count_examples(data.rows)
    batch_size = min(batch_size, examples)
    check_batch_size(batch_size, examples)
    divisible = -(-batch_size // placement.batch_shards) * placement.batch_shards
    order = placement.put(plain_order(examples=examples, batch_size=divisible))
    state = measured(state)
    function = bind(all_batches, EvaluationStep(as_value(objective), placement.axis_name))
    return placement.distribute(function, (WHOLE, WHOLE, WHOLE, ORDER), sums=True), (state, *data, order)
