"""A fixed basis function computes `phi(x) -> (batch, M)`, the design matrix of a linear model.

The first column of the design matrix is constant. A model `y = f(w^T phi(x))` is linear in the weights that it learns.
A network has the same form, but learns phi too (Bishop 2006, sections 3.1 and 5.1).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxnn.activations import radial_basis


def linear(x: Float[Array, "batch features"]) -> Float[Array, "batch M"]:
    """Puts the constant 1 before the coordinates: `phi(x) = (1, x_1, ..., x_D)`, so that `w_0` is the bias.

    >>> linear(jnp.array([[2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0]]
    """
    return _with_constant(x)


def polynomial(x: Float[Array, " batch"], *, degree: int) -> Float[Array, "batch M"]:
    """Computes powers of one variable: `phi_j(x) = x^j` for j from 0 to `degree`.

    Derivative: `j x^(j-1)`. The higher the degree, the less independent the columns are; scale x to [-1, 1] first.

    Raises:
      ValueError: `degree` is below 0.

    >>> polynomial(jnp.array([2.0]), degree=3).tolist()
    [[1.0, 2.0, 4.0, 8.0]]
    """
    if degree < 0:
        raise ValueError(f"`degree` must be at least 0; received {degree}.")
    return jnp.stack([x**j for j in range(degree + 1)], axis=1)


def gaussian(
    x: Float[Array, " batch"] | Float[Array, "batch features"],
    *,
    centres: Float[Array, " centres"] | Float[Array, "centres features"],
    width: float | Num[Array, ""],
) -> Float[Array, "batch M"]:
    """Computes bumps around centres after the constant: `phi_j(x) = exp(-|x - mu_j|^2 / (2 s^2))`.

    Derivative: `-phi_j(x) (x - mu_j) / s^2`. Each bump is near 0 farther than a few widths from its centre (Bishop
    2006, eq. 3.4).

    Args:
      x: (batch,), or (batch, features).
      centres: `mu`, (centres,) or (centres, features).
      width: `s > 0`; may be traced.

    Raises:
      ValueError: the centres have another number of features than x, or the width is a number that is not positive.

    >>> gaussian(jnp.array([0.0, 2.0]), centres=jnp.array([0.0]), width=1.0).round(3).tolist()
    [[1.0, 1.0], [1.0, 0.135...]]
    """
    _check(x, centres, width)
    centres = centres.astype(x.dtype)
    x, centres = (x[:, None], centres[:, None]) if x.ndim == 1 else (x, centres)
    return _with_constant(radial_basis(x, centres, widths=jnp.asarray(width, x.dtype)))


def sigmoidal(
    x: Float[Array, " batch"], *, centres: Float[Array, " centres"], width: float | Num[Array, ""]
) -> Float[Array, "batch M"]:
    """Computes soft steps at centres after the constant: `phi_j(x) = sigma((x - mu_j) / s)` (Bishop 2006, eq. 3.5).

    Derivative: `phi_j (1 - phi_j) / s`. The steps are functions of one variable. With several variables each step would
    also need a direction, and these directions are what the hidden layer of a network learns.

    Raises:
      ValueError: the width is a number that is not positive.

    >>> sigmoidal(jnp.array([1.0]), centres=jnp.array([1.0, 4.0]), width=1.0).round(4).tolist()
    [[1.0, 0.5, 0.0473...]]
    """
    _check(x, centres, width)
    return _with_constant(jax.nn.sigmoid((x[:, None] - centres[None].astype(x.dtype)) / jnp.asarray(width, x.dtype)))


def _with_constant(columns):
    return jnp.concatenate([jnp.ones_like(columns, shape=(len(columns), 1)), columns], axis=1)


def _check(x, centres, width) -> None:
    if x.shape[1:] != centres.shape[1:]:
        raise ValueError(
            f"`centres` must have shape (centres,) for x (batch,) and (centres, features) for x (batch, features); "
            f"received {centres.shape} and x {x.shape}. Is an axis missing?"
        )
    if isinstance(width, int | float) and not width > 0:
        raise ValueError(f"`width` must be greater than 0; received {width}.")
