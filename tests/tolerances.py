"""How near is near: the table of `jaxnn verify`, by dtype. A test that departs from it says why."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.verification.comparison import TOLERANCE, relative_difference


def tolerance(*trees) -> float:
    """The relative tolerance of the coarsest floating dtype in the trees."""
    dtypes = {str(jnp.asarray(leaf).dtype) for leaf in jax.tree.leaves(trees)}
    return max((TOLERANCE[dtype] for dtype in dtypes & set(TOLERANCE)), default=0.0)


def assert_close(ours, theirs, *, rtol: float | None = None):
    """Trees of equal structure, leaf by leaf within `rtol` of the largest magnitude in the leaf (or of the table)."""
    left, right = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    chex.assert_trees_all_equal_shapes([*map(np.asarray, left)], [*map(np.asarray, right)])
    for a, b in zip(left, right, strict=True):
        difference, limit = relative_difference(a, b), tolerance(a) if rtol is None else rtol
        assert difference <= limit, f"{difference:.2g} of the largest magnitude apart, above {limit:.2g}:\n{a}\n{b}"


def directional_error(function, arguments, *, seed: int = 0) -> float:
    """Relative difference between `jax.grad` and central differences, along one random direction, in float64.

    The output is projected to a scalar by a random array, the arguments are moved together by eps^(1/3) max(1, |x|).
    """
    rng = np.random.default_rng(seed)
    normal_like = lambda x: jnp.asarray(rng.normal(size=np.shape(x)))
    projection = normal_like(jax.eval_shape(function, *arguments))
    scalar = jax.jit(lambda arguments: jnp.sum(projection * function(*arguments)))
    direction = jax.tree.map(normal_like, tuple(arguments))
    moved = lambda h: jax.tree.map(lambda x, d: x + h * d, tuple(arguments), direction)
    h = np.finfo(np.float64).eps ** (1 / 3) * max(1.0, *(float(jnp.abs(x).max()) for x in arguments))
    numeric = float(scalar(moved(h)) - scalar(moved(-h))) / (2 * h)
    gradient = jax.jit(jax.grad(scalar))(tuple(arguments))
    exact = float(sum(jnp.vdot(g, d) for g, d in zip(gradient, direction, strict=True)))
    scale = sum(float(jnp.linalg.norm(g)) * float(jnp.linalg.norm(d)) for g, d in zip(gradient, direction, strict=True))
    return abs(numeric - exact) / max(scale, 1e-30)
