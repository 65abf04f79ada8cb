"""These rows compare the paths of the optimizers with those of their references, on a few problems."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn.optimizers import apply_updates
from jaxnn.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from jaxnn.optimizers.adam_family import adam, adamw, nadam, nadamw
from jaxnn.optimizers.adam_variants import adamax, adamaxw, amsgrad, radam
from jaxnn.optimizers.gradient_transformation import run_update
from jaxnn.optimizers.lars_and_lamb import lamb, lars
from jaxnn.optimizers.momentum_and_nesterov import sgd
from jaxnn.optimizers.muon_updates import muon
from jaxnn.optimizers.sign_methods import lion, rprop, sign_sgd
from jaxnn.verification.optimizer_dialects import (
    adagrad_of_pytorch,
    adam_of_keras,
    adam_of_the_lectures,
    amsgrad_of_pytorch,
    nadam_of_keras,
    nadam_of_pytorch,
    nadamw_of_pytorch,
    radam_of_pytorch,
    rprop_of_1993,
    rprop_of_pytorch,
    sgd_of_pytorch,
    sgd_of_the_lectures,
)
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


def descend_informed(optimizer, problem, params, *, steps: int, **extra):
    """Likewise, for second-order optimizers and line searches: `update` is given all that any of them asks for."""

    def step(carry, _):
        params, state = carry
        value, grad = jax.value_and_grad(problem)(params)
        given = {"value": value, "grad": grad, "value_fn": problem, **extra}
        updates, state = run_update(optimizer, grad, state, params, given)
        params = apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[1]


def _optax_row(name, factory, **numbers):
    """The reference has the same name in Optax; what is no number is an option."""
    reference = getattr(optax, factory.__name__, None) or getattr(optax.contrib, factory.__name__)
    home = "optax" if hasattr(optax, factory.__name__) else "optax.contrib"
    return _row(name, factory, reference, f"{home}.{factory.__name__}", **numbers)


def _row(name, factory, oracle, against, **hyperparameters):
    options = {k: v for k, v in hyperparameters.items() if isinstance(v, bool | str)}
    numbers = {k: v for k, v in hyperparameters.items() if k not in options}
    return OptimizerRow(name, factory, oracle, against, numbers, options)


PYTORCH = "PyTorch's documented algorithm"

OPTIMIZERS = [
    _optax_row("sgd", sgd, learning_rate=1e-3),
    _optax_row("sgd, momentum", sgd, learning_rate=2e-4, momentum=0.9),
    _optax_row("sgd, nesterov", sgd, learning_rate=2e-4, momentum=0.8, nesterov=True),
    _row(
        "sgd, rate inside", sgd, sgd_of_the_lectures, "optax.chain(scale_by_learning_rate, trace)",
        learning_rate=2e-4, momentum=0.8, nesterov=True, rate_inside=True,
    ),
    _row("sgd, dampening", sgd, sgd_of_pytorch, PYTORCH, learning_rate=2e-4, momentum=0.9, dampening=0.4),
    _optax_row("adagrad", adagrad, learning_rate=3e-2, initial_accumulator_value=0.2, eps=1e-6),
    _row(
        "adagrad, PyTorch", adagrad, adagrad_of_pytorch, PYTORCH,
        learning_rate=2e-2, initial_accumulator_value=0.0, eps=1e-6, eps_in_sqrt=False,
    ),
    _optax_row("rmsprop", rmsprop, learning_rate=1e-3, decay=0.95, eps=1e-5, initial_scale=0.1),
    _optax_row(
        "rmsprop, centered", rmsprop,
        learning_rate=1e-2, decay=0.9, eps=100.0, momentum=0.5, centered=True, nesterov=True, bias_correction=True,
    ),
    _optax_row("rmsprop, eps outside", rmsprop, learning_rate=1e-3, decay=0.9, eps=1e-4, eps_in_sqrt=False),
    _optax_row("adadelta", adadelta, learning_rate=0.9, rho=0.9, eps=1e-6, weight_decay=1e-2),
    _optax_row("adam", adam, learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, eps_root=1e-9),
    _row(
        "adam, uncorrected", adam, adam_of_the_lectures, "NumPy's letters",
        learning_rate=1e-3, b1=0.85, b2=0.995, eps=1e-7, bias_correction=False,
    ),
    _row(
        "adam, Keras", adam, adam_of_keras, "Keras' documented algorithm",
        learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-3, eps_beside="uncorrected",
    ),
    _optax_row("adamw", adamw, learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, weight_decay=1e-1),
    _optax_row("adamax", adamax, learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7),
    _optax_row("adamaxw", adamaxw, learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, weight_decay=1e-1),
    _optax_row("amsgrad", amsgrad, learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, eps_root=1e-9),
    _row(
        "amsgrad, PyTorch", amsgrad, amsgrad_of_pytorch, PYTORCH,
        learning_rate=1e-2, b1=0.85, b2=0.95, eps=1e-7, maximum_of="raw",
    ),
    _row("nadam", nadam, optax.nadam, "optax.nadam", learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, eps_root=1e-9),
    _row(
        "nadam, PyTorch", nadam, nadam_of_pytorch, PYTORCH,
        learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, momentum_decay=4e-2,
    ),
    _row(
        "nadam, Keras", nadam, nadam_of_keras, "Keras' documented algorithm",
        learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, momentum_decay=1.0,
    ),
    _row(
        "nadamw, PyTorch", nadamw, nadamw_of_pytorch, PYTORCH,
        learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-7, weight_decay=1e-1, momentum_decay=4e-2,
    ),
    _row("nadamw", nadamw, optax.nadamw, "optax.nadamw", learning_rate=1e-2, b1=0.85, b2=0.995, weight_decay=1e-1),
    _optax_row("radam", radam, learning_rate=1e-3, b1=0.85, b2=0.95, eps=1e-7, eps_root=1e-9, threshold=6.0),
    _row(
        "radam, PyTorch", radam, radam_of_pytorch, PYTORCH,
        learning_rate=1e-3, b1=0.85, b2=0.95, eps=1e-3, eps_beside="uncorrected",
    ),
    _optax_row("sign_sgd", sign_sgd, learning_rate=1e-3),
    _optax_row("lion", lion, learning_rate=1e-3, b1=0.85, b2=0.95, weight_decay=1e-1),
    _row(
        "rprop", rprop, rprop_of_pytorch, PYTORCH,
        learning_rate=3e-3, eta_minus=0.55, eta_plus=1.15, min_step_size=5e-4, max_step_size=4e-3,
    ),
    _row(
        "rprop, backtracking", rprop, rprop_of_1993, "its paper's algorithm",
        learning_rate=3e-3, eta_minus=0.55, eta_plus=1.15, min_step_size=5e-4, max_step_size=4e-3, backtracking=True,
    ),
    _optax_row(
        "lars", lars,
        learning_rate=1e-3, weight_decay=1e-2, trust_coefficient=0.5, eps=1e-3, momentum=0.8, nesterov=True,
    ),
    _optax_row("lamb", lamb, learning_rate=1e-2, b1=0.85, b2=0.995, eps=1e-6, eps_root=1e-9, weight_decay=1e-1),
    _optax_row("muon", muon, learning_rate=1e-2, beta=0.9, eps=1e-7, adam_b1=0.85, adam_b2=0.995, adam_eps_root=1e-9),
    _optax_row(
        "muon, adaptive", muon,
        learning_rate=1e-2, beta=0.9, eps=1e-7, weight_decay=0.1, adam_weight_decay=0.2, adam_learning_rate=2e-2,
        consistent_rms=0.2, adaptive=True, nesterov=False,
    ),
]  # fmt: skip
