"""These rows compare L-BFGS and line searches with Optax, or with NumPy on whole matrices."""

import math

import jax
import numpy as np
import optax

from jaxnn.optimizers.gradient_transformation import GradientTransformation
from jaxnn.second_order.lbfgs_updates import lbfgs, scale_by_lbfgs
from jaxnn.second_order.line_search import scale_by_backtracking_linesearch
from jaxnn.second_order.searched_descent import searched
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch
from jaxnn.verification.dense_descents import REGRESSION, SADDLE, around, walked, whole_matrix_bfgs
from jaxnn.verification.optimizer_references import descend_informed, rosenbrock, small_mlp
from jaxnn.verification.rows import DescentRow

NEAR = around(np.zeros(4), 0.25)
IN_THE_VALLEY = around({"x": np.float64(-0.5), "y": np.float64(0.7)}, 0.1)
STEEPEST = GradientTransformation(lambda params: (), lambda grads, state, params=None, **extra: (grads, state))
RMS = optax.scale_by_rms(0.8)
WHOLE = "NumPy's whole matrices"


def beside_optax(name, public, ours, theirs, against, value_fn, start, *, steps):
    """The oracle is an optimizer of Optax, compiled as ours is."""
    oracle = jax.jit(lambda start: descend_informed(theirs, value_fn, start, steps=steps))
    return DescentRow(name, public, ours, oracle, against, value_fn, start, steps)


def _whole_row(name, learning_rate, problem, *, steps):
    ours = searched(scale_by_lbfgs(3), learning_rate=learning_rate)
    oracle = walked(whole_matrix_bfgs(problem.gradient, learning_rate, 3), steps)
    return DescentRow(name, scale_by_lbfgs, ours, oracle, WHOLE, problem, NEAR, steps)


def _lbfgs_row(name, value_fn, start, *, steps, **options):
    return beside_optax(
        name, lbfgs, lbfgs(**options), optax.lbfgs(**options), "optax.lbfgs", value_fn, start, steps=steps
    )


def _search_row(name, search, value_fn, start, *, steps=8, **numbers):
    """Steepest descent, whose steps must vary by orders of magnitude; not on a parabola, where Optax divides 0 by 0."""
    reference = getattr(optax, search.__name__)
    ours, theirs = (
        searched(STEEPEST, linesearch=search(**numbers)),
        optax.chain(optax.scale(-1.0), reference(**numbers)),
    )
    return beside_optax(name, search, ours, theirs, f"optax.{search.__name__}", value_fn, start, steps=steps)


def _network(rng):
    return {"w1": rng.normal(size=(5, 8)), "b1": np.zeros(8), "w2": rng.normal(size=(8, 2))}


QUASI_NEWTON = [
    _whole_row("scale_by_lbfgs", 0.5, REGRESSION, steps=10),
    _whole_row("scale_by_lbfgs, bent down", 0.3, SADDLE, steps=5),
    _lbfgs_row("lbfgs", rosenbrock, IN_THE_VALLEY, steps=8),
    _lbfgs_row("lbfgs, network", small_mlp, _network, steps=8),
    _lbfgs_row("lbfgs, no search", REGRESSION, NEAR, steps=20, learning_rate=0.3, memory_size=3, linesearch=None),
    _lbfgs_row(
        "lbfgs, no search nor scale", REGRESSION, NEAR, steps=20,
        learning_rate=0.02, scale_init_precond=False, linesearch=None,
    ),
]  # fmt: skip

SEARCHES = [
    beside_optax(
        "searched", searched,
        searched(RMS, learning_rate=0.5, linesearch=scale_by_backtracking_linesearch(30)),
        optax.chain(RMS, optax.scale(-0.5), optax.scale_by_backtracking_linesearch(30)),
        "optax.chain", rosenbrock, IN_THE_VALLEY, steps=8,
    ),
    _search_row(
        "scale_by_backtracking_linesearch", scale_by_backtracking_linesearch, rosenbrock, IN_THE_VALLEY,
        max_backtracking_steps=40, slope_rtol=0.3, increase_factor=math.inf, store_grad=True,
    ),
    _search_row(
        "scale_by_backtracking_linesearch, tolerant", scale_by_backtracking_linesearch, rosenbrock, IN_THE_VALLEY,
        steps=4, max_backtracking_steps=40, atol=2.0, rtol=0.3, decrease_factor=0.9, max_learning_rate=0.1,
    ),
    _search_row(
        "scale_by_zoom_linesearch", scale_by_zoom_linesearch, rosenbrock, IN_THE_VALLEY, max_linesearch_steps=30
    ),
    _search_row(
        "scale_by_zoom_linesearch, tight", scale_by_zoom_linesearch, small_mlp, _network,
        max_linesearch_steps=30, initial_guess_strategy="one", curv_rtol=0.01, increase_factor=3.0,
    ),
    _search_row(
        "scale_by_zoom_linesearch, bounded", scale_by_zoom_linesearch, small_mlp, _network,
        max_linesearch_steps=30, approx_dec_rtol=None, tol=1e-3, max_learning_rate=0.3,
    ),
    _search_row(
        "scale_by_zoom_linesearch, short brackets", scale_by_zoom_linesearch, small_mlp, _network,
        max_linesearch_steps=30, initial_guess_strategy="one", curv_rtol=1e-3, stepsize_precision=0.1,
    ),
    _search_row(
        "scale_by_zoom_linesearch, coarse values", scale_by_zoom_linesearch, small_mlp, _network,
        max_linesearch_steps=30, slope_rtol=0.4, curv_rtol=0.45, approx_dec_rtol=0.9,
    ),
]  # fmt: skip
