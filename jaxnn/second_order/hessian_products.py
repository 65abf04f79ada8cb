"""Products of curvature matrices and vectors, without the matrices."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown

MODES = ("reverse", "forward")


def hessian_vector_product(value_fn: Callable, params, *, mode: str = "reverse") -> Callable:
    """The map `v -> H v`, H the Hessian of `value_fn` at `params` (Pearlmutter 1994): `H v = d/de grad f(w + e v)`.

    A product costs a few gradients, whatever the number of parameters. The gradient is linearized once, here.

    Args:
      value_fn: `params -> scalar`.
      params: a tree of floats, and so is v.
      mode: "reverse" differentiates the gradient backwards (`H v = grad <grad f, v>`), which every function bears;
        "forward" (along v) needs less memory, but raises where a hand-written gradient is made of other such.

    Raises:
      ValueError: an unknown mode.

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
    """The map `v -> J^T B J v`, J the Jacobian of `function` at `params` (Schraudolph 2002).

    Args:
      function: `params -> array`, such as residuals or the outputs of a network.
      params: a tree of floats, and so is v.
      metric: `u -> B u`, of arrays like the outputs; positive semidefinite B makes the product so.
      mode: "reverse" finds `J v` as the gradient of `u -> <J^T u, v>`; "forward" directly, which is cheaper, but raises
        in layers with a hand-written gradient (`jaxnn.layers`).

    Raises:
      ValueError: an unknown mode.

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
    """The (n, n) matrix of a symmetric product over vectors (n,), such as w."""
    return jax.vmap(product)(jnp.eye(len(w), dtype=w.dtype))


def check_mode(mode: str) -> None:
    """Raises ValueError for a mode of differentiation that there is not."""
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
