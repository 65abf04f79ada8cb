"""Surfaces: their published values, their gradients, and that the frame shows what matters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of
from scipy.optimize import rosen, rosen_der
from tolerances import assert_close, directional_error

from jaxnn.diagnostics.surfaces import SURFACES, beale, long_valley, rosenbrock, saddle, steep_shallow

EVERY = first_of("surface", SURFACES.values(), ids=SURFACES)
POINTS = np.random.default_rng(0).uniform(-2, 2, (20, 2))


def by_definition(name, x, y):
    """The formulas of the module again, by NumPy and in another form."""
    return {
        "steep-shallow": lambda: np.array([x, y]) @ np.diag([0.5, 10.0]) @ np.array([x, y]),
        "beale": lambda: sum((c - x * (1 - y**k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
        "rosenbrock": lambda: rosen([x, y]),
        "saddle": lambda: (x - y) * (x + y),
        "long-valley": lambda: (np.hypot(1, x) - 1) / 10 + 5 * y**2,
    }[name]()


@EVERY
def test_values_are_those_of_the_definition(surface, x64):
    ours = jax.jit(jax.vmap(surface.f))(jnp.asarray(POINTS))
    assert_close(ours, np.array([by_definition(surface.name, *point) for point in POINTS]))


@EVERY
def test_the_gradient_is_the_slope(surface, x64):
    for point in POINTS[:3]:
        assert directional_error(surface.f, (jnp.asarray(point),)) < 1e-6


def test_rosenbrock_has_scipys_gradient(x64):
    assert_close(jax.vmap(jax.grad(rosenbrock))(jnp.asarray(POINTS)), np.stack([rosen_der(p) for p in POINTS]))


@pytest.mark.full
@EVERY
def test_the_minimum_is_one_and_the_saddle_has_none(surface, x64):
    assert (surface.minimum is None) == (surface.f is saddle)
    if surface.minimum is None:
        at, slope = jnp.zeros(2), jnp.linalg.eigvalsh(jax.hessian(surface.f)(jnp.zeros(2)))
        assert jax.grad(surface.f)(at).tolist() == [0, 0]
        assert slope.tolist() == [-2, 2]
        return
    at = jnp.array(surface.minimum)
    np.testing.assert_allclose(jax.grad(surface.f)(at), 0, atol=1e-12)
    assert float(surface.f(at)) == 0
    assert (jnp.linalg.eigvalsh(jax.hessian(surface.f)(at)) > 0).all()
    x, y = np.meshgrid(np.linspace(*surface.x_limits, 50), np.linspace(*surface.y_limits, 50))
    assert float(jax.vmap(surface.f)(jnp.asarray(np.stack([x.ravel(), y.ravel()], 1))).min()) >= 0


@EVERY
def test_start_and_minimum_lie_in_the_frame(surface):
    for x, y in filter(None, (surface.start, surface.minimum)):
        assert surface.x_limits[0] < x < surface.x_limits[1]
        assert surface.y_limits[0] < y < surface.y_limits[1]


@EVERY
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_dtype_of_the_point_is_kept(surface, dtype):
    assert surface.f(jnp.ones(2, dtype)).dtype == dtype


@pytest.mark.full
def test_the_characters_that_the_pictures_show(x64):
    curvatures = jnp.linalg.eigvalsh(jax.hessian(steep_shallow)(jnp.zeros(2)))
    assert curvatures.tolist() == [1, 20]
    assert SURFACES["steep-shallow"].gradient_rate < 2 / 20  # or descent would diverge
    floor = jax.vmap(jax.grad(long_valley))(jnp.stack([jnp.linspace(-100, 100, 51), jnp.zeros(51)], 1))
    assert float(jnp.abs(floor[:, 0]).max()) < 0.1
    assert float(jnp.abs(floor[:, 1]).max()) == 0
    assert abs(float(jax.grad(beale)(jnp.array([1.0, 1.5]))[1])) > 30  # steep at the start


def test_names_are_keys_and_surfaces_can_be_keys_too():
    assert all(surface.name == name for name, surface in SURFACES.items())
    assert len(set(SURFACES.values())) == 5
    assert dataclasses.replace(SURFACES["beale"], start=(0.0, 0.0)) != SURFACES["beale"]
