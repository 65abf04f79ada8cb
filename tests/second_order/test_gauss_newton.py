"""Gauss-Newton and Levenberg-Marquardt on sums of squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from tolerances import assert_close

from jaxnn import layers
from jaxnn.optimizers.adjustable_hyperparameters import adjustable
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.second_order.gauss_newton_steps import gauss_newton, levenberg_marquardt
from jaxnn.second_order.minimization import minimize
from jaxnn.second_order.newton_steps import newton
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

FACTORIES = {"gauss_newton": gauss_newton, "levenberg_marquardt": levenberg_marquardt}
every = pytest.mark.parametrize("name", FACTORIES)
modes = pytest.mark.parametrize("mode", ["reverse", "forward"])


def valley(w):
    """Rosenbrock's as residuals."""
    return jnp.array([10 * (w[1] - w[0] ** 2), 1 - w[0]])


TIMES = np.linspace(0, 4, 25)
DECAY = 2.5 * np.exp(-1.3 * TIMES) + 0.5 + 0.05 * np.random.default_rng(0).normal(size=25)


def curve(params):
    """The residuals of `a exp(-b t) + c` at noisy points."""
    t, y = jnp.asarray(TIMES), jnp.asarray(DECAY)
    return params["a"] * jnp.exp(-params["b"] * t) + params["c"] - y


CURVE_START = {"a": np.float64(1.0), "b": np.float64(3.0), "c": np.float64(0.0)}


def half_square(residual_fn):
    return lambda w: jnp.sum(residual_fn(w) ** 2) / 2


def solve(optimizer, residual_fn, start, **options):
    return minimize(half_square(residual_fn), start, optimizer=optimizer, residual_fn=residual_fn, **options)


def linear(seed=0, m=12, n=4):
    rng = np.random.default_rng(seed)
    A, b = jnp.asarray(rng.normal(size=(m, n))), jnp.asarray(rng.normal(size=m))
    return (lambda w: A @ w - b), A, b


@modes
def test_linear_residuals_make_it_newtons_step(mode, x64):
    residual_fn, A, b = linear()
    f, w = half_square(residual_fn), jnp.ones(4)
    for damping in (0.0, 0.7):
        ours, theirs = gauss_newton(damping=damping, mode=mode), newton(damping=damping)
        grads = jax.grad(f)(w)
        left, _ = ours.update(grads, ours.init(w), w, residual_fn=residual_fn)
        right, _ = theirs.update(grads, theirs.init(w), w, value_fn=f)
        assert_close(left, right)
    end = w + gauss_newton().update(w, gauss_newton().init(w), w, residual_fn=residual_fn)[0]
    assert_close(end, np.linalg.lstsq(A, b, rcond=None)[0])


@modes
@pytest.mark.parametrize(
    ("scaling", "start"),
    [("identity", (-1.2, 1.0)), ("diagonal", (0.0, 0.5)), ("identity", (-0.5, 1.0))],  # rho < 0, about 0.1, about 0.3
)
def test_one_step_of_levenberg_marquardt_is_its_equation(scaling, start, mode, x64):
    w = jnp.array(start)
    J, r = jax.jacobian(valley)(w), valley(w)
    D = np.eye(2) if scaling == "identity" else np.diag(np.diag(J.T @ J))
    d = -np.linalg.solve(J.T @ J + 0.3 * D, J.T @ r)
    rho = (r @ r - valley(w + d) @ valley(w + d)) / (r @ r - (r + J @ d) @ (r + J @ d))
    optimizer = levenberg_marquardt(0.3, scaling=scaling, mode=mode)
    updates, state = jax.jit(lambda w: optimizer.update(w, optimizer.init(w), w, residual_fn=valley))(w)
    if rho > 0:
        assert_close(updates, d)
        assert_close(state.damping, 0.3 * max(1 / 3, 1 - (2 * rho - 1) ** 3), rtol=1e-10)
    else:
        assert updates.tolist() == [0, 0]
        assert_close(state.damping, jnp.float64(0.6))


