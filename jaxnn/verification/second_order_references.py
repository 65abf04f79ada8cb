"""These rows compare second-order methods with solves by NumPy or SciPy in which every matrix is formed."""

import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg

from jaxnn.second_order.gauss_newton_steps import gauss_newton, levenberg_marquardt
from jaxnn.second_order.natural_gradients import natural_gradient, natural_gradient_cg
from jaxnn.second_order.newton_steps import newton, newton_cg, saddle_free_newton
from jaxnn.verification.dense_descents import (
    CURVE,
    FLAT_REGRESSION,
    MODELS,
    REGRESSION,
    SADDLE,
    along,
    around,
    conjugate_gradients,
    damped,
    krylov_step,
    levenberg_marquardt_by_normal_equations,
    minimum_by_minpack,
    ridge_solution,
    roots_by_scipy,
    size_of,
    walked,
)
from jaxnn.verification.quasi_newton_references import beside_optax
from jaxnn.verification.rows import DescentRow

SOLVE, LSTSQ, CG = "numpy.linalg.solve", "numpy.linalg.lstsq", "scipy.sparse.linalg.cg"
NEAR = around(np.zeros(4), 0.25)
ON_THE_CURVE, OFF_THE_CURVE = around(np.array([2.0, 1.5, 0.3]), 0.1), around(np.array([1.0, 3.0, 0.0]), 0.1)


def _row(name, factory, ours, descent, against, problem, *, start=NEAR, steps=8, **options):
    return DescentRow(name, factory, ours, walked(descent, steps), against, problem, start, steps, **options)


def _newton_row(name, factory, ours, solve, against, problem=REGRESSION, **options):
    """The oracle is `w <- w - solve(H, g)`."""
    descent = along(lambda w: solve(problem.hessian(w), problem.gradient(w)))
    return _row(name, factory, ours, descent, against, problem, **options)


def _gauss_newton_row(name, ours, solve, against, start=ON_THE_CURVE):
    """The oracle is `w <- w - solve(J, r)`."""
    descent, extra = along(lambda w: solve(CURVE.jacobian(w), CURVE.residuals(w))), {"residual_fn": CURVE.residual_fn}
    return _row(name, gauss_newton, ours, descent, against, CURVE, start=start, extra=extra)


def _marquardt_row(name, *, damping, scaling="identity", start=OFF_THE_CURVE, steps=3):
    """Few steps: at the minimum rho is a quotient of rounding errors, and lambda follows it."""
    ours, extra = levenberg_marquardt(damping, scaling=scaling), {"residual_fn": CURVE.residual_fn}
    descent = levenberg_marquardt_by_normal_equations(CURVE, damping, diagonal=scaling == "diagonal")
    return _row(name, levenberg_marquardt, ours, descent, SOLVE, CURVE, start=start, steps=steps, extra=extra)


def _natural_rows(factory, solve, against, **numbers):
    """The oracle is `w <- w - solve(F, g)`: a row a family."""
    for model in MODELS:
        name, ours = f"{factory.__name__}, {model.family}", factory(**numbers, family=model.family)
        descent = along(lambda W, model=model: solve(model.fisher(W), model.gradient(W)))
        start, extra = around(np.zeros((4, 3)), 0.3), {"outputs_fn": model.outputs_fn}
        yield _row(name, factory, ours, descent, against, model, start=start, extra=extra)


def _hill(w):
    """Bends down wherever |w| < pi / 2, so that no product is of use to conjugate gradients."""
    return jnp.sum(jnp.cos(w) * jnp.arange(1, len(w) + 1))


