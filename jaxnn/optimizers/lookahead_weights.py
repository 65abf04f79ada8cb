"""Look-ahead keeps slow weights, which follow the fast weights from time to time."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_at_most,
    check_transformation,
    require_params,
    run_update,
)
from jaxnn.optimizers.leafwise_update import leafwise


class LookaheadState(NamedTuple):
    """Holds the slow weights `slow`, which are for evaluation, and the state `inner` of the fast optimizer."""

    step: jax.Array
    slow: Any
    inner: Any


def lookahead(
    fast_optimizer, sync_period=5, slow_step_size=0.5, *, reset_state: bool = False
) -> GradientTransformation:
    """Returns the optimizer Lookahead (Zhang et al. 2019, arXiv 1907.08610, algorithm 1).

    It goes "k steps forward, 1 step back": after every k fast steps

        slow <- slow + alpha (fast - slow),        fast <- slow

    The slow weights are a part of the state, and the parameters are the fast weights. So it can be used wherever an
    optimizer can. Optax keeps both in a pair that replaces the parameters. In a chain it must be last.

    Args:
      fast_optimizer: any transformation.
      sync_period: k, at least 1; traced or not.
      slow_step_size: alpha in [0, 1]; traced or not. With 1 the slow weights are the fast ones, with 0 they stay.
      reset_state: True initializes the state of the fast optimizer anew at each synchronization.

    Raises:
      ValueError: a number is out of its range, parameters are missing, or the optimizer is not a pair (init, update).

    >>> from jaxnn.optimizers import sgd
    >>> optimizer = lookahead(sgd(1.0), sync_period=2)
    >>> params = jnp.zeros(1)
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(jnp.ones(1), state, params)
    ...     params = params + updates
    >>> params, state.slow
    (Array([-1.], dtype=float32), Array([-1.], dtype=float32))
    """
    check_transformation("fast_optimizer", fast_optimizer)
    check_at_least("sync_period", sync_period, 1)
    check_at_least("slow_step_size", slow_step_size, 0)
    check_at_most("slow_step_size", slow_step_size, 1)

    def init(params):
        slow = jax.tree.map(jnp.copy, params)  # a buffer of its own: parameters and state may both be donated
        return LookaheadState(jnp.zeros((), jnp.int32), slow, fast_optimizer.init(params))

    def update(grads, state, params=None, **extra):
        require_params(params, "lookahead")
        updates, inner = run_update(fast_optimizer, grads, state.inner, params, extra)
        sync = (state.step + 1) % sync_period == 0

        def equation(u, slow, fast):
            nearer = slow + slow_step_size * (fast + u - slow)
            return jnp.where(sync, nearer - fast, u), jnp.where(sync, nearer, slow)

        updates, slow = leafwise(equation, updates, state.slow, given=(params,))
        if reset_state:
            fresh = fast_optimizer.init(params)
            inner = jax.tree.map(lambda new, old: jnp.where(sync, new, old), fresh, inner)
        return updates, LookaheadState(state.step + 1, slow, inner)

    return GradientTransformation(init, update)
