"""L-BFGS against Optax, SciPy and the formula with whole matrices; the driver that runs it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
from tolerances import assert_close

from jaxnn.optimizers.adjustable_hyperparameters import adjustable
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.second_order.lbfgs_updates import lbfgs, scale_by_lbfgs
from jaxnn.second_order.line_search import scale_by_backtracking_linesearch
from jaxnn.second_order.minimization import minimize, value_and_grad_from_state
from jaxnn.verification.optimizer_references import PROBLEMS, rosenbrock, small_mlp

COVERS = {"second_order.value_and_grad_from_state"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def valley(w):
    """Rosenbrock's in n dimensions."""
    return jnp.sum(100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2)


def bowl(params):
    """Convex, not quadratic: every pair of it is curved."""
    x, y = params["x"], params["y"]
    return jnp.sum(jnp.cosh(x) * jnp.array([1.0, 3.0, 9.0])) + jnp.sum((y - x[:2]) ** 4) + jnp.sum(y**2)


BOWL_START = {"x": np.array([1.0, -0.5, 0.7]), "y": np.array([2.0, -1.0])}


def path(optimizer, problem, start, steps, **extra):
    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(problem)(params)
        given = {"value": value, "grad": grads, "value_fn": problem} if extra.get("search", True) else {}
        updates, state = optimizer.update(grads, state, params, **given)
        params = apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (start, optimizer.init(start)), length=steps)[1]


@pytest.mark.parametrize("memory_size", [1, 3, 10])
@pytest.mark.parametrize("scale_init_precond", [True, False])
def test_direction_of_optax(memory_size, scale_init_precond, x64):
    """Without a search, at a rate that converges: 40 directions, more than the memory holds."""
    rate = lambda step: 0.05 + 0.01 * jnp.cos(step)
    start = jax.tree.map(jnp.asarray, BOWL_START)
    options = {"memory_size": memory_size, "scale_init_precond": scale_init_precond, "linesearch": None}
    run = jax.jit(lambda make: path(make(rate, **options), bowl, start, 40, search=False), static_argnums=0)
    ours, theirs = run(lbfgs), run(optax.lbfgs)
    assert_close(ours, theirs, rtol=1e-11)  # 40 steps, each of 4 m inner products
    assert bowl(jax.tree.map(lambda x: x[-1], ours)) < 0.9 * bowl(start)


def test_path_of_optax_with_its_search(x64):
    problems = {problem: jax.tree.map(jnp.asarray, PROBLEMS[problem]) for problem in (rosenbrock, small_mlp)}
    run = jax.jit(lambda make: [path(make(), *pair, 35) for pair in problems.items()], static_argnums=0)
    for ours, theirs in zip(run(lbfgs), run(optax.lbfgs), strict=True):
        assert_close(ours, theirs, rtol=1e-7)  # the search amplifies rounding; from 1e-16 to 1e-8 in 35 steps
    end = jax.tree.map(lambda x: x[-1], run(lbfgs)[0])
    assert abs(end["x"] - 1) < 1e-3


def test_the_matrix_formula(x64):
    """The two loops are `P g`, P of whole matrices from the last three pairs (Nocedal and Wright, eq. 7.16)."""
    rng, n, m = np.random.default_rng(0), 5, 3
    A = rng.normal(size=(n, n))
    A = A @ A.T + np.eye(n)
    optimizer = scale_by_lbfgs(m)
    state = optimizer.init(jnp.zeros(n))
    points = rng.normal(size=(6, n))
    for w in points:
        ours, state = jax.jit(optimizer.update)(jnp.asarray(A @ w), state, jnp.asarray(w))
    S, Y = np.diff(points, axis=0)[-m:], np.diff(points @ A, axis=0)[-m:]
    P = np.eye(n) * (S[-1] @ Y[-1]) / (Y[-1] @ Y[-1])
    for s, y in zip(S, Y, strict=True):
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        P = V.T @ P @ V + np.outer(s, s) / (s @ y)
    assert_close(ours, P @ A @ points[-1])
    np.testing.assert_allclose(P @ Y[-1], S[-1])  # the secant equation


def test_a_pair_of_negative_curvature_is_passed_over(x64):
    """On a hilltop Optax's direction leads up; ours never does."""
    f = lambda w: -jnp.sum(w**2) + 0.1 * jnp.sum(w**4)
    ours, theirs = scale_by_lbfgs(), optax.scale_by_lbfgs()
    states, slopes = [ours.init(jnp.zeros(2)), theirs.init(jnp.zeros(2))], []
    for w in (jnp.array([0.1, 0.2]), jnp.array([0.2, 0.3]), jnp.array([0.4, 0.3])):
        for i, optimizer in enumerate((ours, theirs)):
            direction, states[i] = optimizer.update(jax.grad(f)(w), states[i], w)
            slopes.append(float(direction @ jax.grad(f)(w)))
    assert min(slopes[::2]) > 0 > min(slopes[1::2])
    assert states[0].rho.tolist() == [0] * 10


