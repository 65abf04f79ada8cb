import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib._muon import orthogonalize_via_newton_schulz
from tolerances import assert_close

from jaxnn.optimizers import apply_updates
from jaxnn.optimizers.muon_updates import COEFFICIENTS, muon, orthogonalize

COVERS = {"optimizers.orthogonalize"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (1, 5)])
@pytest.mark.parametrize("name", COEFFICIENTS)
def test_orthogonalize_is_that_of_optax(shape, name, x64):
    matrix = jnp.asarray(RNG.normal(size=shape))
    theirs = orthogonalize_via_newton_schulz(matrix, jnp.asarray(COEFFICIENTS[name]), ns_steps=5)
    assert_close(orthogonalize(matrix, ns_coeffs=name), theirs)


def test_singular_vectors_stay_and_values_follow_the_polynomial(x64):
    matrix = RNG.normal(size=(6, 4))
    U, s, V = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        a, b, c = COEFFICIENTS["standard"]
        s = a * s + b * s**3 + c * s**5
    np.testing.assert_allclose(orthogonalize(jnp.asarray(matrix), eps=0.0), U * s @ V, rtol=1e-10)
    assert s.min() > 0.6
    assert s.max() < 1.25


def test_the_length_of_the_matrix_is_forgotten():
    matrix = jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32)
    assert_close(orthogonalize(1e4 * matrix), orthogonalize(matrix))
    assert (orthogonalize(jnp.zeros((2, 2))) == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": jnp.ones(3)}, r"`matrix` must have shape \(m, n\); received \(3,\)"),
        ({"matrix": jnp.ones((2, 2)), "ns_coeffs": "standrad"}, "did you mean 'standard'"),
        ({"matrix": jnp.ones((2, 2)), "ns_coeffs": (1.0, 2.0)}, r"`ns_coeffs` must be \(a, b, c\)"),
        ({"matrix": jnp.ones((2, 2)), "ns_steps": 0}, "`ns_steps` must be a Python int of at least 1"),
        ({"matrix": jnp.ones((2, 2)), "ns_steps": jnp.float32(5)}, "`ns_steps` must be a Python int"),
    ],
)
def test_what_cannot_be_orthogonalized(arguments, message):
    with pytest.raises(ValueError, match=message):
        orthogonalize(**arguments)


def two_steps(optimizer, params):
    @jax.jit
    def step(params, state):
        grads = jax.tree.map(lambda x: jnp.cos(3 * x), params)
        updates, state = optimizer.update(grads, state, params)
        return apply_updates(params, updates), state

    first, state = params, optimizer.init(params)
    for _ in range(2):
        params, state = step(params, state)
    assert all((a != b).any() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(params), strict=True))
    return params, state


def test_a_kernel_of_a_convolution_counts_as_a_matrix_where_it_is_selected(x64):
    shapes = {"conv": {"kernel": (3, 3, 2, 4), "bias": (4,)}, "embedding": (5, 3), "dense": {"kernel": (4, 3)}}
    params = jax.tree.map(lambda s: jnp.asarray(RNG.normal(size=s)), shapes, is_leaf=lambda s: isinstance(s, tuple))
    number = optax.contrib.MuonDimensionNumbers
    axes = {
        "conv": {"kernel": number((0, 1, 2), 3), "bias": None},
        "embedding": None,
        "dense": {"kernel": number(0, 1)},
    }
    numbers = {"weight_decay": 0.1, "adam_weight_decay": 0.2, "adam_learning_rate": 0.03}
    ours, state = two_steps(muon(0.1, matrices="kernel", **numbers), params)
    theirs, _ = two_steps(optax.contrib.muon(0.1, muon_weight_dimension_numbers=axes, **numbers), params)
    assert_close(ours, theirs)
    assert state.m["embedding"] is None
    assert state.others.v["dense"]["kernel"] is None
    assert jax.tree.map(jnp.shape, state.others.v["embedding"]) == (5, 3)


def test_the_mask_of_the_decay_and_the_dtype_of_the_momentum(x64):
    params = {"a": jnp.asarray(RNG.normal(size=(2, 3))), "b": jnp.asarray(RNG.normal(size=(3, 2))), "c": jnp.ones(2)}
    named = {"weight_decay": 0.5, "weight_decay_mask": {"a": True, "b": False, "c": False}, "ns_coeffs": "dion"}
    ours, state = two_steps(muon(0.1, mu_dtype="float32", **named), params)
    theirs, _ = two_steps(optax.contrib.muon(0.1, mu_dtype="float32", **named), params)
    assert_close(ours, theirs, rtol=1e-6)  # a float32 momentum
    assert {str(m.dtype) for m in jax.tree.leaves(state.m)} == {"float32"}


def test_a_vector_is_no_matrix():
    with pytest.raises(ValueError, match="`matrices` must select leaves of rank 2 or more; received rank 1"):
        muon(0.1, matrices="*").init({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)})


def test_half_precision_is_orthogonalized_in_float32():
    params = jnp.asarray(RNG.normal(size=(4, 4)), jnp.bfloat16)
    optimizer = muon(1.0)
    updates, state = optimizer.update(params, optimizer.init(params))
    wide, _ = optimizer.update(params.astype("float32"), optimizer.init(params.astype("float32")))
    assert updates.dtype == state.m.dtype == jnp.bfloat16
    assert_close(updates, wide, rtol=2**-8)