NEWTON = [
    _newton_row(
        "newton", newton, newton(0.7, damping=0.5),
        lambda H, g: 0.7 * np.linalg.solve(damped(H, 0.5), g), SOLVE,
    ),
    _newton_row(
        "newton, flat direction", newton, newton(),
        lambda H, g: scipy.linalg.pinvh(H) @ g, "scipy.linalg.pinvh", FLAT_REGRESSION,
    ),
    DescentRow(
        "newton, coordinates apart", newton, newton(mode="forward"),
        roots_by_scipy(lambda x: np.sinh(x) - 0.5, np.cosh, 8), "scipy.optimize.newton",
        lambda w: jnp.sum(jnp.cosh(w) - 0.5 * w), around(np.zeros(4), 1.0), 8,
    ),
    _newton_row(
        "saddle_free_newton", saddle_free_newton, saddle_free_newton(0.5, damping=0.5),
        lambda H, g: 0.5 * np.linalg.solve(damped(size_of(H), 0.5), g), "scipy.linalg.polar", SADDLE,
    ),
    _newton_row(
        "newton_cg", newton_cg, newton_cg(0.7, damping=0.5, tolerance=1e-14),
        lambda H, g: 0.7 * np.linalg.solve(damped(H, 0.5), g), SOLVE,
    ),
    _newton_row(
        "newton_cg, truncated", newton_cg, newton_cg(tolerance=0.0, max_steps=2),
        lambda H, g: conjugate_gradients(H, g, rtol=0.0, maxiter=2), CG,
    ),
    _newton_row(
        "newton_cg, its own tolerance", newton_cg, newton_cg(damping=0.1, mode="forward"),
        lambda H, g: conjugate_gradients(damped(H, 0.1), g), CG,
    ),
    _newton_row(
        "newton_cg, saddle", newton_cg, newton_cg(0.5, tolerance=1e-14),
        lambda H, g: 0.5 * krylov_step(H, g), "minimum over a Krylov space", SADDLE,
        start=around(np.zeros(4), 0.5), steps=2,
    ),
    beside_optax(
        "newton_cg, hill", newton_cg, newton_cg(0.05), optax.sgd(0.05), "optax.sgd",
        _hill, around(np.zeros(3), 0.25), steps=8,
    ),
]  # fmt: skip

LEAST_SQUARES = [
    _gauss_newton_row("gauss_newton", gauss_newton(0.8), lambda J, r: 0.8 * np.linalg.lstsq(J, r)[0], LSTSQ),
    _gauss_newton_row(
        "gauss_newton, damped", gauss_newton(damping=0.3, mode="forward"), lambda J, r: ridge_solution(J, r, 0.3), SOLVE
    ),
    _gauss_newton_row(
        "gauss_newton, deficient rank", gauss_newton(0.8), lambda J, r: 0.8 * np.linalg.lstsq(J, r)[0], LSTSQ,
        start=around(np.array([2.0, 1.5, 0.2, 0.1]), 0.1),
    ),
    _marquardt_row("levenberg_marquardt", damping=0.1),
    _marquardt_row("levenberg_marquardt, diagonal", damping=0.1, scaling="diagonal", steps=5),
    _marquardt_row(
        "levenberg_marquardt, refused steps", damping=1e-3, start=around(np.array([0.5, 4.0, 0.0]), 0.1), steps=6
    ),
    DescentRow(
        "levenberg_marquardt, minimum", levenberg_marquardt, levenberg_marquardt(),
        minimum_by_minpack(CURVE), "scipy.optimize.least_squares", CURVE, OFF_THE_CURVE, 30,
        extra={"residual_fn": CURVE.residual_fn}, minimum=True,
        tolerance={"float32": 1e-4, "float64": 1e-8},  # a step that gains less than the value's rounding is refused
    ),
]  # fmt: skip

NATURAL = [
    *_natural_rows(
        natural_gradient, lambda F, g: 0.5 * np.linalg.solve(damped(F, 0.2), g), SOLVE, learning_rate=0.5, damping=0.2
    ),
    *_natural_rows(natural_gradient_cg, lambda F, g: conjugate_gradients(damped(F, 0.2), g), CG, damping=0.2),
]

SECOND_ORDER = [*NEWTON, *LEAST_SQUARES, *NATURAL]
