"""What the rows of the activations do not say: their derivatives, kinks and limits, and what each is good for."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.scipy.stats import norm
from tolerances import assert_close

from jaxnn import activations
from jaxnn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    max_unit,
    maxout,
    mish,
    per_unit,
    prelu,
    radial_basis,
    relu,
    relu6,
    rrelu,
    scaled_tanh,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softmin,
    softplus,
    softsign,
    tanh,
    tanh_shrink,
    threshold,
    threshold_linear,
)

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_TANH = partial(gelu, approximate=True)

DERIVATIVES = {  # as the docstring has it, and its value at 0
    identity: (lambda x: 1.0 + 0 * x, 1.0),
    threshold: (lambda x: 0 * x, 0.0),
    sigmoid: (lambda x: sigmoid(x) * (1 - sigmoid(x)), 0.25),
    tanh: (lambda x: 1 - np.tanh(x) ** 2, 1.0),
    scaled_tanh: (lambda x: 1.7159 * (2 / 3) * (1 - np.tanh(2 * x / 3) ** 2), 1.7159 * 2 / 3),
    relu: (lambda x: np.where(x > 0, 1.0, 0.0), 0.0),
    leaky_relu: (lambda x: np.where(x > 0, 1.0, 0.01), 0.01),
    elu: (lambda x: np.where(x > 0, 1.0, np.exp(x)), 1.0),
    selu: (lambda x: np.where(x > 0, LAMBDA, LAMBDA * ALPHA * np.exp(x)), 1.7580993408473766),
    gelu: (lambda x: norm.cdf(x) + x * norm.pdf(x), 0.5),
    silu: (lambda x: sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x)), 0.5),
    softplus: (sigmoid, 0.5),
    celu: (lambda x: np.where(x > 0, 1.0, np.exp(x)), 1.0),
    rrelu: (lambda x: np.where(x > 0, 1.0, 11 / 48), 11 / 48),
    relu6: (lambda x: (x > 0) & (x < 6), 0.0),
    hard_sigmoid: (lambda x: (abs(x) < 3) / 6, 1 / 6),
    hard_swish: (lambda x: np.where(abs(x) < 3, x / 3 + 0.5, x > 0), 0.5),
    hard_tanh: (lambda x: abs(x) < 1, 1.0),
    mish: (lambda x: np.tanh(softplus(x)) + x * sigmoid(x) / np.cosh(softplus(x)) ** 2, 0.6),
    softsign: (lambda x: 1 / (1 + abs(x)) ** 2, 1.0),
    tanh_shrink: (lambda x: np.tanh(x) ** 2, 0.0),
    soft_shrink: (lambda x: abs(x) > 0.5, 0.0),
    hard_shrink: (lambda x: abs(x) > 0.5, 0.0),
    log_sigmoid: (lambda x: 1 - sigmoid(x), 0.5),
}
LIMITS = {  # the values at -inf and inf, and the derivatives there
    identity: ((-np.inf, np.inf), (1, 1)),
    threshold: ((0, 1), (0, 0)),
    sigmoid: ((0, 1), (0, 0)),
    tanh: ((-1, 1), (0, 0)),
    scaled_tanh: ((-1.7159, 1.7159), (0, 0)),
    relu: ((0, np.inf), (0, 1)),
    leaky_relu: ((-np.inf, np.inf), (0.01, 1)),
    elu: ((-1, np.inf), (0, 1)),
    selu: ((-LAMBDA * ALPHA, np.inf), (0, LAMBDA)),
    gelu: ((0, np.inf), (0, 1)),
    GELU_TANH: ((0, np.inf), (0, 1)),
    silu: ((0, np.inf), (0, 1)),
    softplus: ((0, np.inf), (0, 1)),
    celu: ((-1, np.inf), (0, 1)),
    rrelu: ((-np.inf, np.inf), (11 / 48, 1)),
    relu6: ((0, 6), (0, 0)),
    hard_sigmoid: ((0, 1), (0, 0)),
    hard_swish: ((0, np.inf), (0, 1)),
    hard_tanh: ((-1, 1), (0, 0)),
    mish: ((0, np.inf), (0, 1)),
    softsign: ((-1, 1), (0, 0)),
    tanh_shrink: ((-np.inf, np.inf), (1, 1)),
    soft_shrink: ((-np.inf, np.inf), (1, 1)),
    hard_shrink: ((-np.inf, np.inf), (1, 1)),
    log_sigmoid: ((-np.inf, 0), (1, 0)),
}
ELEMENTWISE = tuple(LIMITS)
ZERO_CENTRED = (identity, tanh, scaled_tanh, hard_tanh, softsign, tanh_shrink, soft_shrink, hard_shrink)
DTYPES = pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])


def over(functions):
    return pytest.mark.parametrize(
        "f", [pytest.param(f, id=getattr(f, "__name__", "gelu, approximate")) for f in functions]
    )


@partial(jax.jit, static_argnums=0)
def slopes(f, x):
    value, pull = jax.vjp(f, x)
    return pull(jnp.ones_like(value))[0]


@over(DERIVATIVES)
def test_the_derivative_is_as_documented(f, x64):
    derivative, at_zero = DERIVATIVES[f]
    x = jnp.array([-30.0, -3.0, -1.3, -0.4, 0.2, 0.9, 2.5, 30.0])
    assert_close(slopes(f, x), derivative(np.asarray(x)))
    assert_close(jax.grad(f)(0.0), at_zero)


@over(ELEMENTWISE)
@DTYPES
def test_limits_are_reached_without_nan(f, dtype, x64):
    values, derivatives = LIMITS[f]
    infinities = jnp.array([-np.inf, np.inf], dtype)
    np.testing.assert_allclose(f(infinities).astype("float64"), values, rtol=1e-2 if dtype == "bfloat16" else 1e-6)
    np.testing.assert_allclose(slopes(f, infinities).astype("float64"), derivatives, rtol=1e-2)
    largest = jnp.array([-1.0, 1.0], dtype) * (float(jnp.finfo(dtype).max) / 2)
    assert np.isfinite(f(largest)).all()
    np.testing.assert_allclose(slopes(f, largest).astype("float64"), derivatives, rtol=1e-2)


@over(ELEMENTWISE)
def test_a_nan_stays_one(f):
    assert jnp.isnan(f(jnp.array([np.nan]))).all()


@pytest.mark.parametrize("f", [softmax, log_softmax, max_unit, partial(maxout, pieces=2)])
def test_a_nan_stays_one_beside_others(f):
    assert jnp.isnan(f(jnp.array([1.0, np.nan, np.inf, 0.0]))).any()


@over(ELEMENTWISE)
def test_only_some_are_zero_centred(f):
    x = jnp.linspace(-3, 3, 601)
    mean = abs(float(f(x).mean()))
    assert mean < 1e-5 if f in ZERO_CENTRED else mean > 0.1


def test_leaky_relu_and_elu_are_nearer_zero_mean_than_relu():
    x = jnp.linspace(-3, 3, 601)
    means = [float(abs(f(x).mean())) for f in (elu, leaky_relu, relu)]
    assert means == sorted(means)


def test_scaled_tanh_is_one_at_one_and_bends_most_there(x64):
    x = jnp.linspace(0.5, 1.5, 2001)
    np.testing.assert_allclose(scaled_tanh(jnp.array([-1.0, 1.0])), [-1, 1], atol=1e-4)  # 1.7159 is a rounded number
    curvature = -jax.vmap(jax.grad(jax.grad(scaled_tanh)))(x)
    assert abs(x[curvature.argmax()] - 1) < 0.02


def test_the_documented_minima(x64):
    x = jnp.linspace(-3, 0, 3001)
    for f, lowest, at in ((gelu, -0.17, -0.75), (silu, -0.28, -1.28), (mish, -0.31, -1.19), (hard_swish, -0.38, -1.5)):
        assert round(float(f(x).min()), 2) == lowest
        assert round(float(x[f(x).argmin()]), 2) == at


def test_gelu_is_exact_in_the_left_tail_and_its_approximation_near(x64):
    assert_close(gelu(jnp.float32(-10)), -10 * 7.619853024160527e-24)  # x P(Z <= -10)
    x = jnp.linspace(-8, 8, 4001)
    error = float(abs(gelu(x) - GELU_TANH(x)).max())
    assert 1e-4 < error < 5e-4


# --------------------------------------------------------------------------------------------- PyTorch's numbers

AT = [-4.0, -3.0, -1.0, -0.4, 0.0, 0.4, 1.0, 3.0, 4.0, 6.5]
TORCH = {  # torch.nn.functional 2.13 in float64 at AT: values and derivatives, the kinks at -3, 0, 1 and 3 included
    "hardswish": (
        hard_swish,
        [0, 0, -0.333333, -0.173333, 0, 0.226667, 0.666667, 3, 4, 6.5],
        [0, 0, 0.166667, 0.366667, 0.5, 0.633333, 0.833333, 1, 1, 1],
    ),
    "hardsigmoid": (
        hard_sigmoid,
        [0, 0, 0.333333, 0.433333, 0.5, 0.566667, 0.666667, 1, 1, 1],
        [0, 0, *[0.166667] * 5, 0, 0, 0],
    ),
    "hardtanh": (hard_tanh, [-1, -1, -1, -0.4, 0, 0.4, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]),
    "mish": (
        mish,
        [-0.072592, -0.145647, -0.303401, -0.188916, 0, 0.289031, 0.865098, 2.986535, 3.997413, 6.499971],
        [-0.053773, -0.093393, 0.059217, 0.347573, 0.6, 0.837018, 1.049036, 1.021107, 1.004433, 1.000054],
    ),
    "celu, 0.5": (
        partial(celu, alpha=0.5),
        [-0.499832, -0.498761, -0.432332, -0.275336, 0, 0.4, 1, 3, 4, 6.5],
        [0.000335, 0.002479, 0.135335, 0.449329, 1, 1, 1, 1, 1, 1],
    ),
    "softshrink": (soft_shrink, [-3.5, -2.5, -0.5, 0, 0, 0, 0.5, 2.5, 3.5, 6], [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]),
    "hardshrink": (hard_shrink, [-4, -3, -1, 0, 0, 0, 1, 3, 4, 6.5], [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]),
    "tanhshrink": (
        tanh_shrink,
        [-3.000671, -2.004945, -0.238406, -0.020051, 0, 0.020051, 0.238406, 2.004945, 3.000671, 5.500005],
        [0.998659, 0.990134, 0.580026, 0.144361, 0, 0.144361, 0.580026, 0.990134, 0.998659, 0.999991],
    ),
    "softsign": (
        softsign,
        [-0.8, -0.75, -0.5, -0.285714, 0, 0.285714, 0.5, 0.75, 0.8, 0.866667],
        [0.04, 0.0625, 0.25, 0.510204, 1, 0.510204, 0.25, 0.0625, 0.04, 0.017778],
    ),
    "relu6": (relu6, [0, 0, 0, 0, 0, 0.4, 1, 3, 4, 6], [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]),
    "logsigmoid": (
        log_sigmoid,
        [-4.01815, -3.048587, -1.313262, -0.913015, -0.693147, -0.513015, -0.313262, -0.048587, -0.01815, -0.001502],
        [0.982014, 0.952574, 0.731059, 0.598688, 0.5, 0.401312, 0.268941, 0.047426, 0.017986, 0.001501],
    ),
    "threshold, 0.5, 2": (
        partial(threshold_linear, above=0.5, otherwise=2.0),
        [2, 2, 2, 2, 2, 2, 1, 3, 4, 6.5],
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
    ),
    "rrelu, training=False": (
        rrelu,
        [-0.916667, -0.6875, -0.229167, -0.091667, 0, 0.4, 1, 3, 4, 6.5],
        [*[0.229167] * 5, 1, 1, 1, 1, 1],
    ),
    "softmin": (
        softmin,
        [0.674038, 0.247965, 0.033558, 0.018417, 0.012345, 0.008275, 0.004542, 0.000615, 0.000226, 0.000019],
        [0] * 10,
    ),
    "glu": (
        glu,
        [-2.394751, -2.193176, -0.952574, -0.392806, 0],
        [0.598688, 0.731059, 0.952574, 0.982014, 0.998499, -0.961043, -0.589836, -0.045177, -0.007065, 0],
    ),
}


def test_values_and_derivatives_are_those_of_pytorch(x64):
    both = jax.jit(lambda x: [(f(x), slopes(f, x)) for f, *_ in TORCH.values()])(jnp.array(AT))
    for name, ours in zip(TORCH, both, strict=True):
        for value, expected in zip(ours, TORCH[name][1:], strict=True):
            np.testing.assert_allclose(value, expected, atol=6e-7, err_msg=name)


def test_random_slopes_are_uniform_in_training_and_have_their_mean_in_use():
    x, key = -jnp.ones(20_000), jax.random.key(0)
    slopes = -rrelu(x, key=key, lowest=0.1, highest=0.5)
    assert 0.1 <= slopes.min() < 0.101
    assert 0.499 < slopes.max() <= 0.5
    assert abs(slopes.mean() + rrelu(x, lowest=0.1, highest=0.5)[0]) < 4 * (0.4 / 12**0.5) / 20_000**0.5
    assert (rrelu(-x, key=key) == 1).all()


@pytest.mark.parametrize("f", [sigmoid, gelu, silu, mish, softsign, glu, relu, softplus, selu])
def test_integers_are_taken_as_floats(f):
    x = jnp.array([-2, 0, 1, 3])
    assert_close(f(x), f(x.astype(float)))


def test_a_gate_that_is_shut_lets_nothing_through():
    inf = np.inf
    assert glu(jnp.array([inf, -inf, inf, 1.0, -inf, 0.0, 1.0, inf])).tolist() == [0, -inf, inf, 1]


# ------------------------------------------------------------------------------------------------------ SELU


def test_the_moments_of_selu_are_those_of_its_standard_normal_input(x64):
    z = jnp.linspace(-12, 12, 240_001)
    weights = norm.pdf(z) * (z[1] - z[0])
    np.testing.assert_allclose((weights * selu(z)).sum(), 0, atol=1e-8)
    np.testing.assert_allclose((weights * selu(z) ** 2).sum(), 1, atol=1e-8)


@pytest.mark.parametrize(("f", "holds"), [(selu, True), (tanh, False), (relu, False)], ids=["selu", "tanh", "relu"])
def test_selu_holds_mean_and_variance_through_thirty_layers(f, holds):
    width, depth = 256, 30
    keys = jax.random.split(jax.random.key(0), depth + 1)
    x = jax.random.normal(keys[0], (256, width))
    x, _ = jax.lax.scan(lambda x, key: (f(x @ jax.random.normal(key, (width, width)) / width**0.5), None), x, keys[1:])
    assert (abs(float(x.mean())) < 0.1 and abs(float(x.var()) - 1) < 0.2) == holds


# --------------------------------------------------------------------------------------------------- softmax


AXES = {axis: (partial(softmax, axis=axis), partial(log_softmax, axis=axis)) for axis in (-1, 0, 1)}


@given(
    axis=st.sampled_from(list(AXES)), shift=st.sampled_from([-1e4, -3.0, 100.0]), size=st.sampled_from([0.1, 3.0, 50.0])
)
def test_softmax_sums_to_one_on_any_axis_and_ignores_a_shift(axis, shift, size):
    x = jnp.asarray(size * np.random.default_rng(0).normal(size=(2, 3, 4)), "float32")
    softmax, log_softmax = AXES[axis]
    p = softmax(x)
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=1e-6)
    assert_close(jnp.exp(log_softmax(x)), p)
    assert_close(softmax(x + shift), p, rtol=2e-3)  # adding 1e4 rounds x to 1e-3
    np.testing.assert_allclose(slopes(softmax, x), 0, atol=1e-6)


@DTYPES
def test_infinities_share_the_probability_and_stop_the_gradient(dtype, x64):
    inf = np.inf
    x = jnp.array([[inf, 0.0, inf, -inf], [inf, 1.0, 2.0, 3.0], [-inf] * 4, [1.0, -inf, 1.0, -inf]], dtype)
    expected = [[0.5, 0, 0.5, 0], [1, 0, 0, 0], [0.25] * 4, [0.5, 0, 0.5, 0]]
    np.testing.assert_array_equal(softmax(x).astype("float64"), expected)
    np.testing.assert_allclose(jnp.exp(log_softmax(x)).astype("float64"), expected, rtol=1e-2)
    for f in (softmax, log_softmax):
        gradient = jax.vjp(f, x)[1](jnp.arange(16.0, dtype=dtype).reshape(4, 4))[0]
        assert not gradient[:3].any()
        assert not jnp.isnan(gradient[3]).any()


def test_log_softmax_is_exact_where_softmax_is_rounded():
    assert log_softmax(jnp.array([0.0, -1000.0])).tolist() == [0.0, -1000.0]


# ------------------------------------------------------------------------------- slopes, maxima, bumps, units


def test_the_gradient_of_prelu_reaches_the_slope(x64):
    x = jnp.array([[-2.0, 3.0], [-1.0, -4.0]])
    dy = jnp.array([[1.0, 10.0], [100.0, 1000.0]])
    per_channel = jax.vjp(lambda a: prelu(x, a), jnp.array([0.25, 0.5]))[1](dy)[0]
    assert per_channel.tolist() == [-2 - 100, -4000]
    shared = jax.vjp(lambda a: prelu(x, a), jnp.array(0.25))[1](dy)[0]
    assert shared == -2 - 100 - 4000


def test_the_gradient_of_the_slope_is_zero_at_plus_infinity():
    gradient = jax.grad(lambda a: prelu(jnp.array([np.inf, -1.0, 1e38]), a).sum())(jnp.array(0.25))
    assert gradient == -1


def test_the_first_of_equal_maxima_has_the_gradient():
    x = jnp.array([2.0, 2.0, 1.0, 0.0, 5.0, 5.0])
    assert slopes(max_unit, x).tolist() == [0, 0, 0, 0, 1, 0]
    assert slopes(partial(maxout, pieces=2), x).tolist() == [1, 0, 1, 0, 1, 0]


def test_maxout_takes_consecutive_features_and_one_piece_is_the_identity():
    x = jnp.arange(12.0).reshape(2, 6)
    assert maxout(x, pieces=3).tolist() == [[2, 5], [8, 11]]
    assert maxout(x, pieces=1).tolist() == x.tolist()
    with pytest.raises(ValueError, match=r"divide the features .* received 0 for shape \(2, 6\)"):
        maxout(x, pieces=0)
    with pytest.raises(ValueError, match="divide the features"):
        maxout(jnp.zeros(()), pieces=1)


def test_the_gradients_of_radial_basis_are_as_documented(x64):
    rng = np.random.default_rng(0)
    x, c, s = (jnp.asarray(rng.normal(size=shape)) for shape in ((1, 3), (2, 3), (2,)))
    y, pull = jax.vjp(lambda x, c, s: radial_basis(x, c, widths=s), x, c, s)
    dx, dc, ds = pull(jnp.ones_like(y))
    each = -y.T * (x - c) / s[:, None] ** 2
    assert_close((dx, dc), (each.sum(axis=0, keepdims=True), -each))
    assert_close(ds, (y.T * ((x - c) ** 2).sum(axis=1, keepdims=True))[:, 0] / s**3)
    assert_close(radial_basis(x, c, widths=jnp.array([0.7, 0.7])), radial_basis(x, c, widths=0.7))


@DTYPES
@pytest.mark.parametrize("far", [1e4, 1e30, np.inf, -np.inf])
def test_radial_basis_is_flat_far_away(far, dtype, x64):
    arguments = (jnp.array([[far, 1.0]], dtype), jnp.array([[0.5, 1.0]], dtype), jnp.array([0.5], dtype))
    y, pull = jax.vjp(lambda x, c, s: radial_basis(x, c, widths=s), *arguments)
    assert y == 0
    assert not any(gradient.any() for gradient in pull(jnp.ones_like(y)))  # NaN is not 0


def test_radial_basis_rejects_widths_that_are_not_one_a_unit():
    with pytest.raises(ValueError, match=r"`widths` \(\) or \(units,\); received \(1, 2\), \(3, 2\) and \(2,\)"):
        radial_basis(jnp.zeros((1, 2)), jnp.zeros((3, 2)), widths=jnp.ones(2))


def test_every_unit_has_its_own_activation_and_gradient(x64):
    functions = (relu, tanh, relu, silu, jnp.sin)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 5)))
    separately = lambda derive: jnp.stack([derive(f, x[..., k]) for k, f in enumerate(functions)], axis=-1)
    assert_close(per_unit(functions)(x), separately(lambda f, x: f(x)))
    assert_close(slopes(per_unit(functions), x), separately(slopes))


def test_a_unit_cannot_spoil_another():
    x = jnp.array([[4.0, -4.0, 0.0]])
    f = per_unit([jnp.sqrt, tanh, identity])  # the root of the others would be NaN, and its derivative infinite
    assert_close(slopes(f, x), jnp.array([[0.25, 1 - np.tanh(4.0) ** 2, 1.0]]))


def test_equal_functions_run_once_on_their_own_features():
    seen = []
    f = lambda x: (seen.append(x.shape), x)[1]
    per_unit([f, relu, f, f])(jnp.zeros((2, 4)))
    assert seen == [(2, 3)]


def test_per_unit_without_functions():
    with pytest.raises(ValueError, match="received none"):
        per_unit([])


def test_extremes_are_promised_of_every_activation():
    from jaxnn.verification.activation_references import ACTIVATIONS

    public = {f for name, f in vars(activations).items() if getattr(f, "__module__", "") == activations.__name__}
    assert {row.public for row in ACTIVATIONS} == {f for f in public if f.__name__[0] != "_"}
