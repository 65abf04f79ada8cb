"""How steps are compiled together.

`fused`: any number of steps is one call of one compiled loop; nothing returns to the host between them. `stepwise`: the
host calls the compiled step. Fused wins nearly everywhere; the exception is a convolution on CPU whose gradient XLA
lays out badly inside a loop (jax#12868), which `choose_fusion` looks for in the step's own program.
Both run the same `body`, compile once whatever the number of steps, and donate the state.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.metrics import Mean
from jaxnn.training.batching import take_batch


def run_steps(step, state, data, order, *, first: int, last: int, fused: bool):
    """Steps `first` to `last` (exclusive) of an epoch: `(state, totals)`, totals the summed (sum, count) pairs.

    Args:
      step: a `TrainStep`.
      state: donated; do not use it afterwards.
      data: the whole split, a dict of arrays on the device.
      order: (steps, batch) rows of indices into the data.
    """
    totals = {name: Mean(jnp.float32(0), jnp.float32(0)) for name in ("loss", *dict(step.metrics))}
    if fused:
        return _compiled(step, True, state, totals, data, order, np.int32(first), np.int32(last))
    for i in range(first, last):
        state, totals = _compiled(step, False, state, totals, data, order, np.int32(i), np.int32(i + 1))
    return state, totals


def compile_steps(step, state, data, order, *, fused: bool) -> None:
    """Compiles what `run_steps` will call, so that the time it takes can be shown as what it is."""
    totals = {name: Mean(jnp.float32(0), jnp.float32(0)) for name in ("loss", *dict(step.metrics))}
    _executable(step, fused, state, totals, data, order, np.int32(0), np.int32(1))


def choose_fusion(step, state, data, order) -> bool:
    """True unless the platform is the CPU and the step has a convolution that is slow in a loop there."""
    if jax.default_backend() != "cpu":
        return True
    one_step = jax.make_jaxpr(lambda state: step(state, take_batch(data, order[0])))
    return not any(_is_slow_in_loop(equation) for equation in _equations(one_step(state).jaxpr))


def _compiled(step, fused, *args):
    return _executable(step, fused, *args)(*args)


def _executable(step, fused, *args):
    leaves, tree = jax.tree.flatten(args)
    return _compile(step, fused, tree, tuple(jax.typeof(leaf) for leaf in leaves))


@lru_cache(maxsize=64)
def _compile(step, fused, tree, avals):
    args = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals])
    function = partial(_loop if fused else _single, step)
    return jax.jit(function, donate_argnums=(0, 1)).lower(*args).compile()


def _loop(step, state, totals, data, order, first, last):
    body = lambda i, carry: _body(step, *carry, data, order, i)  # noqa: E731
    return jax.lax.fori_loop(first, last, body, (state, totals))


def _single(step, state, totals, data, order, first, last):
    return _body(step, state, totals, data, order, first)


def _body(step, state, totals, data, order, i):
    state, metrics = step(state, take_batch(data, order[i]))
    return state, jax.tree.map(jnp.add, totals, metrics)


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
        for inner in jax.core.jaxprs_in_params(equation.params):
            yield from _equations(inner)
