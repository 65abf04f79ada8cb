"""The surfaces are functions of two variables that show how optimizers differ.

Each function is pure and takes a point (2,). `SURFACES` adds what a picture needs: a start, the minimum, a frame and
the learning rates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Surface:
    """Describes a function and the frame in which it is drawn.

    f: takes a point (2,). start: the start of every path. minimum: None if f has none. x_limits, y_limits: the frame.
    gradient_rate: the learning rate of optimizers whose step is a multiple of the gradient. step_rate: the learning
    rate of optimizers whose step is about as long as the rate.
    """

    name: str
    f: Callable[[Array], Array]
    formula: str
    start: tuple[float, float]
    minimum: tuple[float, float] | None
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    gradient_rate: float
    step_rate: float


def steep_shallow(point: Float[Array, "2"]) -> Float[Array, ""]:
    """Computes the quadratic `(x^2 + 20 y^2) / 2`, whose condition number is 20.

    Plain gradient descent converges with learning rates below 2 / 20.

    >>> float(steep_shallow(jnp.array([2.0, 1.0])))
    12.0
    """
    x, y = point
    return (x**2 + 20 * y**2) / 2


def beale(point: Float[Array, "2"]) -> Float[Array, ""]:
    """Computes Beale's function (1958), which is flat around its minimum (3, 1/2) and steep in the corners.

        (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2

    >>> float(beale(jnp.array([3.0, 0.5])))
    0.0
    """
    x, y = point
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(point: Float[Array, "2"]) -> Float[Array, ""]:
    """Computes Rosenbrock's curved valley (1960, The Computer Journal 3): `(1 - x)^2 + 100 (y - x^2)^2`.

    >>> round(float(rosenbrock(jnp.array([-1.2, 1.0]))), 3)
    24.2
    """
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def saddle(point: Float[Array, "2"]) -> Float[Array, ""]:
    """Computes the saddle `x^2 - y^2`, which has a minimum along x, a maximum along y, and is unbounded.

    >>> float(saddle(jnp.array([1.0, 2.0])))
    -3.0
    """
    x, y = point
    return x**2 - y**2


def long_valley(point: Float[Array, "2"]) -> Float[Array, ""]:
    """Computes the long valley `(sqrt(1 + x^2) - 1) / 10 + 5 y^2`.

    Its walls are steep, and the slope of its floor hardly grows with the distance from the minimum.

    >>> float(long_valley(jnp.array([0.0, 1.0])))
    5.0
    """
    x, y = point
    return (jnp.sqrt(1 + x**2) - 1) / 10 + 5 * y**2


SURFACES = {
    surface.name: surface
    for surface in (
        Surface(name="steep-shallow", f=steep_shallow, formula="(x² + 20 y²) / 2", start=(-4.0, 1.0),
                minimum=(0.0, 0.0), x_limits=(-5.0, 2.0), y_limits=(-1.75, 1.75), gradient_rate=0.09, step_rate=0.1),
        Surface(name="beale", f=beale, formula="(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²",
                start=(1.0, 1.5), minimum=(3.0, 0.5), x_limits=(-0.5, 4.5), y_limits=(-1.5, 2.0), gradient_rate=0.01,
                step_rate=0.1),
        Surface(name="rosenbrock", f=rosenbrock, formula="(1 − x)² + 100 (y − x²)²", start=(-1.2, 1.0),
                minimum=(1.0, 1.0), x_limits=(-1.8, 1.8), y_limits=(-0.6, 2.0), gradient_rate=0.0015, step_rate=0.06),
        Surface(name="saddle", f=saddle, formula="x² − y²", start=(1.0, 1e-3), minimum=None, x_limits=(-1.25, 1.25),
                y_limits=(-0.75, 2.0), gradient_rate=0.03, step_rate=0.03),
        Surface(name="long-valley", f=long_valley, formula="(√(1 + x²) − 1) / 10 + 5 y²", start=(-6.0, 1.0),
                minimum=(0.0, 0.0), x_limits=(-7.0, 2.0), y_limits=(-2.0, 2.0), gradient_rate=0.15, step_rate=0.1),
    )
}  # fmt: skip