@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
@pytest.mark.parametrize(
    ("residual_fn", "start"), [(valley, np.array([-1.2, 1.0])), (curve, CURVE_START)], ids=["valley", "curve"]
)
def test_scipys_solution(residual_fn, start, scaling, x64):
    flat, split = jax.flatten_util.ravel_pytree(start)
    theirs = scipy.optimize.least_squares(lambda w: residual_fn(split(w)), flat, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    optimizer = levenberg_marquardt(scaling=scaling)
    found = jax.jit(lambda start: solve(optimizer, residual_fn, start, tolerance=1e-8))(start)
    assert found.converged
    ours = jax.flatten_util.ravel_pytree(found.params)[0]
    np.testing.assert_allclose(ours, theirs.x, atol=1e-7)
    np.testing.assert_allclose(found.value, theirs.cost, rtol=1e-8, atol=1e-15)


def test_gauss_newton_reaches_it_too(x64):
    zoom = scale_by_zoom_linesearch(20, initial_guess_strategy="one")
    solution = solve(levenberg_marquardt(), curve, CURVE_START, tolerance=1e-8).params
    near = {"a": np.float64(2.0), "b": np.float64(1.5), "c": np.float64(0.3)}
    for optimizer, start in ((gauss_newton(), near), (gauss_newton(linesearch=zoom), CURVE_START)):
        found = solve(optimizer, curve, start, tolerance=1e-8)
        assert found.converged
        assert_close(found.params, solution, rtol=1e-6)


@every
def test_reaches_the_targets(name):
    optimizer = FACTORIES[name]()
    found = solve(optimizer, valley, jnp.zeros(2))
    np.testing.assert_allclose(found.params, [1, 1], atol=3e-2)
    found = solve(optimizer, lambda w: w - jnp.array([1.0, -1.0, 1.0]), jnp.array([-1.0, 10.0, 1.0]))
    np.testing.assert_allclose(found.params, [1, -1, 1], atol=3e-2)


def test_levenberg_marquardt_never_goes_up():
    """From a far start, on residuals that explode: every refused step leaves the parameters and raises the damping."""
    residual_fn = lambda w: jnp.array([jnp.exp(w[0]) - 2, jnp.sin(5 * w[1]) + w[1], jnp.sqrt(3 + w[0])])
    f, optimizer = half_square(residual_fn), levenberg_marquardt(1e-8)
    step = jax.jit(lambda w, state: optimizer.update(w, state, w, residual_fn=residual_fn))
    w, refused = jnp.array([-2.9, 2.0]), 0
    state = optimizer.init(w)
    for _ in range(25):
        before, damping = f(w), state.damping
        updates, state = step(w, state)
        w = w + updates
        assert f(w) <= before
        if not updates.any():
            refused += 1
            assert state.damping > damping
        else:
            assert state.nu == 2
    assert refused > 3
    assert jnp.isfinite(w).all()


def test_damping_stays_finite_at_the_solution():
    optimizer, w = levenberg_marquardt(), jnp.ones(2)
    run = lambda state, _: (optimizer.update(w, state, w, residual_fn=valley)[1], None)
    state, _ = jax.lax.scan(run, optimizer.init(w), length=200)
    assert jnp.isfinite(jnp.array([state.damping, state.nu])).all()


def test_deficient_rank_gives_the_shortest_step(x64):
    residual_fn = lambda w: jnp.array([w[0] + w[1] - 2, 2 * (w[0] + w[1] - 2)])
    w = jnp.array([5.0, 1.0])
    updates, _ = gauss_newton().update(w, gauss_newton().init(w), w, residual_fn=residual_fn)
    assert_close(updates, jnp.array([-2.0, -2.0]))
    lonely = lambda w: w[:1] - 2
    optimizer = levenberg_marquardt(scaling="diagonal")
    updates, _ = optimizer.update(w, optimizer.init(w), w, residual_fn=lonely)
    assert updates[1] == 0
    assert abs(updates[0] + 3) < 1e-2


@every
def test_is_compiled_once_and_maps_over_starts(name, traced_once):
    optimizer = FACTORIES[name]()

    @jax.jit
    @traced_once
    def run(w):
        return solve(optimizer, valley, w, steps=30)

    starts = jnp.array([[0.0, 0.0], [2.0, -1.0], [-1.2, 1.0]])
    mapped = jax.vmap(run)(starts)
    for start, member in zip(starts, mapped.params, strict=True):
        np.testing.assert_allclose(run(start).params, member, atol=1e-3)
        np.testing.assert_allclose(member, [1, 1], atol=3e-2)


@every
def test_layers_with_hand_written_gradients_and_a_batch(name, x64):
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(8, 3))), jnp.asarray(rng.normal(size=(8, 2)))
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 2))), "bias": jnp.zeros(2)}
    residual_fn = lambda p, batch: layers.dense(p, batch[0]) - batch[1]
    optimizer = FACTORIES[name](damping=1e-13)
    given = {"residual_fn": residual_fn, "batch": (x, y), "unknown": 1}
    updates, _ = optimizer.update(params, optimizer.init(params), params, **given)
    best = np.linalg.lstsq(np.concatenate([x, np.ones((8, 1))], axis=1), y, rcond=None)[0]
    assert_close(apply_updates(params, updates), {"kernel": best[:3], "bias": best[3]}, rtol=1e-11)
    with pytest.raises(TypeError, match="forward-mode"):
        FACTORIES[name](damping=1e-13, mode="forward").update(params, optimizer.init(params), params, **given)


