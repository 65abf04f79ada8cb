"""What is asked of a transformation's arguments, and of another transformation before it is run."""

import math

from jaxnn.real_numbers import known_number
from jaxnn.signatures import passable


def check_at_least(name: str, value, low: float) -> None:
    """Raises ValueError unless a Python number is finite and at least `low`; scalar arrays and schedules pass.

    >>> check_at_least("patience", 0, 1)
    Traceback (most recent call last):
    ValueError: `patience` must be finite and at least 1; received 0.
    """
    number = None if value is None or callable(value) else known_number(name, value)
    if number is not None and not low <= number < math.inf:
        raise ValueError(f"`{name}` must be finite and at least {low}; received {value}.")


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
    """Raises ValueError where `update` was called without the parameters that it computes with."""
    if params is None:
        raise ValueError(
            f"{transformation} needs the parameters; received params=None. Call `update(grads, state, params)`."
        )


def run_update(transformation, grads, state, params, extra):
    """The transformation's `update`, given those of the `extra` arguments that it takes.

    Ours take any; of Optax's, only those of type `GradientTransformationExtraArgs` do.
    """
    return transformation.update(grads, state, params, **passable(transformation.update, **extra))
