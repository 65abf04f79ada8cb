"""How steps are compiled together.

`fused`: any number of steps is one call of one compiled loop; nothing returns to the host between them. `stepwise`: the
host calls the compiled step. Fused wins nearly everywhere; the exception is a convolution on CPU whose gradient XLA
lays out badly inside a loop (jax#12868), which `choose_fusion` looks for in the step's own program.
Both run the same `body`, compile once whatever the number of steps, and donate the state.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxnn.metrics import Mean
from jaxnn.training.batching import take_batch
from jaxnn.training.compilation import call, prepare, program
from jaxnn.training.one_device import ONE_DEVICE

STATE_AND_TOTALS = (0, 1)  # the arguments that are donated


def run_steps(step, state, data, order, *, first: int, last: int, fused: bool, placement=ONE_DEVICE):
    """Steps `first` to `last` (exclusive) of an epoch: `(state, totals)`, totals the summed (sum, count) pairs.

    Args:
      step: a `TrainStep`.
      state: donated; do not use it afterwards.
      data: the whole split, a dict of arrays on the device.
      order: (steps, batch) rows of indices into the data.
      placement: on which devices; state and data lie there.
    """
    function, totals = _compiled(step, placement, fused), placement.put(no_totals(step))
    calls = [(np.int32(first), np.int32(last))] if fused else [(np.int32(i),) for i in range(first, last)]
    for steps in calls:
        state, totals = call(function, state, totals, data, order, *steps, donate=STATE_AND_TOTALS)
    return state, totals


def compile_steps(step, state, data, order, *, fused: bool, placement=ONE_DEVICE):
    """Starts to compile what `run_steps` will call, for arguments like these; a future."""
    function, totals = _compiled(step, placement, fused), placement.put(no_totals(step))
    steps = [np.int32(0)] * (2 if fused else 1)
    return prepare(function, state, totals, data, order, *steps, donate=STATE_AND_TOTALS)


def choose_fusion(step, state, data, order, placement=ONE_DEVICE) -> bool:
    """True unless the platform is the CPU and the step has a convolution that is slow in a loop there."""
    if jax.default_backend() != "cpu":
        return True
    i = np.int32(0)
    function, totals = _compiled(step, placement, True), placement.put(no_totals(step))
    loop = program(function, state, totals, data, order, i, i, donate=STATE_AND_TOTALS)
    return not any(_is_slow_in_loop(equation) for equation in _equations(loop))


@dataclass(frozen=True)
class _Single:
    step: Any

    def __call__(self, state, totals, data, order, i):
        state, metrics = self.step(state, take_batch(data, order[i]))
        return state, jax.tree.map(jnp.add, totals, metrics)


@dataclass(frozen=True)
class StepLoop:
    """`loop(state, totals, data, order, first, last)`: as many steps as that, in one program."""

    step: Any

    def __call__(self, state, totals, data, order, first, last):
        one = _Single(self.step)
        return jax.lax.fori_loop(first, last, lambda i, carry: one(*carry, data, order, i), (state, totals))


def _compiled(step, placement, fused):
    return placement.over((StepLoop if fused else _Single)(placement.step(step)))


def no_totals(step):
    """The (sum, count) pairs before the first step."""
    return {name: Mean(np.float32(0), np.float32(0)) for name in ("loss", *dict(step.metrics))}


def _is_slow_in_loop(equation) -> bool:
    """A convolution whose operands are not NHWC / HWIO is a gradient that XLA does not lay out anew inside a loop."""
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
