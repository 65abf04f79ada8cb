"""Generalized linear models: the solution to the last digit, and the speed of Newton's method."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from rings import first_of
from tolerances import assert_close

from jaxnn.basis_functions import gaussian, linear, polynomial
from jaxnn.models import fit_glm, irls_step, predict_glm
from jaxnn.models.generalized_linear_models import FAMILIES

COVERS = {"models.FittedGLM", "models.fit_glm", "models.irls_step", "models.predict_glm"}

# The negative log likelihoods, written with SciPy's functions.
NEGATIVE_LOG_LIKELIHOOD = {
    "gaussian": lambda eta, t: np.sum((eta - t) ** 2) / 2,
    "bernoulli": lambda eta, t: -np.sum(scipy.special.log_expit((2 * t - 1) * eta)),
    "poisson": lambda eta, t: np.sum(np.exp(eta) - t * eta),
    "categorical": lambda eta, t: -np.sum(t * scipy.special.log_softmax(eta, axis=1)),
}
MEAN = {
    "gaussian": lambda eta: eta,
    "bernoulli": scipy.special.expit,
    "poisson": np.exp,
    "categorical": lambda eta: scipy.special.softmax(eta, axis=1),
}
CLASSES = 3


def problem(family, *, count=80, seed=0):
    """Features with a constant, and targets drawn from the family."""
    rng = np.random.default_rng(seed)
    X = np.concatenate([np.ones((count, 1)), rng.normal(size=(count, 3))], axis=1)
    if family == "categorical":
        logits = X @ rng.normal(size=(4, CLASSES))
        return X, np.eye(CLASSES)[np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)]
    eta = X @ np.array([0.3, 1.0, -0.7, 0.4])
    draw = {"gaussian": lambda m: rng.normal(m), "bernoulli": lambda m: rng.binomial(1, m), "poisson": rng.poisson}
    return X, draw[family](MEAN[family](eta)).astype(float)


fit = jax.jit(fit_glm, static_argnames=("family", "max_steps"))
one_step = jax.jit(irls_step, static_argnames="family")


def gradient_of(family, X, t, w, ridge=0.0):
    return X.T @ (MEAN[family](X @ w) - t) + ridge * w


@first_of("ridge", [0.0, 0.5])
@first_of("family", FAMILIES)
def test_gradient_vanishes_at_the_solution(family, ridge, x64):
    X, t = problem(family)
    fitted = fit(jnp.asarray(X), jnp.asarray(t), family=family, ridge=ridge)
    assert fitted.converged
    assert fitted.steps <= 9
    assert fitted.weights.shape == (4, *t.shape[1:])
    assert np.abs(gradient_of(family, X, t, np.asarray(fitted.weights), ridge)).max() < 1e-10


@first_of("family", FAMILIES)
def test_the_same_optimum_as_scipys_minimizer(family, x64):
    X, t = problem(family)
    shape = (4, *t.shape[1:])
    objective = lambda w: NEGATIVE_LOG_LIKELIHOOD[family](X @ w.reshape(shape), t) + 0.15 * np.sum(w**2)
    theirs = scipy.optimize.minimize(objective, np.zeros(np.prod(shape)), method="BFGS", options={"gtol": 1e-7})
    fitted = fit(jnp.asarray(X), jnp.asarray(t), family=family, ridge=0.3)
    assert_close(fitted.weights, theirs.x.reshape(shape), rtol=1e-5)  # what BFGS with numeric gradients reaches
    assert objective(np.asarray(fitted.weights).ravel()) <= theirs.fun + 1e-12 * abs(theirs.fun)


@first_of("family", FAMILIES)
def test_families_are_the_derivatives_of_their_cumulants(family, x64):
    eta = jnp.asarray(np.random.default_rng(0).normal(size=(5, CLASSES)))
    functions = FAMILIES[family]
    alone = lambda row: functions.cumulant(row[None])[0]
    mean, curvature = jax.jit(jax.vmap(lambda row: (jax.grad(alone)(row), jax.hessian(alone)(row))))(eta)
    assert_close(functions.mean(eta), mean)
    assert_close(predict_glm(jnp.eye(CLASSES), eta, family=family), MEAN[family](np.asarray(eta)))
    flat = 1 / CLASSES**2 if family == "categorical" else 0  # a curvature for the direction that has none
    assert_close(functions.curvature(eta) - flat, curvature)


@first_of("family", ["bernoulli", "poisson", "categorical"])
def test_the_error_is_squared_at_every_step(family, x64):
    X, t = map(jnp.asarray, problem(family))
    solution = fit(X, t, family=family, ridge=0.1).weights
    w = 0.7 * solution
    errors = []
    for _ in range(8):
        errors.append(float(jnp.linalg.norm(w - solution) / jnp.linalg.norm(solution)))
        w = one_step(w, (X, t), family=family, ridge=0.1)
    assert errors[-1] < 1e-14
    near = [(before, after) for before, after in pairwise(errors) if before < 0.1]
    assert len(near) >= 3
    assert all(after < 10 * before**2 + 1e-14 for before, after in near)


def test_a_step_is_the_weighted_least_squares_of_the_working_response(x64):
    """Bishop 2006, eq. 4.99 and 4.103, with the square roots of the weights in NumPy's least squares."""
    X, t = problem("bernoulli")
    w = np.array([0.1, -0.2, 0.3, 0.4])
    y = scipy.special.expit(X @ w)
    R = y * (1 - y)
    z = X @ w - (y - t) / R
    expected = np.linalg.lstsq(np.sqrt(R)[:, None] * X, np.sqrt(R) * z, rcond=None)[0]
    assert_close(one_step(jnp.asarray(w), (jnp.asarray(X), jnp.asarray(t))), expected)