def test_a_pair_that_is_passed_over_changes_nothing(x64):
    """Two pairs of a bowl, one of a hilltop: the direction is that of the two, with a memory of just as many."""
    A, w = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 0.5], [0.4, 0.9], [-0.3, 0.2], [-0.5, 0.1]])
    g = w @ A
    g[3] = g[2] - 0.7 * (w[3] - w[2])
    optimizer = scale_by_lbfgs(2)
    state = optimizer.init(jnp.zeros(2))
    for point, gradient in zip(w, g, strict=True):
        ours, state = optimizer.update(jnp.asarray(gradient), state, jnp.asarray(point))
    S, Y = np.diff(w, axis=0)[:2], np.diff(g, axis=0)[:2]
    P = np.eye(2) * (S[1] @ Y[1]) / (Y[1] @ Y[1])
    for s, y in zip(S, Y, strict=True):
        V = np.eye(2) - np.outer(y, s) / (s @ y)
        P = V.T @ P @ V + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(ours, P @ g[3], rtol=1e-12)


def test_scipy_finds_the_same_minimum_in_ten_dimensions(x64):
    start = np.tile([-1.2, 1.0], 5)
    found = jax.jit(lambda w: minimize(valley, w, optimizer=lbfgs(), steps=200, tolerance=1e-8))(start)
    f = jax.jit(jax.value_and_grad(valley))
    theirs = scipy.optimize.minimize(f, start, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-8})
    assert found.converged
    assert found.gradient_norm <= 1e-8
    np.testing.assert_allclose(found.params, theirs.x, atol=1e-7)
    assert found.steps < 1.5 * theirs.nit


SEARCHES = {"wolfe": {}, "armijo": {"linesearch": scale_by_backtracking_linesearch(30, decrease_factor=0.5)}}


@pytest.mark.parametrize("search", SEARCHES)
def test_reaches_the_targets_from_many_starts_in_one_program(search, traced_once):
    optimizer = lbfgs(**SEARCHES[search])

    @jax.jit
    @traced_once
    def run(w):
        return minimize(valley, w, optimizer=optimizer, steps=200)

    starts = jnp.array([[0.0, 0.0], [-1.2, 1.0], [3.0, -2.0]])
    mapped = jax.jit(jax.vmap(lambda w: minimize(valley, w, optimizer=optimizer, steps=200)))(starts)
    assert mapped.converged.all()
    np.testing.assert_allclose(mapped.params, jnp.ones((3, 2)), atol=3e-2)
    for start, steps in zip(starts, mapped.steps, strict=True):
        alone = run(start)
        np.testing.assert_allclose(alone.params, [1, 1], atol=3e-2)
        assert abs(alone.steps - steps) <= 3
    parabola = lambda w: jnp.sum((w - jnp.array([1.0, -1.0, 1.0])) ** 2)
    found = minimize(parabola, jnp.array([-1.0, 10.0, 1.0]), optimizer=optimizer)
    np.testing.assert_allclose(found.params, [1, -1, 1], atol=3e-2)


def test_a_step_is_evaluated_no_more_often_than_the_search_says():
    """`minimize` takes value and gradient from the state: evaluations = one at the start, and those of the searches."""
    calls, w = [], jnp.array([3.0, 1.0])

    def f(w):
        calls.append(1)
        return jnp.sum(w**4)

    searches = []
    optimizer = lbfgs()
    state, evaluate = optimizer.init(w), value_and_grad_from_state(f)
    with jax.disable_jit():
        for _ in range(3):
            value, grad = evaluate(w, state=state)
            before = len(calls)
            updates, state = optimizer.update(grad, state, w, value=value, grad=grad, value_fn=f)
            w = w + updates
            searches.append(int(state.search.info.num_linesearch_steps))
            assert len(calls) - before == searches[-1]
            fresh = jax.value_and_grad(lambda w: jnp.sum(w**4))(w)
            assert_close(evaluate(w, state=state), fresh)
    marked = state._replace(search=state.search._replace(value=jnp.float32(123.0)))
    assert evaluate(w, state=marked)[0] == 123  # taken, not evaluated
    theirs = optax.value_and_grad_from_state(f)(w, state=state)  # Optax's finds ours
    assert_close(theirs, fresh)


