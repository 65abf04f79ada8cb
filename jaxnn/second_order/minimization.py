"""`minimize` runs an optimizer on one function until it comes to rest, for full batches and small problems."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import apply_updates, check_transformation, run_update
from jaxnn.second_order.flat_parameters import flatten_parameters
from jaxnn.signatures import accepted


class Minimum(NamedTuple):
    """Describes where `minimize` ended: `gradient_norm` is the largest absolute entry of the gradient there."""

    params: Any
    value: jax.Array
    gradient_norm: jax.Array
    steps: jax.Array
    converged: jax.Array


def minimize(value_fn: Callable, params, *, optimizer, steps=100, tolerance=None, **extra) -> Minimum:
    """Updates the parameters until no entry of the gradient exceeds the tolerance, in one compiled loop.

    The optimizer is called as `update(grads, state, params, value=..., grad=..., value_fn=..., **extra)`. Value and
    gradient come from its state if a line search left them there. The loop stops early at NaN.

    Args:
      value_fn: `params -> scalar`; may name extra arguments.
      params: a tree; integers in it do not change.
      optimizer: any pair, ours or Optax's.
      steps: largest number of steps; number or traced.
      tolerance: by default the square root of the precision, 3.5e-4 in float32; number or traced.
      extra: arguments that the optimizer (`residual_fn`, `outputs_fn`) or the functions need.

    Raises:
      ValueError: the optimizer is not a pair, or an extra argument that it needs is missing.

    >>> from jaxnn.second_order.lbfgs_updates import lbfgs
    >>> f = lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    >>> found = jax.jit(lambda start: minimize(f, start, optimizer=lbfgs(), tolerance=1e-3))(jnp.zeros(2))
    >>> found.params.round(2).tolist(), bool(found.converged)
    ([1.0, 1.0], True)
    """
    check_transformation("optimizer", optimizer)
    evaluate = value_and_grad_from_state(value_fn)
    given = accepted(value_fn, **extra)
    flat = flatten_parameters(params)
    if tolerance is None:
        tolerance = jnp.finfo(flat.w.dtype).eps ** 0.5

    def advance(run):
        params, state, value, grad, step = run
        extras = {**extra, "value": value, "grad": grad, "value_fn": value_fn}
        updates, state = run_update(optimizer, grad, state, params, extras)
        params = apply_updates(params, updates)
        return params, state, *evaluate(params, state=state, **given), step + 1

    norm = lambda grad: jnp.abs(flat.vector(grad)).max(initial=0)
    running = lambda run: (norm(run[3]) > tolerance) & (run[4] < steps) & ~jnp.isnan(run[2])
    params = jax.tree.map(jnp.asarray, params)
    start = params, optimizer.init(params), *evaluate(params, state=(), **given), jnp.int32(0)
    params, _, value, grad, step = jax.lax.while_loop(running, advance, start)
    return Minimum(params, value, norm(grad), step, norm(grad) <= tolerance)


def value_and_grad_from_state(value_fn: Callable) -> Callable:
    """Returns a function `(params, state=..., **arguments) -> (value, grad)` that reuses what a line search computed.

    A search ends with the value and gradient at its last trial, which is where the next step begins. Reusing them saves
    an evaluation. They are computed again where the state has none (Optax's function of this name raises), and where
    the value is not finite, as in the first step. The gradient of integer leaves is 0. The result is right only if
    nothing moved the parameters since the search: not for a new batch, and not for one member of a chain that is
    followed by others.

    >>> from jaxnn.second_order.lbfgs_updates import lbfgs
    >>> f, w = lambda w: jnp.sum(w**2), jnp.array([3.0])
    >>> value, grad = value_and_grad_from_state(f)(w, state=lbfgs().init(w))
    >>> float(value), grad.tolist()
    (9.0, [6.0])
    """

    def value_and_grad(params, *arguments, state, **keywords):
        flat = flatten_parameters(params)

        def anew():
            value, g = jax.value_and_grad(lambda w: value_fn(flat.params(w), *arguments, **keywords))(flat.w)
            return value, flat.updates(g)

        stored = _stored(state)
        if stored is None:
            return anew()
        fresh = jax.eval_shape(anew)
        value, grad = jax.tree.map(lambda new, old: old.astype(new.dtype), fresh, stored)
        return jax.lax.cond(jnp.isfinite(value), lambda: (value, grad), anew)

    return value_and_grad


def _stored(state):
    """Returns the first `(value, grad)` of the fields with these names in nested tuples, or None."""
    if getattr(state, "grad", None) is not None and hasattr(state, "value"):
        return state.value, state.grad
    children = state if isinstance(state, tuple) else ()
    return next((found for child in children if (found := _stored(child)) is not None), None)
