"""What the rows of the regularizers do not say: which leaves count, kinks, means over a mask, and the projection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn.regularizers import elastic_net, kl_sparsity, l1, l1_sparsity, l2, max_norm

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

PARAMS = {
    "conv": {"kernel": jnp.array([[[[1.0, -2.0]]]]), "bias": jnp.array([5.0, 5.0])},
    "norm": {"scale": jnp.array([7.0, 7.0])},
    "words": {"embedding": jnp.array([[3.0, 0.0]])},
}
PENALTIES = {
    "l1": lambda params, **of: l1(params, strength=1.0, **of),
    "l2": lambda params, **of: l2(params, strength=1.0, **of),
    "elastic_net": lambda params, **of: elastic_net(params, l1_strength=1.0, l2_strength=1.0, **of),
}


@pytest.mark.parametrize(("name", "expected"), [("l1", 6.0), ("l2", 7.0), ("elastic_net", 13.0)])
def test_counts_kernels_and_embeddings_but_neither_biases_nor_scales(name, expected):
    value, gradient = jax.value_and_grad(PENALTIES[name])(PARAMS)
    assert value == expected
    assert not gradient["conv"]["bias"].any()
    assert not gradient["norm"]["scale"].any()


@pytest.mark.parametrize(("name", "expected"), [("l1", 10.0), ("l2", 25.0), ("elastic_net", 35.0)])
def test_counts_what_it_is_told_to(name, expected):
    assert PENALTIES[name](PARAMS, of="conv/bias") == expected


@pytest.mark.parametrize("name", PENALTIES)
def test_refuses_a_pattern_that_fits_nothing(name):
    with pytest.raises(ValueError, match=r"received 'kernels'. Did you mean 'kernel'\?"):
        PENALTIES[name](PARAMS, of="kernels")


def test_gradients_at_zero_and_beside():
    w = {"kernel": jnp.array([[-2.0, -1e-30, 0.0, 3.0]])}
    gradient = lambda penalty: jax.grad(penalty)(w)["kernel"][0].tolist()
    assert gradient(lambda w: l1(w, strength=0.5)) == [-0.5, -0.5, 0.0, 0.5]
    assert gradient(lambda w: l2(w, strength=0.5)) == pytest.approx([-1.0, -5e-31, 0.0, 1.5])
    assert gradient(lambda w: elastic_net(w, l1_strength=1.0, l2_strength=2.0)) == [-5.0, -1.0, 0.0, 7.0]
    assert jax.grad(l1_sparsity)(jnp.array([[0.0, 2.0], [-1.0, 0.0]])).tolist() == [[0.0, 0.5], [-0.5, 0.0]]


def test_the_strength_may_be_traced():
    values = jax.vmap(lambda strength: l2(PARAMS, strength=strength))(jnp.array([0.0, 1.0, 2.0]))
    assert values.tolist() == [0.0, 7.0, 14.0]


def test_many_half_precision_weights_are_summed_in_float32():
    """A large kernel, then a hundred small ones, each less than what bfloat16 can add to the first."""
    kernels = [jnp.ones((100, 100), jnp.bfloat16), *[jnp.ones((4, 4), jnp.bfloat16)] * 100]
    total = l1([{"kernel": kernel} for kernel in kernels], strength=1.0)
    assert total.dtype == jnp.bfloat16
    assert abs(float(total) - 11_600) <= 32  # half a unit in the last place of bfloat16


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: l1(PARAMS, strength=-0.1), "`strength` must be at least 0; received -0.1"),
        (lambda: l2(PARAMS, strength=float("nan")), "`strength` must be at least 0; received nan"),
        (lambda: elastic_net(PARAMS, l1_strength=0.1, l2_strength=-1), "`strength` must be at least 0; received -1"),
        (lambda: kl_sparsity(jnp.ones((2, 3)), target=0.0), "`target` must be greater than 0 and less than 1; rec"),
        (lambda: kl_sparsity(jnp.ones((2, 3)), target=1.5), "`target` must be greater than 0 and less than 1; rec"),
        (lambda: max_norm(PARAMS, limit=0.0), "`limit` must be greater than 0; received 0.0"),
    ],
)
def test_refuses_numbers_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# ------------------------------------------------------------------------------------------ sparse activations


def activations(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.01, 0.99, size=shape), jnp.float32)


@pytest.mark.parametrize("penalty", [l1_sparsity, kl_sparsity])
def test_padding_does_not_count_not_even_nan(penalty):
    a, mask = activations((5, 3, 2)), jnp.array([True, True, False, True, False])
    padded = a.at[2].set(jnp.nan).at[4].set(1e9)
    value, gradient = jax.value_and_grad(lambda a: penalty(a, mask=mask))(padded)
    assert_close(value, penalty(a[mask]))
    assert_close(gradient[mask], jax.grad(penalty)(a[mask]))
    assert not gradient[~mask].any()


def test_kl_is_zero_on_target_and_positive_beside():
    on_target = jnp.array([[0.0, 0.1], [0.4, 0.3]])
    assert kl_sparsity(on_target, target=0.2) == pytest.approx(0, abs=1e-7)
    assert jax.grad(lambda a: kl_sparsity(a, target=0.2))(on_target) == pytest.approx(0, abs=1e-6)
    assert kl_sparsity(on_target + 0.1, target=0.2) > 0.01
    assert kl_sparsity(on_target - 0.1, target=0.2) > 0.01


def test_kl_gradient_is_that_of_the_docstring(x64):
    a, target = jnp.asarray(activations((4, 3)), jnp.float64), 0.05
    q = a.mean(axis=0)
    expected = jnp.broadcast_to(((1 - target) / (1 - q) - target / q)[None] / 4, a.shape)
    assert_close(jax.grad(kl_sparsity)(a), expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("x", [-1e4, 1e4])
def test_kl_of_saturated_sigmoids_is_finite(x, dtype):
    value, gradient = jax.value_and_grad(lambda x: kl_sparsity(jax.nn.sigmoid(x)))(jnp.full((4, 3), x, dtype))
    assert np.isfinite(value)
    assert value > 0.1
    assert (gradient == 0).all()


# -------------------------------------------------------------------------------------------------- max_norm


@given(
    shape=st.sampled_from([(4, 3), (3, 3, 2, 5), (1, 1), (6,)]),
    limit=st.floats(0.1, 10),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3]),
    seed=st.integers(0, 99),
)
def test_no_unit_is_longer_than_the_limit_and_directions_stay(shape, limit, scale, seed):
    before = np.random.default_rng(seed).normal(size=shape).astype(np.float32) * np.float32(scale)
    after = np.asarray(max_norm({"kernel": jnp.asarray(before)}, limit=limit)["kernel"])
    axes = tuple(range(len(shape) - 1))
    norms, lengths = (np.sqrt((x.astype(np.float64) ** 2).sum(axis=axes)) for x in (before, after))
    np.testing.assert_allclose(lengths, np.minimum(norms, limit), rtol=1e-5)
    np.testing.assert_allclose(after * norms, before * lengths, rtol=1e-5, atol=1e-6 * scale)
    inside = norms < limit * (1 - 1e-6)
    np.testing.assert_array_equal(after[..., inside], before[..., inside])  # bit by bit


def test_what_is_inside_does_not_creep_inwards_update_by_update():
    """In float32, 1.3 / sqrt(1.3^2) is less than 1."""
    inside = jnp.asarray(np.random.default_rng(0).normal(size=(3, 50)) / 10, jnp.float32)
    np.testing.assert_array_equal(max_norm({"kernel": inside}, limit=1.3)["kernel"], inside)


def test_max_norm_touches_kernels_alone_and_is_idempotent():
    once = max_norm(PARAMS, limit=1.0)
    assert once["conv"]["kernel"].ravel().tolist() == [1.0, -1.0]
    for name, leaf in (("conv", "bias"), ("norm", "scale"), ("words", "embedding")):
        np.testing.assert_array_equal(once[name][leaf], PARAMS[name][leaf])
    assert_close(max_norm(once, limit=1.0), once)
    assert max_norm(PARAMS, limit=1.0, of="bias")["conv"]["bias"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_max_norm_under_jit_and_grad_at_zero_weights(dtype):
    project = jax.jit(lambda w, limit: max_norm({"kernel": w}, limit=limit)["kernel"])
    assert project(jnp.zeros((3, 2), dtype), 1.0).dtype == dtype
    gradient = jax.grad(lambda w: project(w, 1.0).sum())(jnp.zeros((3, 2), dtype))
    assert (gradient == 1).all()
