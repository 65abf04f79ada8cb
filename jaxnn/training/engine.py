"""`run_steps` and `run_batches` run compiled steps, either fused or stepwise.

Fused: any number of steps is one call of one compiled loop, and nothing returns to the host between the steps.
Stepwise: the host calls the compiled step for each step. Fused is faster nearly everywhere. The exception is a
convolution on CPU whose gradient XLA lays out badly inside a loop (jax#12868); `choose_fusion` looks for such a
convolution in the program of the step. Batches that come from a stream are stepwise, too.

All forms run the same step, compile once for any number of steps, and donate the state. The metrics of each step are
returned separately, so that their sum does not depend on the number of steps in a call.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxnn.training.batching import take_batch
from jaxnn.training.compilation import bind, call, prepare, program
from jaxnn.training.placement_contract import BATCH, DATA, ONE_DEVICE, ORDER, STATE, WHOLE


class Resident(NamedTuple):
    """Holds a split that is on the device.

    rows: dict of arrays of one length. constants: further entries of every batch.
    """

    rows: dict[str, Any]
    constants: dict[str, Any]


def run_steps(step, state, data: Resident, order, *, first: int, last: int, fused: bool, placement=ONE_DEVICE):
    """Runs steps `first` to `last` (exclusive) of an epoch: `(state, metrics)`; `read_metrics` reads the metrics.

    Args:
      step: `(state, batch) -> (state, metrics)`.
      state: the state, which is donated; do not use it afterwards.
      data: the whole split on the device.
      order: (steps, batch) rows of indices into the data.
      fused: whether the steps are one call of one compiled loop.
      placement: the devices, on which state and data are.
    """
    function, args = _resident(step, placement, fused), (data.rows, data.constants, order)
    if fused:
        return call(function, state, *args, np.int32(first), np.int32(last), donate=(0,))
    metrics = []
    for i in range(first, last):
        state, of_step = call(function, state, *args, np.int32(i), donate=(0,))
        metrics.append(of_step)
    return state, metrics


def run_batches(step, state, batches, constants, *, placement=ONE_DEVICE):
    """Runs one step for each batch of a stream; returns `(state, metrics)` as `run_steps` does."""
    function, metrics = _streamed(step, placement), []
    for batch in batches:
        state, of_step = call(function, state, batch, constants, donate=(0,))
        metrics.append(of_step)
    return state, metrics


def compile_steps(step, state, data: Resident, order, *, fused: bool, placement=ONE_DEVICE):
    """Starts to compile the program that `run_steps` will call, for arguments like these; returns a future."""
    steps = [np.int32(0)] * (2 if fused else 1)
    function = _resident(step, placement, fused)
    return prepare(function, state, data.rows, data.constants, order, *steps, donate=(0,))


def compile_batches(step, state, batch, constants, *, placement=ONE_DEVICE):
    """Starts to compile the program that `run_batches` will call, for arguments like these; returns a future."""
    return prepare(_streamed(step, placement), state, batch, constants, donate=(0,))


def read_metrics(metrics, first: int, last: int):
    """Returns the metrics of steps `first` to `last` on the host, arrays (..., steps); waits until they are ready."""
    metrics = jax.device_get(metrics)
    if isinstance(metrics, list):
        return jax.tree.map(lambda *steps: np.stack(steps, axis=-1), *metrics)
    return jax.tree.map(lambda steps: steps[..., first:last], metrics)


def choose_fusion(step, state, data: Resident, order, placement=ONE_DEVICE) -> bool:
    """Returns True unless the platform is CPU and the step has a convolution that is slow in a loop there."""
    if jax.default_backend() != "cpu":
        return True
    i = np.int32(0)
    loop = program(_resident(step, placement, True), state, data.rows, data.constants, order, i, i, donate=(0,))
    return not any(_is_slow_in_loop(equation) for equation in _equations(loop))


def one_step(step, state, rows, constants, order, i):
    """Runs step i of an order."""
    return _checked(step(state, take_batch(rows, order[i]) | constants))


def many_steps(step, state, rows, constants, order, first, last):
    """Runs steps `first` to `last` in one program; the metrics are arrays (steps,), zero for steps that are not run."""
    one = jax.jit(bind(one_step, step), inline=True)  # traced once, for the metrics' shapes and for the loop
    shapes = jax.eval_shape(one, state, rows, constants, order, first)[1]
    metrics = jax.tree.map(lambda shape: jnp.zeros((len(order), *shape.shape), shape.dtype), shapes)

    def body(i, carry):
        state, metrics = carry
        state, of_step = one(state, rows, constants, order, i)
        return state, jax.tree.map(lambda all_steps, own: all_steps.at[i].set(own), metrics, of_step)

    return jax.lax.fori_loop(first, last, body, (state, metrics))


def batch_step(step, state, batch, constants):
    """Runs a step on a given batch."""
    return _checked(step(state, batch | constants))


def _resident(step, placement, fused):
    function = bind(many_steps if fused else one_step, placement.local_step(step))
    return placement.distribute(function, (STATE, DATA, WHOLE, ORDER, *[WHOLE] * (2 if fused else 1)))


def _streamed(step, placement):
    return placement.distribute(bind(batch_step, placement.local_step(step)), (STATE, BATCH, WHOLE))


def _checked(outcome):
    """Returns `(state, metrics)`; raises ValueError for a step that returns something else."""
    if not isinstance(outcome, tuple) or len(outcome) != 2 or not isinstance(outcome[1], Mapping):
        raise ValueError(
            f"`step` must return (state, metrics), metrics being a dict; received a {type(outcome).__name__}."
        )
    for name, pair in outcome[1].items():
        if not isinstance(pair, tuple) or [jnp.shape(part) for part in pair] != [(), ()]:
            raise ValueError(
                f"the metrics of a step must be pairs (sum, count) of numbers; {name!r} is {pair!r}. Return "
                "jaxnn.metrics.Mean(sum, count)."
            )
    return outcome


def _is_slow_in_loop(equation) -> bool:
    """Returns whether an equation is a convolution whose input is not NHWC.

    Such a convolution is a gradient, whose layout XLA does not change inside a loop.
    """
    if equation.primitive.name != "conv_general_dilated":
        return False
    numbers = equation.params["dimension_numbers"]
    rank = len(numbers.lhs_spec)
    return numbers.lhs_spec != (0, rank - 1, *range(1, rank - 1))


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)
