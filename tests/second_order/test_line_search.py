"""Steps of the length that a line search promises, on any line."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn.optimizers.gradient_transformation import GradientTransformation, apply_updates
from jaxnn.second_order.line_search import scale_by_backtracking_linesearch
from jaxnn.second_order.searched_descent import searched
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch
from jaxnn.verification.optimizer_references import PROBLEMS, rosenbrock, small_mlp

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

STEEPEST = GradientTransformation(lambda params: (), lambda grads, state, params=None, **extra: (grads, state))
C1, C2 = 1e-4, 0.9
BUDGET = 30
SEARCHES = {
    "armijo": scale_by_backtracking_linesearch(BUDGET - 1, decrease_factor=0.5),
    "wolfe": scale_by_zoom_linesearch(
        BUDGET, approx_dec_rtol=None, stepsize_precision=0.0, initial_guess_strategy="one"
    ),
}
both = pytest.mark.parametrize("name", SEARCHES)


def search_along(search, f, w, d):
    """`(eta, state)` from w along d."""
    value, grad = jax.value_and_grad(f)(w)
    updates, state = search.update(d, search.init(w), w, value=value, grad=grad, value_fn=f)
    return state.learning_rate, state, updates


def path(optimizer, problem, start, steps):
    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(problem)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=problem)
        params = apply_updates(params, updates)
        return (params, state), (params, optax.tree.get(state, "learning_rate"))

    return jax.lax.scan(step, (start, optimizer.init(start)), length=steps)[1]


# (name, numbers): the searches of ours and Optax's are called alike
ARMIJO = "scale_by_backtracking_linesearch", {"max_backtracking_steps": 40}
ZOOM = "scale_by_zoom_linesearch", {"max_linesearch_steps": 30}
VARIANTS = [
    (*ARMIJO, {"increase_factor": math.inf, "slope_rtol": 0.3, "store_grad": True}),
    (*ARMIJO, {"atol": 1e-2, "rtol": 0.1, "decrease_factor": 0.5, "max_learning_rate": 0.1}),
    (*ZOOM, {}),
    (*ZOOM, {"initial_guess_strategy": "one", "curv_rtol": 0.01, "increase_factor": 3.0}),
    (*ZOOM, {"approx_dec_rtol": None, "tol": 1e-3, "max_learning_rate": 0.3, "stepsize_precision": 1e-3}),
]
OURS = {f.__name__: f for f in (scale_by_backtracking_linesearch, scale_by_zoom_linesearch)}


@pytest.mark.parametrize(("name", "budget", "numbers"), VARIANTS)
def test_walks_the_path_of_optax(name, budget, numbers, x64):
    """Steepest descent, whose steps must vary by orders of magnitude: every branch of the search is taken.

    Not on a parabola: Optax's cubic divides 0 by 0 there, so that its steps depend on rounding.
    """
    ours = searched(STEEPEST, linesearch=OURS[name](**budget, **numbers))
    theirs = optax.chain(optax.scale(-1.0), getattr(optax, name)(**budget, **numbers))
    problems = {problem: jax.tree.map(jnp.asarray, PROBLEMS[problem]) for problem in (rosenbrock, small_mlp)}
    run = jax.jit(lambda: [[path(o, *pair, steps=20) for o in (ours, theirs)] for pair in problems.items()])
    paths = run()
    assert len({float(eta) for mine, _ in paths for eta in mine[1]}) > 3
    for mine, other in paths:
        assert_close(mine, other, rtol=1e-9)  # 20 searches amplify the rounding of the interpolation


@jax.jit
def random_function(coefficients, w):
    """A bounded ripple on a bowl: smooth, not convex, with a lowest value."""
    A, phases, heights = coefficients
    return jnp.sum(heights * jnp.cos(A @ w + phases)) + 0.05 * jnp.sum(w**4) + 0.1 * jnp.sum(w**2)


@jax.jit
def random_search(coefficients, w, d):
    f = lambda w: random_function(coefficients, w)
    d = d * -jnp.sign(jax.grad(f)(w) @ d)  # downwards
    line = lambda eta: (f(w + eta * d), jax.grad(f)(w + eta * d) @ d)
    found = {name: search_along(search, f, w, d) for name, search in SEARCHES.items()}
    return line(0.0), {name: (eta, *line(eta), state, updates / d) for name, (eta, state, updates) in found.items()}


def test_takes_optaxs_steps_on_random_functions(x64):
    """To a hundredth of the slope, so that brackets close in from both sides and every end is once the third."""
    numbers = {"max_linesearch_steps": 30, "curv_rtol": 0.01, "initial_guess_strategy": "one"}
    ours, theirs = scale_by_zoom_linesearch(**numbers), optax.scale_by_zoom_linesearch(**numbers)

    @jax.jit
    @jax.vmap
    def etas(coefficients, w, length):
        f = lambda w: random_function(coefficients, w)
        d = -length * jax.grad(f)(w)
        return [search_along(search, f, w, d)[0] for search in (ours, theirs)]

    rng, n = np.random.default_rng(0), 100
    coefficients = rng.normal(size=(n, 5, 3)), rng.normal(size=(n, 5)), rng.normal(size=(n, 5))
    mine, other = etas(coefficients, 2 * rng.normal(size=(n, 3)), 10 ** rng.uniform(-2, 2, n))
    np.testing.assert_allclose(mine, other, rtol=1e-8)


@given(st.integers(0, 10**6), st.floats(-3, 3))
@settings(max_examples=60)
def test_conditions_hold_on_random_functions(seed, log_length):
    rng = np.random.default_rng(seed)
    coefficients = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=5)
    w, d = 2 * rng.normal(size=3), rng.normal(size=3) * 10**log_length
    with jax.enable_x64(True):
        (value, slope), found = jax.device_get(random_search(coefficients, w, d))
    assert slope < 0
    for name, (eta, phi, dphi, state, factors) in found.items():
        assert_close(factors, np.full(3, eta))
        assert eta > 0, name
        assert phi <= value + C1 * eta * slope + 1e-12, name
        assert state.info.num_linesearch_steps <= BUDGET
        assert_close((state.value,), (phi,))
        if name == "wolfe":
            assert abs(dphi) <= C2 * abs(slope) + 1e-12
            assert_close(jnp.abs(state.grad @ d), jnp.abs(dphi))
            assert state.info.decrease_error == state.info.curvature_error == 0


@both
def test_a_direction_that_does_not_descend_is_not_taken(name):
    f, w = lambda w: jnp.sum(w**2), jnp.array([1.0, 2.0])
    for d in (2 * w, jnp.zeros(2), jnp.array([2.0, -1.0]), jnp.array([jnp.nan, 1.0]), jnp.array([-jnp.inf, 0.0])):
        updates, state = SEARCHES[name].update(d, SEARCHES[name].init(w), w, value=f(w), grad=2 * w, value_fn=f)
        if not jnp.isinf(d).any():
            assert state.info.num_linesearch_steps == 0
        assert updates.tolist() == [0, 0]
        assert state.value == 5


@both
@pytest.mark.parametrize("outside", [jnp.nan, jnp.inf, -jnp.inf])
def test_steps_back_from_where_there_is_no_number(name, outside):
    f = lambda w: jnp.where(w[0] < 0.1, (w[0] - 0.05) ** 2, outside)
    w = jnp.array([-1.0])
    eta, state, _ = search_along(SEARCHES[name], f, w, jnp.array([100.0]))
    assert 0 < eta < 0.011
    assert state.value == f(w + 100 * eta) < f(w)


@both
def test_where_every_trial_is_worse_nothing_moves_and_the_next_search_begins_anew(name):
    f = lambda w: jnp.where(w[0] == 0, 0.0, jnp.nan)
    w, search = jnp.zeros(1), SEARCHES[name]
    arguments = {"value": 0.0, "grad": -jnp.ones(1), "value_fn": f}
    updates, state = search.update(jnp.ones(1), search.init(w), w, **arguments)
    assert updates.tolist() == [0]
    assert state.learning_rate == state.value == 0
    assert state.info.num_linesearch_steps == BUDGET
    good = lambda w: (w[0] - 1) ** 2
    after, _ = search.update(jnp.ones(1), state, w, value=1.0, grad=-2 * jnp.ones(1), value_fn=good)
    assert after.tolist() == [1]


@both
@pytest.mark.parametrize("budget", [1, 2, 5])
def test_the_budget_is_kept_and_the_value_never_rises(name, budget):
    make = {
        "armijo": lambda: scale_by_backtracking_linesearch(budget - 1),
        "wolfe": lambda: scale_by_zoom_linesearch(budget, initial_guess_strategy="one"),
    }
    calls = []

    def f(w):
        calls.append(1)
        return jnp.sum(w**4)

    for length in (1e-3, 1.0, 1e3):
        w, value, grad = jnp.ones(2), jnp.float32(2), 4 * jnp.ones(2)
        calls.clear()
        search = make[name]()
        with jax.disable_jit():
            updates, state = search.update(-length * grad, search.init(w), w, value=value, grad=grad, value_fn=f)
        assert state.info.num_linesearch_steps == len(calls) <= budget
        assert f(w + updates) <= value


def test_the_gradient_is_kept_where_asked():
    w, grad = jnp.array([3.0]), jnp.array([6.0])
    for store_grad in (True, False):
        search = scale_by_backtracking_linesearch(10, store_grad=store_grad)
        updates, state = search.update(-grad, search.init(w), w, value=9.0, grad=grad, value_fn=lambda w: jnp.sum(w**2))
        assert (state.grad.tolist() if store_grad else state.grad) == (
            (2 * (w + updates)).tolist() if store_grad else None
        )
        assert jax.tree.structure(search.init(w)) == jax.tree.structure(state)


@both
def test_extra_arguments_reach_the_function_that_names_them(name):
    f = lambda w, batch: jnp.sum((w - batch) ** 2)
    w, batch, search = jnp.zeros(2), jnp.array([1.0, 2.0]), SEARCHES[name]
    arguments = {"value": f(w, batch), "grad": -2 * batch, "value_fn": f, "batch": batch, "not_named": 3}
    assert search.update(batch, search.init(w), w, **arguments)[0].tolist() == [1, 2]


@both
@pytest.mark.parametrize("missing", ["value", "grad", "value_fn"])
def test_says_what_is_missing(name, missing):
    w, search = jnp.ones(1), SEARCHES[name]
    arguments = {"value": 1.0, "grad": w, "value_fn": jnp.sum}
    with pytest.raises(ValueError, match=rf"`{missing}` must be given.*received None.*{missing}=\.\.\."):
        search.update(w, search.init(w), w, **{**arguments, missing: None})
    with pytest.raises(ValueError, match="`params` must be"):
        search.update(w, search.init(w), **arguments)
    with pytest.raises(ValueError, match="must return a scalar; received shape"):
        search.update(-w, search.init(w), w, **{**arguments, "value_fn": lambda w: w})


@pytest.mark.parametrize("number", [-1.0, math.nan, 2.0])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (scale_by_backtracking_linesearch, "slope_rtol"),
        (scale_by_backtracking_linesearch, "decrease_factor"),
        (scale_by_zoom_linesearch, "slope_rtol"),
        (scale_by_zoom_linesearch, "curv_rtol"),
    ],
)
def test_numbers_out_of_range(make, name, number):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0 and less than 1; received {number}"):
        make(10, **{name: number})


def test_unknown_strategy():
    with pytest.raises(ValueError, match="unknown initial_guess_strategy 'on'; did you mean 'one'"):
        scale_by_zoom_linesearch(10, initial_guess_strategy="on")
    with pytest.raises(ValueError, match="max_linesearch_steps"):
        scale_by_zoom_linesearch(0)
    with pytest.raises(ValueError, match="increase_factor"):
        scale_by_zoom_linesearch(5, increase_factor=1.0)


@both
def test_in_an_optax_chain_as_a_pair_with_extra_arguments(name):
    search = optax.GradientTransformationExtraArgs(*SEARCHES[name])
    f, w = lambda w: jnp.sum(w**2), jnp.array([3.0])
    arguments = {"value": f(w), "grad": 2 * w, "value_fn": f}
    theirs = optax.chain(optax.sgd(1.0), search)
    ours = searched(STEEPEST, linesearch=search)
    left, right = (o.update(2 * w, o.init(w), w, **arguments)[0] for o in (theirs, ours))
    assert left.tolist() == right.tolist() != [0]
    plain = optax.chain(optax.sgd(1.0), SEARCHES[name])  # drops the extra arguments, as the pair is not its own
    with pytest.raises(ValueError, match="`value_fn` must be given"):
        plain.update(2 * w, plain.init(w), w, **arguments)
