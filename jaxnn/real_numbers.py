"""Hyperparameters are real numbers: of Python, of NumPy, or scalar arrays, whose value may be traced."""

import numbers

import jax.numpy as jnp
import numpy as np


def known_number(name: str, value) -> numbers.Real | None:
    """Returns a number of Python or NumPy itself, and None for a JAX scalar, which may have no value yet.

    Raises:
      ValueError: `value` is not a real number.

    >>> known_number("learning_rate", 0.1), known_number("learning_rate", jnp.array(0.1))
    (0.1, None)
    >>> known_number("learning_rate", "1e-3")
    Traceback (most recent call last):
    ValueError: `learning_rate` must be a real number; received '1e-3'.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return value
    dtype = getattr(value, "dtype", np.dtype(object))
    is_real = jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)
    if not is_real or np.ndim(value):
        raise ValueError(f"`{name}` must be a real number; received {value!r}.")
    return value.item() if isinstance(value, np.ndarray) else None
