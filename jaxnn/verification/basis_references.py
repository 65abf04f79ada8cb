"""These rows compare the basis functions with their references."""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import logistic, norm

from jaxnn import basis_functions
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow

ON_A_LINE = np.array([-1.5, -0.25, 0.5, 2.0])
IN_THE_PLANE = np.array([[-1.0, 0.5], [0.25, 0.25], [1.5, -2.0]])


def _ours(function, centres, width):
    return lambda x: function(x, centres=jnp.asarray(centres, x.dtype), width=width)


def _after_ones(columns):
    return jnp.pad(columns, ((0, 0), (1, 0)), constant_values=1)


def _gaussian(x):
    density = norm.pdf(x[:, None], jnp.asarray(ON_A_LINE, x.dtype)[None], 0.7)
    return _after_ones(density * 0.7 * (2 * np.pi) ** 0.5)


def _gaussian_in_the_plane(x):
    densities = norm.pdf(x[:, None, :], jnp.asarray(IN_THE_PLANE, x.dtype)[None], 0.7)  # of each coordinate
    return _after_ones(densities.prod(axis=2) * 0.7**2 * 2 * np.pi)


def _sigmoidal(x):
    return _after_ones(logistic.cdf(x[:, None], jnp.asarray(ON_A_LINE, x.dtype)[None], 0.7))


BASIS_FUNCTIONS = [
    FunctionRow(
        "linear",
        basis_functions.linear,
        basis_functions.linear,
        _after_ones,
        "jax.numpy.pad",
        normal(3),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "polynomial",
        basis_functions.polynomial,
        partial(basis_functions.polynomial, degree=4),
        lambda x: jnp.vander(x, 5, increasing=True),
        "jax.numpy.vander",
        normal(),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "gaussian basis",
        basis_functions.gaussian,
        _ours(basis_functions.gaussian, ON_A_LINE, 0.7),
        _gaussian,
        "jax.scipy.stats.norm.pdf",
        normal(),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "gaussian basis, in the plane",
        basis_functions.gaussian,
        _ours(basis_functions.gaussian, IN_THE_PLANE, 0.7),
        _gaussian_in_the_plane,
        "jax.scipy.stats.norm.pdf",
        normal(2),
        differentiable_oracle=True,
    ),
    FunctionRow(
        "sigmoidal",
        basis_functions.sigmoidal,
        _ours(basis_functions.sigmoidal, ON_A_LINE, 0.7),
        _sigmoidal,
        "jax.scipy.stats.logistic.cdf",
        normal(),
        differentiable_oracle=True,
    ),
]