@every
def test_integers_none_and_half_precision(name):
    params = {"w": jnp.array([1.0, 2.0], jnp.bfloat16), "n": jnp.int32(2), "frozen": None}
    residual_fn = lambda p: p["w"].astype(jnp.float32) - p["n"]
    optimizer = FACTORIES[name]()
    grads = jax.grad(half_square(residual_fn), allow_int=True)(params)
    updates, state = optimizer.update(grads, optimizer.init(params), params, residual_fn=residual_fn)
    after = apply_updates(params, updates)
    assert after["w"].dtype == jnp.bfloat16
    np.testing.assert_allclose(after["w"].astype(jnp.float32), [2, 2], atol=1e-2)
    assert (after["n"], after["frozen"]) == (2, None)
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert shapes(state) == shapes(optimizer.init(params))


def test_numbers_may_live_in_the_state():
    w = jnp.array([-1.2, 1.0])
    for factory, numbers in (
        (gauss_newton, {"learning_rate": 0.5, "damping": 0.1}),
        (levenberg_marquardt, {"damping": 0.1}),
    ):
        own, plain = adjustable(factory)(**numbers), factory(**numbers)
        left, _ = own.update(w, own.init(w), w, residual_fn=valley)
        assert_close(left, plain.update(w, plain.init(w), w, residual_fn=valley)[0])


@every
def test_errors(name):
    w, factory = jnp.ones(2), FACTORIES[name]
    with pytest.raises(ValueError, match=r"`residual_fn` must be given"):
        factory().update(w, factory().init(w), w)
    with pytest.raises(ValueError, match="`params` must be"):
        factory().update(w, factory().init(w), residual_fn=valley)
    with pytest.raises(ValueError, match="one structure"):
        factory().update({"w": w}, factory().init(w), w, residual_fn=valley)
    with pytest.raises(ValueError, match="unknown mode"):
        factory(mode="x")
    for damping in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="`damping` must be"):
            factory(damping=damping)


def test_unknown_scaling():
    with pytest.raises(ValueError, match="unknown scaling 'diag'; did you mean 'diagonal'"):
        levenberg_marquardt(scaling="diag")