def test_the_gaussian_family_is_least_squares(x64):
    X, t = problem("gaussian")
    fitted = fit(jnp.asarray(X), jnp.asarray(t), family="gaussian")
    assert_close(fitted.weights, np.linalg.lstsq(X, t, rcond=None)[0])
    assert fitted.steps == 2  # the second finds nothing to do
    several = fit(jnp.asarray(X), jnp.asarray(np.stack([t, -2 * t], axis=1)), family="gaussian")
    assert_close(several.weights, np.stack([fitted.weights, -2 * fitted.weights], axis=1))


def test_two_classes_are_the_categorical_family_with_two_columns(x64):
    X, t = problem("bernoulli")
    alone = fit(jnp.asarray(X), jnp.asarray(t), family="bernoulli").weights
    pair = fit(jnp.asarray(X), jax.nn.one_hot(jnp.asarray(t, int), 2, dtype=jnp.float64), family="categorical").weights
    assert_close(pair[:, 1] - pair[:, 0], alone, rtol=1e-9)
    assert_close(pair.sum(axis=1) + 1, jnp.ones(4))


def test_the_solution_does_not_depend_on_how_classes_are_numbered(x64):
    X, t = map(jnp.asarray, problem("categorical"))
    assert_close(
        fit(X, t[:, ::-1], family="categorical").weights, fit(X, t, family="categorical").weights[:, ::-1], rtol=1e-9
    )


