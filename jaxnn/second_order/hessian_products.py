"""Products of curvature matrices and vectors can be computed without the matrices."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown

MODES = ("reverse", "forward")


def hessian_vector_product(value_fn: Callable, params, *, mode: str = "reverse") -> Callable:
    """Returns the map `v -> H v`, where H is the Hessian of `value_fn` at `params` (Pearlmutter 1994).

    The product is `H v = d/de grad f(w + e v)` at e = 0. It costs a few gradients, whatever the number of parameters.
    The gradient is linearized once, when the map is made.

    Args:
      value_fn: `params -> scalar`.
      params: a tree of floats; v is such a tree too.
      mode: "reverse" differentiates the gradient backwards (`H v = grad <grad f, v>`), which works for every function.
        "forward" (along v) needs less memory, but raises where a hand-written gradient contains another one.

    Raises:
      ValueError: the mode is unknown.

    >>> product = hessian_vector_product(lambda w: w[0] ** 2 * w[1], jnp.array([1.0, 3.0]))
    >>> product(jnp.array([1.0, 10.0])).tolist()  # H = [[6, 2], [2, 0]]
    [26.0, 2.0]
    """
    check_mode(mode)
    if mode == "forward":
        return jax.linearize(jax.grad(value_fn), params)[1]
    _, product = jax.vjp(jax.grad(value_fn), params)  # v -> v^T H, and H is symmetric
    return lambda v: product(v)[0]


def gauss_newton_vector_product(function: Callable, params, *, metric: Callable = lambda u: u, mode: str = "reverse"):
    """Returns the map `v -> J^T B J v`, where J is the Jacobian of `function` at `params` (Schraudolph 2002).

    Args:
      function: `params -> array`, such as residuals or the outputs of a network.
      params: a tree of floats; v is such a tree too.
      metric: `u -> B u`, on arrays like the outputs. If B is positive semidefinite, so is the product.
      mode: "reverse" computes `J v` as the gradient of `u -> <J^T u, v>`. "forward" computes it directly, which is
        cheaper, but raises in layers with a hand-written gradient (`jaxnn.layers`).

    Raises:
      ValueError: the mode is unknown.

    >>> product = gauss_newton_vector_product(lambda w: jnp.array([w[0] * w[1], w[1]]), jnp.array([2.0, 3.0]))
    >>> product(jnp.array([1.0, 0.0])).tolist()  # J = [[3, 2], [0, 1]]
    [9.0, 6.0]
    """
    check_mode(mode)
    outputs, pull = jax.vjp(function, params)
    if mode == "forward":
        push = jax.linearize(function, params)[1]
    else:
        push = lambda v: jax.vjp(lambda u: pull(u)[0], jnp.zeros_like(outputs))[1](v)[0]
    return lambda v: pull(metric(push(v)))[0]


def as_matrix(product: Callable, w) -> jax.Array:
    """Computes the (n, n) matrix of a symmetric product over vectors of shape (n,), such as w."""
    return jax.vmap(product)(jnp.eye(len(w), dtype=w.dtype))


def check_mode(mode: str) -> None:
    """Raises ValueError if the mode of differentiation is unknown."""
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
