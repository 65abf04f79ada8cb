"""Twins of the optimizers, and the problems on which both walk."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn import optimizers
from jaxnn.optimizers import apply_updates
from jaxnn.verification.rows import OptimizerRow

STEPS = 100


def quadratic(params):
    """Condition number 10^4, rotated; smallest at (1, ..., 1)."""
    n = 6
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))
    y = jnp.asarray(rotation, params["w"].dtype) @ (params["w"] - 1)
    return jnp.sum(jnp.asarray(np.logspace(-2, 2, n), y.dtype) * y * y) / 2


def rosenbrock(params):
    """The curved valley, smallest at (1, 1)."""
    return (1 - params["x"]) ** 2 + 100 * (params["y"] - params["x"] ** 2) ** 2


def small_mlp(params):
    """Regression by tanh units on data without a pattern."""
    rng = np.random.default_rng(1)
    x, y = (jnp.asarray(rng.normal(size=shape), params["w1"].dtype) for shape in ((20, 5), (20, 2)))
    hidden = jnp.tanh(x @ params["w1"] + params["b1"][None])
    return jnp.mean((hidden @ params["w2"] - y) ** 2)


def _mlp_start():
    rng = np.random.default_rng(2)
    return {"w1": rng.normal(size=(5, 8)), "b1": np.zeros(8), "w2": rng.normal(size=(8, 2))}


PROBLEMS = {
    quadratic: {"w": np.zeros(6)},
    rosenbrock: {"x": np.float64(-0.5), "y": np.float64(0.7)},
    small_mlp: _mlp_start(),
}


def descend(optimizer, problem, params, *, opt_state=None, steps: int = STEPS):
    """The path (steps, ...) of the parameters in one `scan`."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(problem)(params), state, params)
        params = apply_updates(params, updates)
        return (params, state), params

    opt_state = optimizer.init(params) if opt_state is None else opt_state
    return jax.lax.scan(step, (params, opt_state), length=steps)[1]


OPTIMIZERS = [
    OptimizerRow("sgd", optimizers.sgd, optax.sgd, "optax.sgd", {"learning_rate": 1e-3}),
    OptimizerRow("sgd, momentum", optimizers.sgd, optax.sgd, "optax.sgd", {"learning_rate": 2e-4, "momentum": 0.9}),
    OptimizerRow(
        "sgd, nesterov",
        optimizers.sgd,
        optax.sgd,
        "optax.sgd",
        {"learning_rate": 2e-4, "momentum": 0.8},
        {"nesterov": True},
    ),
    OptimizerRow(
        "adam", optimizers.adam, optax.adam, "optax.adam", {"learning_rate": 1e-2, "b1": 0.85, "b2": 0.995, "eps": 1e-7}
    ),
]
