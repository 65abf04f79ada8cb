"""Newton's method, with the matrix and without it."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn import layers
from jaxnn.models import fit_glm, irls_step
from jaxnn.optimizers.adjustable_hyperparameters import adjustable
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.second_order.conjugate_gradients import conjugate_gradient
from jaxnn.second_order.hessian_products import gauss_newton_vector_product, hessian_vector_product
from jaxnn.second_order.line_search import scale_by_backtracking_linesearch
from jaxnn.second_order.minimization import minimize
from jaxnn.second_order.newton_steps import newton, newton_cg, saddle_free_newton
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch
from jaxnn.verification.optimizer_references import rosenbrock

COVERS = {
    "second_order.Minimum",
    "second_order.conjugate_gradient",
    "second_order.gauss_newton_vector_product",
    "second_order.hessian_vector_product",
    "second_order.minimize",
}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

FACTORIES = {"newton": newton, "saddle_free_newton": saddle_free_newton, "newton_cg": newton_cg}
TO_THE_END = {"newton": {}, "saddle_free_newton": {}, "newton_cg": {"tolerance": 1e-14}}
every = pytest.mark.parametrize("name", FACTORIES)
modes = pytest.mark.parametrize("mode", ["reverse", "forward"])


def logistic(seed=0, ridge=0.1):
    """The loss of a ridge logistic regression, its data and its start."""
    rng = np.random.default_rng(seed)
    X, t = jnp.asarray(rng.normal(size=(30, 4))), jnp.asarray(rng.integers(0, 2, 30).astype(float))
    f = lambda w: jnp.sum(jax.nn.softplus(X @ w) - t * (X @ w)) + ridge / 2 * w @ w
    return f, (X, t), jnp.asarray(0.25 * rng.normal(size=4))  # near enough for full steps


def step_of(optimizer, f):
    @jax.jit
    def step(params):
        updates, _ = optimizer.update(jax.grad(f)(params), optimizer.init(params), params, value_fn=f)
        return apply_updates(params, updates)

    return step


def stepped(optimizer, f, params):
    return step_of(optimizer, f)(params)


def definite(seed, n):
    A = np.random.default_rng(seed).normal(size=(n, n))
    return jnp.asarray(A @ A.T + np.eye(n))


@every
@modes
def test_a_quadratic_takes_one_step(name, mode, x64):
    A, b = definite(0, 6), jnp.arange(6.0)
    f = lambda p: p["w"] @ A @ p["w"] / 2 - b @ p["w"] + (p["c"] - 3) ** 2
    start = {"w": jnp.ones(6), "c": jnp.float64(-1.0)}
    end = stepped(FACTORIES[name](mode=mode, **TO_THE_END[name]), f, start)
    assert_close(end, {"w": jnp.linalg.solve(A, b), "c": jnp.float64(3.0)})


@every
def test_one_step_of_logistic_regression_is_iteratively_reweighted_least_squares(name, x64):
    f, examples, w = logistic()
    ours = stepped(FACTORIES[name](**TO_THE_END[name]), f, w)
    assert_close(ours, irls_step(w, examples, ridge=0.1))
    solution = fit_glm(*examples, ridge=0.1, tolerance=1e-13).weights
    found = minimize(f, w, optimizer=FACTORIES[name](), tolerance=1e-11)
    assert found.converged
    assert_close(found.params, solution, rtol=1e-11)


@pytest.mark.parametrize("name", ["newton", "newton_cg"])
@pytest.mark.parametrize("problem", ["regression", "valley"])
def test_converges_quadratically(name, problem, x64):
    """Each error is below a constant times the square of the one before; by newton_cg, tightly solved."""
    f, examples, w = logistic()
    end = fit_glm(*examples, ridge=0.1, tolerance=1e-13).weights
    if problem == "valley":
        f, w, end = lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2, jnp.array([1.1, 1.2]), jnp.ones(2)
    step, errors = step_of(FACTORIES[name](**TO_THE_END[name]), f), []
    for _ in range(8):
        errors.append(float(jnp.linalg.norm(w - end)))
        w = step(w)
    orders = [(a, b) for a, b in pairwise(errors) if 1e-6 < a < 1]
    assert len(orders) >= 3
    assert all(b < 100 * a**2 for a, b in orders), errors
    assert errors[-1] < 1e-12


ZOOM = scale_by_zoom_linesearch(20, initial_guess_strategy="one")


@every
@pytest.mark.parametrize("linesearch", [None, scale_by_backtracking_linesearch(30, decrease_factor=0.5)])
def test_reaches_the_targets(name, linesearch):
    options = {"damping": 1.0} if (name, linesearch) == ("newton_cg", None) else {}
    optimizer = FACTORIES[name](linesearch=linesearch, **options)
    found = minimize(rosenbrock, {"x": jnp.zeros(()), "y": jnp.zeros(())}, optimizer=optimizer, steps=300)
    np.testing.assert_allclose([found.params["x"], found.params["y"]], [1, 1], atol=3e-2)
    parabola = lambda w: jnp.sum((w - jnp.array([1.0, -1.0, 1.0])) ** 2)
    found = minimize(parabola, jnp.array([-1.0, 10.0, 1.0]), optimizer=optimizer)
    np.testing.assert_allclose(found.params, [1, -1, 1], atol=3e-2)


@every
def test_is_compiled_once_and_maps_over_starts(name, traced_once):
    optimizer = FACTORIES[name](damping=0.1, linesearch=ZOOM)

    @jax.jit
    @traced_once
    def run(params):
        return minimize(rosenbrock, params, optimizer=optimizer, steps=8)

    starts = {"x": jnp.array([0.0, 2.0]), "y": jnp.array([0.5, -1.0])}
    mapped = jax.vmap(run)(starts)
    for i in range(2):
        alone = run(jax.tree.map(lambda x: x[i], starts))  # noqa: B023
        assert_close(jax.tree.map(lambda x: x[i], mapped.params), alone.params, rtol=1e-3)  # noqa: B023


def test_saddles(x64):
    """Newton climbs to the saddle, the others leave it; all three agree where the Hessian is definite."""
    f = lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4
    w = jnp.array([1.0, 0.1])
    assert abs(stepped(newton(), f, w)[1]) < 0.1
    for name in ("saddle_free_newton", "newton_cg"):
        after = stepped(FACTORIES[name](), f, w)
        assert f(after) < f(w)
        assert after[1] > 0.1
    hill = lambda w: -jnp.sum(w**2) / 2
    assert_close(stepped(newton_cg(0.5), hill, w), 1.5 * w)  # no product is of use: the gradient itself
    convex, _, start = logistic()
    assert_close(stepped(saddle_free_newton(), convex, start), stepped(newton(), convex, start))


@every
def test_a_flat_direction_is_left_alone(name, x64):
    f = lambda w: (w[0] + w[1] - 2) ** 2
    end = stepped(FACTORIES[name](**TO_THE_END[name]), f, jnp.array([5.0, 1.0]))
    assert_close(end, jnp.array([3.0, -1.0]))


@every
def test_damping_is_added_to_the_diagonal(name, x64):
    A, w = definite(1, 4), jnp.arange(1.0, 5.0)
    f = lambda w: w @ A @ w / 2
    end = stepped(FACTORIES[name](0.5, damping=2.0, **TO_THE_END[name]), f, w)
    assert_close(end, w - 0.5 * jnp.linalg.solve(A + 2 * jnp.eye(4), A @ w))
    scheduled = FACTORIES[name](damping=lambda step: 1.0 * step, **TO_THE_END[name])
    _, state = scheduled.update(A @ w, scheduled.init(w), w, value_fn=f)
    later, _ = scheduled.update(A @ w, state, w, value_fn=f)
    assert_close(later, -jnp.linalg.solve(A + jnp.eye(4), A @ w))


@every
def test_numbers_may_live_in_the_state(name):
    f, _, w = logistic()
    w, f = jnp.asarray(w, jnp.float32), lambda w: jnp.sum(jnp.cosh(w))
    own = adjustable(FACTORIES[name])(learning_rate=0.5, damping=0.0)
    plain = FACTORIES[name](0.5)
    updates, _ = jax.jit(lambda s: own.update(jax.grad(f)(w), s, w, value_fn=f))(own.init(w))
    assert_close(updates, plain.update(jax.grad(f)(w), plain.init(w), w, value_fn=f)[0])


@every
def test_layers_with_hand_written_gradients(name, x64):
    """Both orders of differentiation, for the gradient itself is plain: its forward mode is not forbidden."""
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(8, 3))), jnp.asarray(rng.normal(size=(8, 2)))
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 2))), "bias": jnp.zeros(2)}
    f = lambda p: jnp.sum((layers.dense(p, x) - y) ** 2)
    end = stepped(FACTORIES[name](**TO_THE_END[name]), f, params)
    best = np.linalg.lstsq(np.concatenate([x, np.ones((8, 1))], axis=1), y, rcond=None)[0]
    assert_close(end, {"kernel": best[:3], "bias": best[3]}, rtol=1e-11)  # of a condition number near 100
    assert_close(stepped(FACTORIES[name](mode="forward", **TO_THE_END[name]), f, params), end, rtol=1e-11)


def test_forward_mode_is_refused_by_hand_written_gradients():
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}
    outputs = lambda p: layers.dense(p, jnp.ones((4, 3)))
    assert jax.tree.structure(gauss_newton_vector_product(outputs, params)(params)) == jax.tree.structure(params)
    product = gauss_newton_vector_product(outputs, params, mode="forward")
    with pytest.raises(TypeError, match="forward-mode"):
        product(params)


def test_a_given_product_and_a_batch(x64):
    A, w = definite(2, 3), jnp.ones(3)
    optimizer = newton_cg(tolerance=1e-14)
    params, product = {"w": w}, lambda v: {"w": A @ v["w"]}
    updates, _ = optimizer.update({"w": A @ w}, optimizer.init(params), params, matvec=product)
    assert_close(updates, {"w": -w})
    f = lambda w, A: w @ A @ w / 2
    for factory in (newton, newton_cg):
        optimizer = factory(linesearch=ZOOM)
        updates, _ = optimizer.update(A @ w, optimizer.init(w), w, value_fn=f, A=A, unknown=1)
        assert f(w + updates, A) < 0.5 * f(w, A)


def test_integers_none_and_half_precision():
    params = {"w": jnp.array([1.0, 2.0], jnp.bfloat16), "n": jnp.int32(2), "frozen": None}
    f = lambda p: jnp.sum((p["w"].astype(jnp.float32) - p["n"]) ** 2)
    for factory in FACTORIES.values():
        optimizer = factory()
        grads = jax.grad(f, allow_int=True)(params)
        updates, _ = optimizer.update(grads, optimizer.init(params), params, value_fn=f)
        after = apply_updates(params, updates)
        assert after["w"].dtype == jnp.bfloat16
        assert after["w"].tolist() == [2, 2]
        assert (after["n"], after["frozen"]) == (2, None)


@every
def test_errors(name):
    w, factory = jnp.ones(2), FACTORIES[name]
    with pytest.raises(ValueError, match=r"`value_fn` must be given.*Hessian"):
        factory().update(w, factory().init(w), w)
    with pytest.raises(ValueError, match="`params` must be"):
        factory().update(w, factory().init(w), value_fn=jnp.sum)
    with pytest.raises(ValueError, match="unknown mode 'revers'; did you mean 'reverse'"):
        factory(mode="revers")
    for damping in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="`damping` must be"):
            factory(damping=damping)
    with pytest.raises(ValueError, match="`learning_rate`"):
        factory(0.0)


# ---------------------------------------------------------------------------------- products and linear systems


def network(params):
    hidden = jnp.tanh(params["a"] @ jnp.array([0.5, -1.0, 2.0]) + params["b"])
    return jnp.stack([jnp.sum(hidden**3), jnp.prod(hidden), hidden[0] * params["b"][1]])


@modes
@given(st.integers(0, 10**6))
def test_products_are_those_of_the_matrices(mode, seed):
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        w, v = rng.normal(size=8), rng.normal(size=8)
        (H, Hv), (G, Gv) = _products(w, v, mode)
        assert_close(Hv, H @ v, rtol=1e-11)  # beside cancelling entries
        assert_close(Gv, G @ v, rtol=1e-11)


@jax.jit(static_argnums=2)
def _products(w, v, mode):
    split = lambda w: {"a": w[:6].reshape(2, 3), "b": w[6:]}
    join = lambda tree: jnp.concatenate([tree["a"].ravel(), tree["b"]])
    f = lambda params: jnp.sum(network(params) ** 2)
    metric = jnp.diag(jnp.array([1.0, 2.0, 3.0]))
    J = jax.jacfwd(lambda w: network(split(w)))(w)
    Hv = hessian_vector_product(f, split(w), mode=mode)(split(v))
    Gv = gauss_newton_vector_product(network, split(w), metric=lambda u: metric @ u, mode=mode)(split(v))
    return (jax.hessian(lambda w: f(split(w)))(w), join(Hv)), (J.T @ metric @ J, join(Gv))


@given(st.integers(0, 10**6), st.sampled_from([1, 5, 12]))
def test_conjugate_gradients_end_in_n_steps_with_orthogonal_residuals(seed, n):
    with jax.enable_x64(True):
        A = definite(seed, n)
        b = jnp.asarray(np.random.default_rng(seed + 1).normal(size=n))
        solution = _solve(A, b, 1e-13, n)
        assert solution.steps <= n
        assert_close(A @ solution.x, b, rtol=1e-6)  # n steps; orthogonality is lost with the condition number
        R = np.stack([_solve(A, b, 0.0, k).r for k in range(min(n, 5))])
        lengths = np.linalg.norm(R, axis=1)
        cosines = R @ R.T / lengths[:, None] / lengths[None]
        assert np.abs(cosines - np.eye(len(R))).max() < 1e-8
        scipys, _ = jax.scipy.sparse.linalg.cg(lambda v: A @ v, b, tol=0.0, maxiter=min(n, 3))
        assert_close(_solve(A, b, 0.0, min(n, 3)).x, scipys, rtol=1e-9)


@jax.jit
def _solve(A, b, tolerance, max_steps):
    return conjugate_gradient(lambda v: A @ v, b, tolerance=tolerance, max_steps=max_steps)


def test_conjugate_gradients_stop_where_the_matrix_bends_down(x64):
    b = jnp.array([1.0, 2.0])
    down = _solve(-jnp.eye(2), b, 1e-6, 10)
    assert (down.x.tolist(), int(down.steps), bool(down.converged)) == ([0, 0], 1, False)
    saddle = _solve(jnp.diag(jnp.array([3.0, -1.0])), jnp.array([3.0, 1.0]), 1e-6, 10)
    assert saddle.steps == 2  # the first direction bends up, the second down
    assert not saddle.converged
    assert saddle.x @ jnp.array([3.0, 1.0]) > 0
    nothing = _solve(jnp.eye(2), jnp.zeros(2), 1e-6, 10)
    assert (int(nothing.steps), bool(nothing.converged)) == (0, True)
