"""Newton's method steps to the minimum of the parabola that touches the function."""

import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, value_at
from jaxnn.second_order.conjugate_gradients import conjugate_gradient
from jaxnn.second_order.flat_parameters import dot, flat_objective, flatten_parameters, require
from jaxnn.second_order.hessian_products import as_matrix, check_mode, hessian_vector_product
from jaxnn.second_order.searched_descent import searched


def newton(learning_rate=1.0, damping=0.0, *, linesearch=None, mode: str = "reverse") -> GradientTransformation:
    """Returns Newton-Raphson, `w <- w - lr (H + lambda I)^+ g`, with the whole Hessian H of n parameters.

    It is meant for n below about 1000. Near a minimum with definite H each step squares the error, and a quadratic is
    solved in one step. Elsewhere the method goes to any point where the gradient vanishes, also to saddles: see
    `saddle_free_newton`. Directions in which `H + lambda I` is flat (to rounding) are left alone: `^+` is the
    pseudo-inverse.

    `update(grads, state, params, value_fn=...)` needs grads to be the gradient of `value_fn` at `params`.

    Args:
      learning_rate: number or schedule; below 1 it is damped Newton.
      damping: lambda, a number or a schedule.
      linesearch: scales the step, or None; see `searched`.
      mode: how H is differentiated; see `hessian_vector_product`.

    Raises:
      ValueError: a number is out of its range; in `update`, `params` or `value_fn` is missing.

    >>> import jax
    >>> f = lambda w: 3 * (w[0] - 1) ** 2 + (w[0] + w[1]) ** 2
    >>> optimizer, w = newton(), jnp.array([5.0, 5.0])
    >>> updates, _ = optimizer.update(jax.grad(f)(w), optimizer.init(w), w, value_fn=f)
    >>> (w + updates).round(4).tolist()
    [1.0, -1.0]
    """
    return _with_hessian(lambda curvature: curvature, learning_rate, damping, linesearch, mode)


def saddle_free_newton(
    learning_rate=1.0, damping=0.0, *, linesearch=None, mode: str = "reverse"
) -> GradientTransformation:
    """Returns Newton's method with the absolute values of the curvatures: `w <- w - lr (|H| + lambda I)^+ g`.

    Here `|H| = V |Lambda| V^T` (Dauphin et al. 2014, arXiv 1406.2572). Where H is positive definite, the step is
    Newton's. Where H is not, the step goes down, away from the saddle.

    Arguments, `update` and errors are those of `newton`.

    >>> import jax
    >>> f = lambda w: w[0] ** 2 - w[1] ** 2
    >>> optimizer, w = saddle_free_newton(), jnp.array([1.0, 1.0])
    >>> updates, _ = optimizer.update(jax.grad(f)(w), optimizer.init(w), w, value_fn=f)
    >>> updates.round(4).tolist()  # Newton's step is (-1, -1): up to the saddle
    [-1.0, 1.0]
    """
    return _with_hessian(jnp.abs, learning_rate, damping, linesearch, mode)


def newton_cg(
    learning_rate=1.0, damping=0.0, *, max_steps=None, tolerance=None, linesearch=None, mode: str = "reverse"
) -> GradientTransformation:
    """Returns Newton's method without the matrix: conjugate gradients solve `(H + lambda I) d = g`.

    They only need products `H v`. A direction of negative curvature ends the inner iteration. Then d is the vector
    reached so far, or g itself if none is reached. So the function always rises along d (Nocedal and Wright, alg. 7.1;
    with damping, Martens 2010).

    The call is `update(grads, state, params, value_fn=...)`. `matvec=...` may replace `value_fn`: `v -> H v` on trees
    like the parameters.

    Args:
      learning_rate: number or schedule.
      damping: lambda, a number or a schedule.
      max_steps: largest number of products; by default the number of parameters.
      tolerance: of the residual, relative to |g|; the default `min(1/2, sqrt |g|)` keeps convergence superlinear.
      linesearch: scales the step, or None; see `searched`.
      mode: how the products are differentiated; see `hessian_vector_product`.

    Raises:
      ValueError: a number is out of its range; in `update`, `params` is missing, or both `value_fn` and `matvec` are.

    >>> import jax
    >>> f = lambda w: 3 * (w[0] - 1) ** 2 + (w[0] + w[1]) ** 2
    >>> optimizer, w = newton_cg(tolerance=1e-6), jnp.array([5.0, 5.0])
    >>> updates, _ = optimizer.update(jax.grad(f)(w), optimizer.init(w), w, value_fn=f)
    >>> (w + updates).round(4).tolist()
    [1.0, -1.0]
    """
    check_at_least("damping", damping, 0)
    check_mode(mode)

    def precondition(flat, g, lam, *, value_fn=None, matvec=None, **extra):
        if matvec is None:
            value_fn = require("value_fn", value_fn, use="to take products with its Hessian (or give `matvec`)")
            product = hessian_vector_product(flat_objective(value_fn, flat, **extra), flat.w, mode=mode)
        else:
            product = lambda v: flat.vector(matvec(flat.params(v)))
        return solved_by_products(lambda v: product(v) + lam * v, g, tolerance=tolerance, max_steps=max_steps)

    return searched(preconditioned(precondition, damping), learning_rate=learning_rate, linesearch=linesearch)


def preconditioned(precondition, damping) -> GradientTransformation:
    """Makes a pair from `precondition(flat, g, lambda, **extra) -> d` on vectors; its state counts the steps."""

    def update(grads, step, params=None, **extra):
        flat = flatten_parameters(params)
        direction = precondition(flat, flat.vector(grads), value_at(damping, step), **extra)
        return flat.updates(direction), step + 1

    return GradientTransformation(lambda params: jnp.int32(0), update)


def solved_by_products(matvec, g, *, tolerance=None, max_steps=None):
    """Computes `A^-1 g` by conjugate gradients; the result is g itself where `g^T A g <= 0`."""
    if tolerance is None:
        tolerance = jnp.minimum(0.5, dot(g, g) ** 0.25)
    x = conjugate_gradient(matvec, g, tolerance=tolerance, max_steps=max_steps).x
    return jnp.where(dot(x, x) > 0, x, g)


def solved_by_eigenvalues(A, g, *, change=lambda eigenvalues: eigenvalues):
    """Computes `change(A)^+ g` for a symmetric matrix A, where `change` maps its eigenvalues."""
    eigenvalues, V = jnp.linalg.eigh(A)
    curvature = change(eigenvalues)
    flat = jnp.abs(curvature) <= len(g) * jnp.finfo(g.dtype).eps * jnp.abs(curvature).max(initial=0)
    components = jnp.matmul(V.T, g, precision="highest")
    return jnp.matmul(V, jnp.where(flat, 0, components / curvature), precision="highest")


def _with_hessian(change, learning_rate, damping, linesearch, mode):
    check_at_least("damping", damping, 0)
    check_mode(mode)

    def precondition(flat, g, lam, *, value_fn=None, **extra):
        value_fn = require("value_fn", value_fn, use="to take its Hessian")
        product = hessian_vector_product(flat_objective(value_fn, flat, **extra), flat.w, mode=mode)
        return solved_by_eigenvalues(as_matrix(product, flat.w), g, change=lambda e: change(e) + lam)

    return searched(preconditioned(precondition, damping), learning_rate=learning_rate, linesearch=linesearch)
