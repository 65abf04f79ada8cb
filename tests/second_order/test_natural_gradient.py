"""The natural gradient: the same step for the predictions, whatever the weights mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import layers
from jaxnn.optimizers.adjustable_hyperparameters import adjustable
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.second_order.hessian_products import as_matrix
from jaxnn.second_order.minimization import minimize
from jaxnn.second_order.natural_gradients import (
    DIVERGENCES,
    fisher_vector_product,
    natural_gradient,
    natural_gradient_cg,
)
from jaxnn.second_order.newton_steps import newton
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch

COVERS = {"second_order.fisher_vector_product"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

FACTORIES = {"exact": natural_gradient, "products": natural_gradient_cg}
TO_THE_END = {"exact": {}, "products": {"damping": 0.0, "tolerance": 1e-14}}
every = pytest.mark.parametrize("name", FACTORIES)
families = pytest.mark.parametrize("family", DIVERGENCES)
modes = pytest.mark.parametrize("mode", ["reverse", "forward"])

# the mean negative log likelihood of outputs, up to a constant
LOSSES = {
    "categorical": lambda u, t: jnp.mean(jax.nn.logsumexp(u, axis=1) - jnp.sum(t * u, axis=1)),
    "bernoulli": lambda u, t: jnp.mean(jnp.sum(jax.nn.softplus(u) - t * u, axis=1)),
    "gaussian": lambda u, t: jnp.mean(jnp.sum((u - t) ** 2, axis=1)) / 2,
    "poisson": lambda u, t: jnp.mean(jnp.sum(jnp.exp(u) - t * u, axis=1)),
}


def data(family="categorical", n=20):
    rng = np.random.default_rng(0)
    X, targets = rng.normal(size=(n, 4)), rng.integers(0, 2, (n, 3)).astype(float)
    if family == "categorical":
        targets = np.eye(3)[rng.integers(0, 3, n)]
    return jnp.asarray(X), jnp.asarray(targets), jnp.asarray(0.3 * rng.normal(size=(4, 3)))


def direction(optimizer, grads, params, outputs_fn, **extra):
    return optimizer.update(grads, optimizer.init(params), params, outputs_fn=outputs_fn, **extra)[0]


@families
@every
def test_newtons_step_for_natural_links(family, name, x64):
    X, t, W = data(family)
    loss, outputs_fn = lambda W: LOSSES[family](X @ W, t), lambda W: X @ W
    ours = FACTORIES[name](family=family, **TO_THE_END[name])
    grads, optimizer = jax.grad(loss)(W), newton()
    theirs, _ = optimizer.update(grads, optimizer.init(W), W, value_fn=loss)
    assert_close(jax.jit(lambda W: direction(ours, grads, W, outputs_fn))(W), theirs, rtol=1e-10)  # ill-conditioned


@families
def test_divergences_are_nothing_at_themselves_and_positive_elsewhere(family, x64):
    rng = np.random.default_rng(1)
    u, v = jnp.asarray(rng.normal(size=(50, 3))), jnp.asarray(rng.normal(size=(50, 3)))
    kl = DIVERGENCES[family]
    assert_close(1 + kl(u, u), jnp.ones(50))
    assert (kl(u, v) > 0).all()
    assert jnp.abs(jax.grad(lambda v: kl(u, v).sum())(u)).max() < 1e-14


def tanh_net(params, x):
    return jnp.tanh(x @ params["a"]) @ params["b"]


@families
@modes
def test_fisher_is_the_expected_square_of_the_score(family, mode, x64):
    """From the definition: `F = E_x E_y [s s^T]`, `s = d log p(y | x) / d w`, y drawn from the model itself."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, 2)))
    w, split = jax.flatten_util.ravel_pytree({"a": rng.normal(size=(2, 2)), "b": 0.5 * rng.normal(size=(2, 2))})
    Y, Q = support(family, np.asarray(tanh_net(split(w), x)))
    loss = lambda u, y: jax.vmap(lambda u, y: LOSSES[family](u[None], y[None]))(u, y)
    score = jax.jacobian(lambda w, y: loss(tanh_net(split(w), x), y))
    squares = jax.jit(jax.vmap(lambda y, q: jnp.einsum("n,ni,nj->ij", q, score(w, y), score(w, y))))(Y, Q)
    product = fisher_vector_product(lambda w: tanh_net(split(w), x), w, family=family, mode=mode)
    assert_close(as_matrix(product, w), squares.sum(axis=0) / 3, rtol=1e-7)  # infinite sums over y are cut off