def test_integers_none_and_half_precision():
    params = {"w": jnp.array([1.0, 2.0], jnp.bfloat16), "v": jnp.float32(3.0), "n": jnp.int32(7), "frozen": None}

    def f(p):
        return jnp.sum(p["w"].astype(jnp.float32) ** 2) + (p["v"] - p["n"]) ** 2

    grads = jax.grad(f, allow_int=True)(params)
    optimizer = lbfgs()
    updates, state = jax.jit(lambda p: optimizer.update(grads, optimizer.init(p), p, value_fn=f))(params)
    assert (updates["n"], updates["frozen"]) == (0, None)
    assert {name: str(x.dtype) for name, x in updates.items() if x is not None} == {
        "w": "bfloat16", "v": "float32", "n": "int32"
    }  # fmt: skip
    assert state.direction.w.dtype == jnp.float32
    found = minimize(f, params, optimizer=optimizer, steps=50)
    assert (found.params["n"], found.params["frozen"]) == (7, None)
    np.testing.assert_allclose(found.params["v"], 7, atol=1e-2)
    np.testing.assert_allclose(found.params["w"].astype(jnp.float32), 0, atol=1e-2)


def test_no_parameters_and_one():
    for params in ({}, {"w": jnp.float32(2.0)}):
        f = lambda p: sum(jnp.sum(x**2) for x in jax.tree.leaves(p)) + jnp.float32(0)
        found = minimize(f, params, optimizer=lbfgs())
        assert found.converged
        assert jax.tree.structure(found.params) == jax.tree.structure(params)


def test_the_state_keeps_shapes_and_dtypes_and_holds_arrays_only(x64):
    params = {"a": jnp.ones(3, jnp.float32), "b": jnp.ones((2, 2))}
    optimizer = lbfgs(memory_size=4)
    state = optimizer.init(params)
    f = lambda p: jnp.sum(p["a"] ** 2) + jnp.sum(p["b"] ** 4)
    _, after = optimizer.update(jax.grad(f)(params), state, params, value_fn=f)
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert shapes(state) == shapes(after)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(after))
    assert state.direction.S.shape == (4, 7)
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state)]
    assert len(set(pointers)) == len(pointers)  # what shares a buffer cannot be donated


def test_a_learning_rate_may_be_traced_or_mapped_over(x64):
    w = jnp.array([3.0, 4.0])
    plain = lbfgs(linesearch=None)
    mapped = jax.vmap(lambda rate: lbfgs(rate, linesearch=None).update(w, plain.init(w), w)[0])(jnp.array([0.1, 0.5]))
    assert_close(mapped, -jnp.array([[0.06, 0.08], [0.3, 0.4]]))  # the first direction has length 1
    own = adjustable(lbfgs)(learning_rate=0.5, linesearch=None)
    assert_close(own.update(w, own.init(w), w)[0], mapped[1])


def test_errors():
    w, optimizer = jnp.ones(2), lbfgs()
    with pytest.raises(ValueError, match=r"`value_fn` must be given.*received None"):
        optimizer.update(w, optimizer.init(w), w)
    with pytest.raises(ValueError, match="`params` must be"):
        optimizer.update(w, optimizer.init(w), value_fn=jnp.sum)
    with pytest.raises(ValueError, match="`memory_size` must be greater than 0"):
        lbfgs(memory_size=0)
    with pytest.raises(ValueError, match="`learning_rate` must be"):
        lbfgs(-1.0)
    with pytest.raises(ValueError, match="must be real; received complex"):
        optimizer.init(jnp.ones(2, jnp.complex64))
    with pytest.raises(ValueError, match="one structure"):
        optimizer.update({"w": w}, optimizer.init(w), w, value_fn=jnp.sum)


def test_minimize_runs_any_optimizer_and_stops_at_nan():
    found = minimize(lambda w: jnp.sum(w**2), jnp.ones(2), optimizer=optax.adam(0.1), steps=300, tolerance=1e-3)
    assert found.converged
    assert found.gradient_norm <= 1e-3
    lost = minimize(lambda w: jnp.sum(jnp.log(w)), jnp.ones(2), optimizer=optax.sgd(10.0), steps=50)
    assert not lost.converged
    assert lost.steps < 50
    short = minimize(lambda w: jnp.sum(w**2), jnp.ones(2), optimizer=optax.sgd(0.01), steps=5)
    assert (int(short.steps), bool(short.converged)) == (5, False)
    signs = optax.GradientTransformation(optax.sign_sgd(0.1).init, lambda g, s, p=None: (-0.1 * jnp.sign(g), s))
    assert minimize(lambda w: jnp.sum(w**2), jnp.ones(2), optimizer=signs, steps=9).value < 0.03
    with pytest.raises(ValueError, match=r"`optimizer` must be a pair.*forget to call it"):
        minimize(jnp.sum, jnp.ones(2), optimizer=lbfgs)
    batch = jnp.array([1.0, 2.0])
    fit = minimize(lambda w, batch: jnp.sum((w - batch) ** 2), jnp.zeros(2), optimizer=lbfgs(), batch=batch)
    np.testing.assert_allclose(fit.params, batch, atol=1e-3)
