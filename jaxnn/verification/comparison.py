"""The tolerances of each dtype, and how two results, or two gradients, are compared."""

import jax
import jax.numpy as jnp
import numpy as np

TOLERANCE = {"bfloat16": 2e-2, "float16": 2e-3, "float32": 1e-5, "float64": 1e-12}
"""The largest relative difference that a dtype's rounding explains."""


def relative_difference(ours, theirs) -> float:
    """Returns the largest difference of two trees, relative to the largest magnitude in each leaf; NaN if any is.

    Raises:
      ValueError: trees of other structure or leaves of other shapes.

    >>> relative_difference(jnp.array([1.0, 3.0]), jnp.array([1.0, 4.0]))
    0.25
    """
    left, right = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    if [np.shape(leaf) for leaf in left] != [np.shape(leaf) for leaf in right]:
        shapes = [[np.shape(leaf) for leaf in leaves] for leaves in (left, right)]
        raise ValueError(f"both must have the same shapes; received {shapes[0]} and {shapes[1]}")
    return float(np.max([_of_leaf(a, b) for a, b in zip(left, right, strict=True)], initial=0.0))  # NaN stays NaN


def float_part(function, arguments):
    """Returns the function of its floating arguments alone, and those arguments."""
    floats = [i for i, a in enumerate(arguments) if jnp.issubdtype(a.dtype, jnp.floating)]

    def of_floats(*values):
        filled = list(arguments)
        for i, value in zip(floats, values, strict=True):
            filled[i] = value
        return function(*filled)

    return of_floats, [arguments[i] for i in floats]


def pullback(function, arguments):
    """Returns the vector-Jacobian product by every floating argument, for one fixed cotangent without symmetry."""
    of_floats, floats = float_part(function, arguments)
    y, pull = jax.vjp(of_floats, *floats)
    return pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def _of_leaf(a, b) -> float:
    a, b = (np.asarray(leaf, np.float64) for leaf in (a, b))
    with np.errstate(invalid="ignore"):  # infinities of one sign are equal
        difference = np.abs(np.where(a == b, 0, a - b)).max(initial=0.0)
    return float(difference / max(1e-30, np.abs(b).max(initial=0.0)))