@given(scale=st.sampled_from([1.0, 30.0, 1000.0]), seed=st.integers(0, 1000))
def test_large_counts_do_not_make_it_overshoot(scale, seed):
    """From 0 the first full step goes to eta = t - 1, whose exponential overflows: steps are halved."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        X = np.stack([np.ones(40), rng.normal(size=40)], axis=1)
        t = rng.poisson(scale * np.exp(0.5 * X[:, 1])).astype(float)
        fitted = fit(jnp.asarray(X), jnp.asarray(t), family="poisson")
        assert fitted.converged
        assert np.abs(gradient_of("poisson", X, t, np.asarray(fitted.weights))).max() < 1e-9 * scale


def test_separable_classes_need_a_ridge(x64):
    X, t = linear(jnp.array([[-2.0], [-1.0], [1.0], [2.0]])), jnp.array([0.0, 0.0, 1.0, 1.0])
    without, with_ridge = fit(X, t), fit(X, t, ridge=1e-3)
    assert not without.converged
    assert without.weights[1] > 20
    assert np.isfinite(without.weights).all()
    assert with_ridge.converged
    assert with_ridge.weights[1] < 10
    assert (
        np.abs(gradient_of("bernoulli", np.asarray(X), np.asarray(t), np.asarray(with_ridge.weights), 1e-3)).max()
        < 1e-10
    )


@first_of("family", FAMILIES)
def test_dependent_features_are_not_converged_and_not_nan(family, x64):
    X, t = problem(family)
    fitted = fit(jnp.asarray(np.concatenate([X, np.zeros((len(X), 1))], axis=1)), jnp.asarray(t), family=family)
    assert not fitted.converged
    assert np.isfinite(fitted.weights).all()


@pytest.mark.full
def test_ridge_may_spare_the_bias_and_be_traced(x64):
    X, t = problem("bernoulli")
    ridge = jnp.array([0.0, 1e8, 1e8, 1e8])
    t[:7] = 1
    weights = fit(jnp.asarray(X), jnp.asarray(t), ridge=ridge).weights
    assert_close(weights[0], scipy.special.logit(t.mean()), rtol=1e-5)  # of the rest hardly anything is left
    path = jax.vmap(lambda r: fit(jnp.asarray(X), jnp.asarray(t), ridge=r).weights)(jnp.array([0.1, 1.0, 10.0]))
    assert (jnp.diff(jnp.linalg.norm(path[:, 1:], axis=1)) < 0).all()
    assert_close(path[1], fit(jnp.asarray(X), jnp.asarray(t), ridge=1.0).weights, rtol=1e-9)


@pytest.mark.full
def test_float32_converges_to_its_own_precision():
    X, t = problem("bernoulli")
    fitted = fit(jnp.asarray(X, jnp.float32), jnp.asarray(t, jnp.float32))
    assert fitted.converged
    assert fitted.weights.dtype == jnp.float32
    with jax.enable_x64(True):
        assert_close(fitted.weights, fit(jnp.asarray(X), jnp.asarray(t)).weights, rtol=1e-5)


# -------------------------------------------------------------------- with basis functions: Bishop's first pictures


@pytest.mark.full
def test_a_polynomial_of_degree_nine_passes_through_ten_points(x64):
    """Figure 1.4: nothing left on the data, and far from the curve between them; a ridge brings it back."""
    rng = np.random.default_rng(0)
    x = jnp.linspace(-1, 1, 10)
    t = jnp.sin(jnp.pi * x) + 0.3 * jnp.asarray(rng.normal(size=10))
    basis = lambda x: polynomial(x, degree=9)
    between = jnp.linspace(-1, 1, 201)
    plain, smooth = (fit(basis(x), t, family="gaussian", ridge=ridge).weights for ridge in (0.0, 1e-2))
    assert jnp.abs(basis(x) @ plain - t).max() < 1e-8
    off = lambda w: jnp.sqrt(jnp.mean((basis(between) @ w - jnp.sin(jnp.pi * between)) ** 2))
    assert off(smooth) < 0.3
    assert off(smooth) < off(plain)
    assert jnp.abs(smooth).max() < jnp.abs(plain).max() / 3


@pytest.mark.full
def test_gaussian_bumps_fit_a_sine(x64):
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.uniform(size=60))
    t = jnp.sin(2 * jnp.pi * x) + 0.1 * jnp.asarray(rng.normal(size=60))
    basis = lambda x: gaussian(x, centres=jnp.linspace(0, 1, 9), width=0.15)
    weights = fit(basis(x), t, family="gaussian", ridge=1e-3).weights
    between = jnp.linspace(0.02, 0.98, 101)
    assert jnp.sqrt(jnp.mean((basis(between) @ weights - jnp.sin(2 * jnp.pi * between)) ** 2)) < 0.1  # the noise
    straight = fit(linear(x[:, None]), t, family="gaussian").weights
    assert jnp.sqrt(jnp.mean((linear(between[:, None]) @ straight - jnp.sin(2 * jnp.pi * between)) ** 2)) > 0.35


@pytest.mark.full
def test_gaussian_bumps_separate_two_moons_and_a_line_does_not(x64):
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, np.pi, size=(2, 100))
    upper = np.stack([np.cos(angle[0]), np.sin(angle[0])], axis=1)
    lower = np.stack([1 - np.cos(angle[1]), 0.5 - np.sin(angle[1])], axis=1)
    x = jnp.asarray(np.concatenate([upper, lower]) + 0.1 * rng.normal(size=(200, 2)))
    t = jnp.repeat(jnp.array([0.0, 1.0]), 100)
    bumps = gaussian(x, centres=x[::8], width=0.5)
    right = lambda X: jnp.mean((predict_glm(fit(X, t, ridge=1e-3).weights, X) > 0.5) == (t == 1))
    assert right(bumps) >= 0.99
    assert right(linear(x)) < 0.93


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_glm(jnp.ones((4, 2)), jnp.ones(3)), r"`targets` \(batch,\) or .* \(4, 2\), \(3,\)"),
        (lambda: fit_glm(jnp.ones(4), jnp.ones(4)), r"`features` must have shape \(batch, features\)"),
        (lambda: irls_step(jnp.ones(3), (jnp.ones((4, 2)), jnp.ones(4))), r"and \(3,\)"),
        (lambda: fit_glm(jnp.ones((4, 2), jnp.bfloat16), jnp.ones(4)), "must be float32 or float64.* bfloat16"),
        (
            lambda: fit_glm(jnp.ones((4, 2)), jnp.ones(4), ridge=-1.0),
            "`ridge` must be at least 0 and finite; received -1",
        ),
        (lambda: fit_glm(jnp.ones((4, 2)), jnp.ones(4), family="binomal"), "unknown family 'binomal'"),
    ],
)
def test_says_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
