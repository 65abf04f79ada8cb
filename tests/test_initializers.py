"""What single initializers promise: symmetry, orthogonality, sparsity, unit variance through a network, and errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn import initializers
from jaxnn.layers import Dense

COVERS = {"initializers.lsuv"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

KEY = jax.random.key(0)

# ------------------------------------------------------------------------------------------------- symmetry

rng = np.random.default_rng(0)
X, Y = jnp.asarray(rng.normal(size=(16, 3))), jnp.asarray(rng.normal(size=(16, 2)))


def error(params):
    hidden = jnp.tanh(X @ params["first"] + params["bias"][None])
    return jnp.mean((hidden @ params["second"] - Y) ** 2)


def two_layers(init, steps=20):
    keys = jax.random.split(KEY)
    params = {"first": init(keys[0], (3, 5)), "bias": jnp.zeros(5), "second": init(keys[1], (5, 2))}
    for _ in range(steps):
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.jit(jax.grad(error))(params))
    return params


@pytest.mark.parametrize("init", [initializers.zeros, initializers.constant(0.3)], ids=["zeros", "constant"])
def test_hidden_units_that_start_equal_stay_equal(init):
    params = two_layers(init)
    assert_close(params["first"], jnp.broadcast_to(params["first"][:, :1], (3, 5)))
    assert_close(params["second"], jnp.broadcast_to(params["second"][:1], (5, 2)))


def test_a_random_start_breaks_the_symmetry_and_a_constant_one_still_learns():
    assert np.ptp(two_layers(initializers.fan_in_uniform())["first"], axis=1).min() > 0.1
    assert np.abs(two_layers(initializers.constant(0.3))["first"] - 0.3).max() > 0.01


def test_zeros_give_no_gradient_to_either_layer():
    gradient = jax.grad(error)(two_layers(initializers.zeros, steps=0))
    assert not gradient["first"].any()
    assert not gradient["second"].any()


# -------------------------------------------------------------------------------------------- distributions


@pytest.mark.parametrize(
    ("init", "distribution"),
    [
        (initializers.fan_in_normal(), scipy.stats.norm(scale=0.1)),
        (initializers.lecun_normal(), scipy.stats.truncnorm(-2, 2, scale=0.1 / 0.8796256610342398)),
        (initializers.lecun_uniform(), scipy.stats.uniform(-(3**0.5) / 10, 2 * 3**0.5 / 10)),
        (initializers.fan_in_uniform(), scipy.stats.uniform(-0.1, 0.2)),
    ],
    ids=["fan_in_normal", "lecun_normal", "lecun_uniform", "fan_in_uniform"],
)
def test_distribution(init, distribution):
    draw = np.asarray(init(KEY, (100, 200))).ravel()
    assert scipy.stats.kstest(draw, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("init", [initializers.lecun_normal(), initializers.xavier_normal(), initializers.he_normal()])
def test_truncated_at_two_of_the_uncut_deviations(init):
    draw = init(KEY, (20, 3000))
    assert 2.2 < float(abs(draw).max() / draw.std()) < 2 / 0.87


# ---------------------------------------------------------------------------------------------- orthogonal


@given(
    shape=st.sampled_from([(6, 6), (3, 3, 2, 5), (1, 1, 2, 9), (1, 4)]),
    gain=st.floats(0.1, 10),
    seed=st.integers(0, 99),
)
def test_columns_or_rows_are_orthonormal(shape, gain, seed):
    q = np.asarray(initializers.orthogonal(gain)(jax.random.key(seed), shape), np.float64).reshape(-1, shape[-1]) / gain
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=3e-6)  # some roundings of float32


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    """A QR whose signs are not mended has R's negative diagonal in Q: q[0, 0] would always be negative."""
    draws = jax.vmap(lambda key: initializers.orthogonal()(key, (3, 3)))(jax.random.split(KEY, 2000))
    for entry in (draws[:, 0, 0], draws[:, 2, 2], draws[:, 0, 2]):  # on a sphere in 3 dimensions: uniform on [-1, 1]
        assert scipy.stats.kstest(np.asarray(entry), scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert 900 < (jnp.linalg.det(draws) > 0).sum() < 1100


# -------------------------------------------------------------------------------------------------- sparse


@given(
    shape=st.sampled_from([(20, 6), (3, 3, 4, 5), (4, 3)]),
    nonzero=st.sampled_from([1, 15]),
    seed=st.integers(0, 99),
)
def test_each_unit_has_so_many_nonzero_weights(shape, nonzero, seed):
    draw = np.asarray(initializers.sparse(nonzero)(jax.random.key(seed), shape)).reshape(-1, shape[-1])
    assert (np.count_nonzero(draw, axis=0) == min(nonzero, len(draw))).all()


def test_sparse_units_choose_their_inputs_independently_and_evenly():
    chosen = np.asarray(initializers.sparse(5)(KEY, (20, 2000))) != 0
    assert len({column.tobytes() for column in chosen.T}) > 1500
    np.testing.assert_allclose(
        chosen.mean(axis=1), 5 / 20, atol=5 * (0.25 * 0.75 / 2000) ** 0.5
    )  # five standard errors


# ---------------------------------------------------------------------------------------------------- lsuv


def convolve(params, x):
    y = jax.lax.conv_general_dilated(x, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + params["bias"][None, None, None]


def no_parameters(function):
    return lambda params, x: function(x), ()


def outputs(layers, params, x):
    ys = []
    for (apply, _), p in zip(layers, params, strict=True):
        x = apply(p, x)
        ys.append(x)
    return ys


def network(dtype=jnp.float32):
    dense = Dense(10)
    return [
        (convolve, {"kernel": jnp.zeros((3, 3, 2, 8), dtype), "bias": jnp.full(8, 0.1, dtype)}),
        no_parameters(jax.nn.relu),
        no_parameters(lambda x: x.reshape(len(x), -1)),
        (lambda params, x: dense.forward(params, x)[0], dense.init(KEY, jnp.ones((1, 4 * 4 * 8), dtype))),
    ]


@pytest.mark.parametrize(("dtype", "compiled"), [("float32", True), ("bfloat16", False)])
def test_lsuv_gives_every_layer_unit_variance(dtype, compiled):
    layers, x = network(dtype), 5 + 30 * jax.random.normal(KEY, (64, 4, 4, 2), dtype)
    init = partial(initializers.lsuv, layers, key=KEY, tolerance=0.02)
    params = (jax.jit(init) if compiled else init)(x)
    ys = outputs(layers, params, x)
    for i in (0, 3):
        assert abs(np.asarray(ys[i], np.float64).var() - 1) < 0.025  # 0.02, and the rounding of bfloat16
        q = np.asarray(params[i]["kernel"], np.float64).reshape(-1, params[i]["kernel"].shape[-1])
        gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
        scale = np.trace(gram) / len(gram)
        np.testing.assert_allclose(gram, scale * np.eye(len(gram)), atol=scale * (1e-5 if dtype == "float32" else 2e-2))
        assert params[i]["kernel"].dtype == dtype
        np.testing.assert_array_equal(params[i]["bias"], layers[i][1]["bias"])
    assert [params[1], params[2]] == [(), ()]


def test_lsuv_walks_the_steps_of_the_paper():
    """Against the algorithm as a plain loop, on a layer whose variance is no square of its kernel's scale."""
    apply = lambda params, x: jnp.tanh(x @ params["kernel"]) * 3
    x = jax.random.normal(KEY, (200, 6))
    for steps in (1, 2, 3, 50):
        (params,) = initializers.lsuv([(apply, {"kernel": jnp.zeros((6, 4))})], x, key=KEY, tolerance=1e-3, steps=steps)
        kernel, taken = np.asarray(initializers.orthogonal()(jax.random.fold_in(KEY, 0), (6, 4)), np.float64), 0
        variance = lambda kernel: np.var(3 * np.tanh(np.asarray(x, np.float64) @ kernel))
        while abs(variance(kernel) - 1) >= 1e-3 and taken < steps:
            kernel, taken = kernel / np.sqrt(variance(kernel)), taken + 1
        np.testing.assert_allclose(params["kernel"], kernel, rtol=1e-4)  # float32, step after step
    assert 3 < taken < 50


def test_lsuv_leaves_a_silent_layer_finite():
    layers = [(lambda params, x: x @ params["kernel"], {"kernel": jnp.zeros((3, 2))})]
    (params,) = initializers.lsuv(layers, jnp.zeros((4, 3)), key=KEY)
    assert_close(params["kernel"].T @ params["kernel"], jnp.eye(2))


# -------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: initializers.normal(-1.0), "`stddev` must be greater than 0; received -1.0"),
        (lambda: initializers.normal(float("nan")), "`stddev` must be greater than 0; received nan"),
        (lambda: initializers.fan_in_uniform(0.0), "`scale` must be greater than 0; received 0.0"),
        (lambda: initializers.fan_in_normal(-2), "`scale` must be greater than 0; received -2"),
        (lambda: initializers.xavier_normal(0), "`gain` must be greater than 0; received 0"),
        (lambda: initializers.xavier_uniform(-1), "`gain` must be greater than 0"),
        (lambda: initializers.orthogonal(-1), "`gain` must be greater than 0"),
        (lambda: initializers.sparse(0), "`nonzero` must be at least 1; received 0. Martens takes 15"),
        (lambda: initializers.sparse(3, stddev=0.0), "`stddev` must be greater than 0"),
        (lambda: initializers.lsuv([(jnp.dot, ())], jnp.ones((2, 3)), key=KEY), r"a params\['kernel'\]"),
        (
            lambda: initializers.lsuv([(jnp.dot, {"kernel": jnp.ones((3, 3))})], jnp.ones((2, 3)), key=KEY, steps=0),
            "1 layers and 0 steps",
        ),
        (
            lambda: initializers.lsuv([], jnp.ones((2, 3)), key=KEY, tolerance=-0.1),
            "`tolerance` must be greater than 0; received -0.1",
        ),
    ],
)
def test_refuses_numbers_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


UNIFORM = ("fan_in_uniform", "lecun_uniform", "xavier_uniform", "he_uniform")
NORMAL = ("fan_in_normal", "lecun_normal", "xavier_normal", "he_normal")


@pytest.mark.parametrize("name", [*UNIFORM, *NORMAL, "orthogonal", "sparse"])
def test_refuses_a_bias(name):
    with pytest.raises(ValueError, match=r"two axes or more, \(..., in, out\); received \(4,\). Start a bias with zer"):
        getattr(initializers, name)()(KEY, (4,))


@pytest.mark.parametrize("name", [*UNIFORM, *NORMAL])
def test_refuses_an_empty_input(name):
    with pytest.raises(ZeroDivisionError, match=r"at least 1; received \(5, 0, 4\). Is the layer's input empty\?"):
        getattr(initializers, name)()(KEY, (5, 0, 4))