def support(family, outputs):
    """Values y (K, batch, 2) and their probabilities (K, batch) under the model."""
    if family == "categorical":
        p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        return np.stack([np.tile(y, (3, 1)) for y in np.eye(2)]), p.T
    if family == "gaussian":  # nodes and weights of the integral over noise
        nodes, weights = np.polynomial.hermite_e.hermegauss(8)
        values = np.stack([outputs + np.array([a, b]) for a in nodes for b in nodes])
        return values, np.repeat(np.outer(weights, weights).reshape(-1, 1) / weights.sum() ** 2, 3, axis=1)
    values = np.stack([np.full((3, 2), y, float) for y in np.ndindex((2, 2) if family == "bernoulli" else (20, 20))])
    p, rate, factorials = 1 / (1 + np.exp(-outputs)), np.exp(outputs), np.cumprod([1.0, *range(1, 20)])
    bernoulli = p**values * (1 - p) ** (1 - values) if family == "bernoulli" else None
    mass = rate**values * np.exp(-rate) / factorials[values.astype(int)] if bernoulli is None else bernoulli
    return values, mass.prod(axis=2)


def gaussian_by_log_std(outputs, other):
    (m, s), (n, r) = outputs.T, other.T
    return r - s + (jnp.exp(2 * s) + (m - n) ** 2) / (2 * jnp.exp(2 * r)) - 0.5


@every
def test_reparametrization_does_not_change_the_step_of_the_predictions(name, x64):
    """phi -> theta = h(phi) bends the weights. The predictions move alike up to O(lr^2), plain gradients do not."""
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(15, 2))), jnp.asarray(rng.normal(size=15))
    A = jnp.asarray(rng.normal(size=(4, 4)))
    h = lambda phi: jnp.sinh(A @ phi) + phi
    predict = lambda theta: jnp.stack([x @ theta[:2], x @ theta[2:]], axis=1)  # mean and log std
    loss = lambda u: jnp.mean(u[:, 1] + (y - u[:, 0]) ** 2 / (2 * jnp.exp(2 * u[:, 1])))
    phi = jnp.asarray(0.1 * rng.normal(size=4))

    @jax.jit
    def moved(rate, natural):
        ends = []
        for outputs_fn, w in ((predict, h(phi)), (lambda phi: predict(h(phi)), phi)):
            grads = jax.grad(lambda w: loss(outputs_fn(w)))(w)  # noqa: B023
            optimizer = FACTORIES[name](rate, family=gaussian_by_log_std, **TO_THE_END[name])
            step = jnp.where(natural, direction(optimizer, grads, w, outputs_fn), -rate * grads)
            ends.append(outputs_fn(w + step) - outputs_fn(w))
        return ends

    differences = {}
    for rate in (1e-3, 5e-4):
        a, b = moved(rate, True)
        differences[rate] = jnp.abs(a - b).max() / jnp.abs(a).max()
        c, d = moved(rate, False)
        assert jnp.abs(c - d).max() / jnp.abs(c).max() > 0.3
    assert differences[1e-3] < 1e-2
    np.testing.assert_allclose(differences[1e-3] / differences[5e-4], 2, rtol=0.05)  # relative, so of first order


@every
def test_damping_is_added_to_the_diagonal(name, x64):
    X, t, W = data("gaussian")
    grads = jax.grad(lambda W: LOSSES["gaussian"](X @ W, t))(W)
    optimizer = FACTORIES[name](0.5, **{**TO_THE_END[name], "damping": 0.3}, family="gaussian")
    ours = direction(optimizer, grads, W, lambda W: X @ W)
    assert_close(ours, -0.5 * jnp.linalg.solve(X.T @ X / len(X) + 0.3 * jnp.eye(4), grads))


