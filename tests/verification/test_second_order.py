"""Second-order optimizers walk the paths of their oracles, and the rows would see it if they did not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import DESCENTS, over

from jaxnn.optimizers.gradient_transformation import GradientTransformation
from jaxnn.second_order.newton_steps import newton
from jaxnn.verification import verify, verifying
from jaxnn.verification.dense_descents import CURVE, LOG_PARTITIONS, MODELS, REGRESSION, SADDLE, krylov_step


def verdict(monkeypatch, row, dtype):
    monkeypatch.setattr(verifying, "TABLE", {"second order": [row]})
    (found,) = verify(dtype)
    assert not found.problem, found.problem
    return found


def slightly_wrong(optimizer):
    """A thousandth beside the step."""

    def update(*arguments, **extra):
        updates, state = optimizer.update(*arguments, **extra)
        return jax.tree.map(lambda x: x + 1e-3, updates), state

    return GradientTransformation(optimizer.init, update)


@over(DESCENTS)
def test_the_path_of_its_oracle_goes_somewhere(row):
    start = jax.tree.map(jnp.asarray, row.start(np.random.default_rng(0)))
    moved = jax.tree.map(
        lambda w, path: float(jnp.abs(w - (path if row.minimum else path[-1])).max()), start, row.oracle(start)
    )
    assert max(jax.tree.leaves(moved)) > 1e-2


@pytest.mark.full
@over(DESCENTS)
def test_a_step_that_is_slightly_wrong_fails(row, monkeypatch):
    found = verdict(monkeypatch, row._replace(ours=slightly_wrong(row.ours)), "float32")
    assert not found.passed
    assert found.difference > 1e-4


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("newton", newton(0.7, damping=0.501)), ("newton, flat direction", newton(damping=1e-2))],
)
def test_a_wrong_number_fails(name, wrong, monkeypatch):
    row = next(row for row in DESCENTS if row.name == name)
    assert not verdict(monkeypatch, row._replace(ours=wrong), "float32").passed


@pytest.mark.full
def test_the_derivatives_by_hand(x64):
    """Those of the oracles, beside `jax.grad` and `jax.hessian` of the functions that are descended."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=4)
    for problem in (REGRESSION, SADDLE):
        np.testing.assert_allclose(problem.gradient(w), jax.grad(problem)(w), rtol=1e-10)
        np.testing.assert_allclose(problem.hessian(w), jax.hessian(problem)(w), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(CURVE.residuals(w), CURVE.residual_fn(jnp.asarray(w)), rtol=1e-10)
    np.testing.assert_allclose(CURVE.jacobian(w), jax.jacobian(CURVE.residual_fn)(w), rtol=1e-10)


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_the_fisher_matrix_by_hand(model, x64):
    """`E[J^T B J]`, B the Hessian of the logarithmic partition; where weights are bent, that of the loss is another."""
    W = jnp.asarray(0.3 * np.random.default_rng(0).normal(size=(4, 3)))
    J = jax.jacobian(model.outputs_fn)(W).reshape(30, 3, 12)
    B = jax.vmap(jax.hessian(lambda u: LOG_PARTITIONS[model.family](u[None])[0]))(model.outputs_fn(W))
    F = jnp.einsum("nai,nab,nbj->ij", J, B, J) / 30
    np.testing.assert_allclose(model.fisher(np.asarray(W)), F, atol=1e-12)
    np.testing.assert_allclose(model.gradient(np.asarray(W)), jax.grad(model)(W).ravel(), atol=1e-12)
    assert jnp.abs(jax.hessian(model)(W).reshape(12, 12) - F).max() > 1e-2


def test_the_oracle_of_conjugate_gradients_meets_every_kind_of_space(x64):
    """H bends up on all of it, as at the end of the longer path, on a part, and not even along the gradient."""
    kinds = []
    for seed in range(4):
        w = 0.5 * np.random.default_rng(seed).normal(size=4)
        for _ in range(3):
            H, g = SADDLE.hessian(w), SADDLE.gradient(w)
            step, is_definite, climbs = krylov_step(H, g), np.linalg.eigvalsh(H)[0] > 0, g @ H @ g > 0
            assert np.allclose(H @ step, g) == is_definite
            assert (step == g).all() == (not climbs)
            kinds.append("all" if is_definite else "part" if climbs else "none")
            w = w - 0.5 * step
    assert set(kinds) == {"all", "part", "none"}


def test_levenberg_and_marquardts_oracle_refuses_steps():
    row = next(row for row in DESCENTS if row.name == "levenberg_marquardt, refused steps")
    start = row.start(np.random.default_rng(0))
    path = np.concatenate([start[None], row.oracle(start)])
    refused = (path[1:] == path[:-1]).all(axis=1)
    assert 0 < refused.sum() < len(refused)
