"""Theorems of clipping: what is bounded, what keeps its direction, what is left alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rings import first_of
from tolerances import assert_close

from jaxnn.optimizers.gradient_clipping import (
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    clip_by_norm,
    global_norm,
)

COVERS = {"optimizers.global_norm"}

ALL = {
    "clip": clip(0.5),
    "clip_by_norm": clip_by_norm(0.5),
    "clip_by_block_rms": clip_by_block_rms(0.5),
    "clip_by_global_norm": clip_by_global_norm(0.5),
    "adaptive_grad_clip": adaptive_grad_clip(0.5),
}


def clipped(transformation, grads, params=None):
    return transformation.update(grads, transformation.init(params), params)[0]


def norm(x):
    return float(np.linalg.norm(np.asarray(x, np.float64)))


@given(st.floats(1e-3, 1e3), st.integers(0, 3))
def test_norms_are_bounded_and_directions_kept(size, seed):
    rng = np.random.default_rng(seed)
    grads = {"a": jnp.asarray(size * rng.normal(size=(3, 2))), "b": jnp.asarray(size * rng.normal(size=4))}
    whole = clipped(clip_by_global_norm(2.0), grads)
    expected = min(1.0, 2.0 / norm([norm(g) for g in grads.values()]))
    assert_close(whole, jax.tree.map(lambda g: expected * g, grads))
    np.testing.assert_allclose(global_norm(grads), norm([norm(g) for g in grads.values()]), rtol=1e-5)
    for name, leaf in clipped(clip_by_norm(2.0), grads).items():
        assert_close(leaf, min(1.0, 2.0 / norm(grads[name])) * grads[name])
    for name, leaf in clipped(clip_by_block_rms(2.0), grads).items():
        assert_close(leaf, min(1.0, 2.0 * grads[name].size ** 0.5 / norm(grads[name])) * grads[name])


@pytest.mark.parametrize("name", ALL)
def test_what_is_small_is_left_alone_bit_for_bit(name):
    grads, params = {"w": jnp.array([[0.01, -0.02], [0.03, 0.1]])}, {"w": jnp.ones((2, 2))}
    np.testing.assert_array_equal(clipped(ALL[name], grads, params)["w"], grads["w"])


@first_of("name", ALL)
def test_a_gradient_of_zero_stays_and_has_a_finite_derivative(name):
    """Differentiated through, for meta-gradients: the root of zero sends no NaN back."""
    zero, params = {"w": jnp.zeros((2, 2))}, {"w": jnp.zeros((2, 2))}
    assert not clipped(ALL[name], zero, params)["w"].any()
    derivative = jax.grad(lambda g: jnp.sum(clipped(ALL[name], g, params)["w"]))(zero)["w"]
    np.testing.assert_array_equal(derivative, 1.0)


@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_summed_in_float32(name):
    """300^2 overflows float16, and 4096 ones sum to 256 in bfloat16."""
    for dtype, value in ((jnp.float16, 300.0), (jnp.bfloat16, 1.0)):
        grads = jnp.full((64, 64), value, dtype)
        ours = clipped(ALL[name], grads, grads)
        wide = clipped(ALL[name], grads.astype(jnp.float32), grads.astype(jnp.float32))
        assert ours.dtype == dtype
        assert_close(ours, wide.astype(dtype))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ALL)
def test_nan_and_infinity_are_seen_as_in_optax(name, bad):
    grads = {"a": jnp.array([bad, 3.0]), "b": jnp.array([4.0])}
    if name == "clip_by_norm":
        expected = {"a": clipped(optax.clip_by_global_norm(0.5), grads["a"]), "b": jnp.array([0.5])}
    else:
        expected = clipped(getattr(optax, name)(0.5), grads, jax.tree.map(jnp.ones_like, grads))
    ours = clipped(ALL[name], grads, jax.tree.map(jnp.ones_like, grads))
    jax.tree.map(np.testing.assert_allclose, ours, expected)


def test_complex_leaves_are_clipped_by_their_modulus():
    grads = {"z": jnp.array([3 + 4j]), "x": jnp.array([12.0])}
    assert float(global_norm(grads)) == 13.0
    np.testing.assert_allclose(clipped(clip_by_global_norm(1.0), grads)["z"], (3 + 4j) / 13, rtol=1e-6)


@first_of("shape", [(), (5,), (1, 5), (4, 3), (4, 3, 2), (3, 3, 4, 2), (2, 2, 2, 3, 2), (1, 1, 6, 1)])
def test_units_are_those_of_optax(shape, x64):
    rng = np.random.default_rng(0)
    grads, params = jnp.asarray(rng.normal(size=shape)), jnp.asarray(rng.normal(size=shape))
    assert_close(clipped(adaptive_grad_clip(0.7), grads, params), clipped(optax.adaptive_grad_clip(0.7), grads, params))


def test_units_may_be_named():
    rng = np.random.default_rng(0)
    grads, params = (jnp.asarray(rng.normal(size=(2, 2, 2, 2, 2, 3))) for _ in range(2))
    axes = (0, 1, 4)
    assert_close(
        clipped(adaptive_grad_clip(0.5, axis=axes), grads, params),
        clipped(optax.adaptive_grad_clip(0.5, axis=axes), grads, params),
    )
    with pytest.raises(ValueError, match=r"at most 5 axes; received shape .* Name a unit's by `axis=`"):
        clipped(adaptive_grad_clip(0.5), grads, params)


@pytest.mark.parametrize("factory", [clip, clip_by_norm, clip_by_block_rms, clip_by_global_norm, adaptive_grad_clip])
@pytest.mark.parametrize("bound", [0, -1.0, float("nan")])
def test_bounds_out_of_range(factory, bound):
    with pytest.raises(ValueError, match="must be greater than 0 and less than inf"):
        factory(bound)