@every
def test_layers_with_hand_written_gradients_and_a_batch(name, x64):
    X, t, W = data()
    params = {"kernel": W, "bias": jnp.zeros(3)}
    grads = jax.grad(lambda p: LOSSES["categorical"](layers.dense(p, X), t))(params)
    plain = lambda p, batch: batch @ p["kernel"] + p["bias"][None]
    optimizer = FACTORIES[name](**TO_THE_END[name])
    ours = direction(optimizer, grads, params, lambda p, batch: layers.dense(p, batch), batch=X, unknown=1)
    assert_close(ours, direction(optimizer, grads, params, plain, batch=X), rtol=1e-9)  # F is singular
    forward = FACTORIES[name](mode="forward", **TO_THE_END[name])
    with pytest.raises(TypeError, match="forward-mode"):
        direction(forward, grads, params, lambda p: layers.dense(p, X))


@every
@pytest.mark.parametrize("problem", ["parabola", "valley"])
def test_reaches_the_targets(name, problem):
    """Of a normal distribution with mean u(w): the valley of Rosenbrock is `|u|^2 / 2` of bent means."""
    zoom = scale_by_zoom_linesearch(20, initial_guess_strategy="one")
    means = {
        "parabola": (lambda w: w[None] - jnp.array([[1.0, -1.0, 1.0]]), jnp.array([-1.0, 10.0, 1.0])),
        "valley": (lambda w: jnp.array([[10 * (w[1] - w[0] ** 2), 1 - w[0]]]), jnp.zeros(2)),
    }
    outputs_fn, start = means[problem]
    optimizer = FACTORIES[name](family="gaussian", linesearch=zoom)
    run = jax.jit(
        jax.vmap(
            lambda w: minimize(
                lambda w: jnp.sum(outputs_fn(w) ** 2) / 2, w, optimizer=optimizer, outputs_fn=outputs_fn, steps=100
            )
        )
    )
    found = run(jnp.stack([start, start + 0.5]))
    target = [1, -1, 1] if problem == "parabola" else [1, 1]
    np.testing.assert_allclose(found.params, [target] * 2, atol=3e-2)


@every
def test_is_compiled_once(name, traced_once):
    X, t, W = data()
    optimizer = FACTORIES[name](0.5, damping=1e-2)

    @jax.jit
    @traced_once
    def step(W, state):
        grads = jax.grad(lambda W: LOSSES["categorical"](X @ W, t))(W)
        updates, state = optimizer.update(grads, state, W, outputs_fn=lambda W: X @ W)
        return apply_updates(W, updates), state

    state, losses = optimizer.init(W), []
    for _ in range(4):
        losses.append(float(LOSSES["categorical"](X @ W, t)))
        W, state = step(W, state)
    assert losses == sorted(losses, reverse=True)


@every
def test_numbers_in_the_state_integers_none_and_half_precision(name):
    params = {"w": jnp.array([[1.0], [2.0]], jnp.bfloat16), "n": jnp.int32(2), "frozen": None}
    outputs_fn = lambda p: jnp.eye(2) @ p["w"].astype(jnp.float32) - p["n"]
    grads = jax.grad(lambda p: jnp.mean(outputs_fn(p) ** 2) / 2, allow_int=True)(params)
    own = adjustable(FACTORIES[name])(learning_rate=1.0, damping=0.0, family="gaussian")
    updates, _ = jax.jit(lambda s: own.update(grads, s, params, outputs_fn=outputs_fn))(own.init(params))
    after = apply_updates(params, updates)
    assert after["w"].dtype == jnp.bfloat16
    assert after["w"].tolist() == [[2], [2]]
    assert (after["n"], after["frozen"]) == (2, None)


@every
def test_errors(name):
    w, factory = jnp.ones(2), FACTORIES[name]
    with pytest.raises(ValueError, match=r"`outputs_fn` must be given, `params -> \(batch, outputs\)`"):
        factory().update(w, factory().init(w), w)
    with pytest.raises(ValueError, match=r"`outputs_fn` must return shape \(batch, outputs\); received \(2,\)"):
        factory().update(w, factory().init(w), w, outputs_fn=lambda w: w)
    with pytest.raises(ValueError, match="`params` must be"):
        factory().update(w, factory().init(w), outputs_fn=lambda w: w[None])
    with pytest.raises(ValueError, match="unknown family 'poison'; did you mean 'poisson'"):
        factory(family="poison")
    with pytest.raises(ValueError, match="unknown mode"):
        factory(mode="x")
    with pytest.raises(ValueError, match="`damping` must be"):
        factory(damping=-1.0)
