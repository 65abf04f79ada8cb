"""From a pair (forward, backward) to a function that JAX differentiates by the hand-written backward pass."""

from functools import partial, wraps

import jax


def differentiable(forward, backward):
    """The layer `f(params, x, **static) -> y` whose gradient is `backward`.

    Args:
      forward: `(params, x, **static) -> (y, residuals)`, residuals a pytree of arrays.
      backward: `(residuals, dy, **static) -> (dparams, dx)`.

    Forward-mode differentiation (`jax.jvp`) of the result raises; reverse over reverse works.

    >>> forward = lambda w, x: (w * x * x, (w, x))
    >>> backward = lambda residuals, dy: (residuals[1] ** 2 * dy, 2 * residuals[0] * residuals[1] * dy)
    >>> [float(g) for g in jax.grad(differentiable(forward, backward), (0, 1))(3.0, 2.0)]
    [4.0, 12.0]
    """

    @wraps(forward)
    def layer(params, x, **static):
        f = jax.custom_vjp(lambda params, x: forward(params, x, **static)[0])
        f.defvjp(partial(forward, **static), partial(backward, **static))
        return f(params, x)

    return layer
