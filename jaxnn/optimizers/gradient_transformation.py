"""Every optimizer is a pair (init, update); this module holds the pair and the checks that all optimizers share."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.real_numbers import known_number
from jaxnn.signatures import passable


def check_at_least(name: str, value, low: float) -> None:
    """Raises ValueError unless a number is finite and at least `low`; None, scalar arrays and schedules pass.

    >>> check_at_least("patience", 0, 1)
    Traceback (most recent call last):
    ValueError: `patience` must be finite and at least 1; received 0.
    """
    number = None if value is None or callable(value) else known_number(name, value)
    if number is not None and not low <= number < math.inf:
        raise ValueError(f"`{name}` must be finite and at least {low}; received {value}.")


def check_at_most(name: str, value, high: float) -> None:
    """Raises ValueError if a number is greater than `high`; None, scalar arrays and schedules pass.

    >>> check_at_most("slow_step_size", 2, 1)
    Traceback (most recent call last):
    ValueError: `slow_step_size` must be at most 1; received 2.
    """
    number = None if value is None or callable(value) else known_number(name, value)
    if number is not None and not number <= high:
        raise ValueError(f"`{name}` must be at most {high}; received {value}.")


def check_transformation(name: str, value) -> None:
    """Raises ValueError unless `value` is a pair (init, update).

    >>> check_transformation("optimizer", lambda learning_rate: None)
    Traceback (most recent call last):
    ValueError: `optimizer` must be a pair (init, update); received function <lambda>. Did you forget to call it?
    """
    if not (callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))):
        kind, own = type(value).__name__, getattr(value, "__name__", repr(value))
        remedy = " Did you forget to call it?" if callable(value) else ""
        raise ValueError(f"`{name}` must be a pair (init, update); received {kind} {own}.{remedy}")


def require_params(params, transformation: str) -> None:
    """Raises ValueError if `update` was called without the parameters that it computes with."""
    if params is None:
        raise ValueError(
            f"{transformation} needs the parameters; received params=None. Call `update(grads, state, params)`."
        )


def run_update(transformation, grads, state, params, extra):
    """Runs the transformation's `update` with those of the `extra` arguments that it accepts.

    Our transformations accept any; of Optax's, only those of type `GradientTransformationExtraArgs` do.
    """
    return transformation.update(grads, state, params, **passable(transformation.update, **extra))


class GradientTransformation(NamedTuple):
    """Holds two pure functions: `init(params) -> state` and `update(grads, state, params=None, **extra)`."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


def apply_updates(params, updates):
    """Returns `params + updates` in the dtypes of the parameters; a leaf without gradient (float0) does not change.

    >>> apply_updates({"w": jnp.ones(2)}, {"w": -0.5 * jnp.ones(2)})["w"].tolist()
    [0.5, 0.5]
    """
    is_frozen = lambda u: jnp.result_type(u) == jax.dtypes.float0
    return jax.tree.map(lambda p, u: p if is_frozen(u) else (p + u).astype(jnp.result_type(p)), params, updates)


def value_at(hyperparameter, step):
    """Returns the value of a hyperparameter that is a number or a schedule `step -> number`."""
    return hyperparameter(step) if callable(hyperparameter) else hyperparameter


def check_range(name: str, value, low: float, high: float = math.inf) -> None:
    """Raises ValueError unless `low < value < high`; where the range is [0, 1), the value 0 passes too.

    None, schedules and scalar arrays of JAX pass: a traced array has no value yet, so only the numbers of Python and
    NumPy are checked.

    >>> check_range("learning_rate", float("nan"), 0)
    Traceback (most recent call last):
    ValueError: `learning_rate` must be greater than 0 and less than inf; received nan.
    """
    number = None if value is None or callable(value) else known_number(name, value)
    if number is not None and not (low < number < high or (number == low == 0 and high == 1)):
        above = "at least 0" if (low, high) == (0, 1) else f"greater than {low}"
        raise ValueError(f"`{name}` must be {above} and less than {high}; received {value}.")


def check_learning_rate(value) -> None:
    """Raises ValueError unless the value is a positive number, a schedule or a scalar array.

    None raises as well: a learning rate must be given, while other hyperparameters may be None.
    """
    if value is None:
        raise ValueError("`learning_rate` must be a number or a schedule; received None.")
    check_range("learning_rate", value, 0)


def zeros_like(params):
    """Returns a tree of zeros in the shapes and dtypes of the parameters."""
    return jax.tree.map(jnp.zeros_like, params)
