"""The gradient check: finds what is wrong, names it, and does not blame a gradient for a kink or for rounding."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of
from tolerances import assert_close

from jaxnn.diagnostics import check_gradient, format_gradient_check
from jaxnn.layers import convolve, max_pool
from jaxnn.losses import cross_entropy


def network(rng, sizes=(5, 7, 3)):
    """Arrays in float32, as a user has them."""
    layers = [{"kernel": rng.normal(size=(a, b)) / a**0.5, "bias": rng.normal(size=b)} for a, b in pairwise(sizes)]
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), {"layers": layers})


def loss_on(x, labels, activation):
    def loss(params):
        h = x
        for layer in params["layers"][:-1]:
            h = activation(h @ layer["kernel"] + layer["bias"][None])
        last = params["layers"][-1]
        return cross_entropy(h @ last["kernel"] + last["bias"][None], labels).mean()

    return loss


def two_layers(activation=jnp.tanh, seed=0, sizes=(5, 7, 3)):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(8, sizes[0])).astype(np.float32), rng.integers(sizes[-1], size=8)
    params = network(rng, sizes)
    loss = loss_on(jnp.asarray(x), jnp.asarray(labels), activation)
    with jax.enable_x64(True):
        exact = jax.jit(jax.grad(loss))(jax.tree.map(lambda a: a.astype(jnp.float64), params))
    return loss, params, jax.tree.map(np.array, exact)


def test_a_right_gradient_of_a_smooth_network_is_good_everywhere():
    loss, params, exact = two_layers()
    for gradient in (None, exact, jax.jit(jax.grad(loss))):
        checked = check_gradient(loss, params, gradient=gradient)
        assert checked.passed
        assert {leaf.verdict for leaf in checked.leaves} == {"good"}
        assert {leaf.name: (leaf.size, leaf.checked, leaf.kinks) for leaf in checked.leaves} == {
            "layers/0/bias": (7, 7, ()),
            "layers/0/kernel": (35, 35, ()),
            "layers/1/bias": (3, 3, ()),
            "layers/1/kernel": (21, 21, ()),
        }


def test_one_coordinate_wrong_by_a_hundredth_is_found_and_named():
    loss, params, exact = two_layers()
    exact["layers"][0]["kernel"][3, 2] *= 1.01
    checked = check_gradient(loss, params, gradient=exact)
    worst = checked.worst
    assert not checked.passed
    assert worst.worst == "layers/0/kernel[3, 2]"
    assert worst.error == pytest.approx(0.01 / 1.01, rel=1e-4)
    assert worst.verdict == "uncomfortable"
    assert worst.analytic / worst.numeric == pytest.approx(1.01, rel=1e-6)
    assert [leaf.verdict for leaf in checked.leaves].count("good") == 3
    assert f"FAILED at layers/0/kernel[3, 2]: analytic {worst.analytic:.6g}" in format_gradient_check(checked)


@pytest.mark.full
def test_a_missing_term_is_found():
    """Weight decay in the loss and not in the gradient."""
    loss, params, exact = two_layers()
    decayed = lambda p: loss(p) + 0.01 * jnp.sum(p["layers"][1]["kernel"] ** 2)
    checked = check_gradient(decayed, params, gradient=exact)
    assert not checked.passed
    assert checked.worst.name == "layers/1/kernel"
    assert checked.worst.verdict == "wrong"
    assert check_gradient(decayed, params).passed


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1 + 1e-9, "good"), (1 + 1e-5, "okay with kinks"), (1 + 1e-3, "uncomfortable"), (1.1, "wrong"), (-1.0, "wrong")],
)
def test_verdicts_are_those_of_the_lecture(factor, verdict):
    checked = check_gradient(jnp.exp, jnp.array(0.5), gradient=lambda x: factor * jnp.exp(x))
    assert checked.worst.verdict == verdict
    assert checked.passed == (verdict in ("good", "okay with kinks"))
    assert checked.worst.error == pytest.approx(abs(factor - 1) / max(abs(factor), 1), rel=1e-2, abs=1e-8)


H = float(np.finfo(np.float64).eps) ** (1 / 3)


@first_of("slope", [0.0, 0.3, -1.0])
def test_a_kink_anywhere_in_the_step_is_told_from_an_error(slope, x64):
    inside = H * np.array([-0.95, -0.7, -0.5, -0.4, -1 / 3, -2 / 7, -0.1, 0, 0.05, 0.25, 0.3, 1 / 3, 0.45, 0.6, 0.99])
    kinked = lambda x: jnp.sum(jax.nn.relu(x - 0.5) + slope * x + jnp.sin(x))
    x = jnp.asarray(np.append(0.5 + inside, 0.6 * np.ones(16)))
    checked = check_gradient(kinked, x)
    assert checked.leaves[0].kinks == tuple((i,) for i in range(15))
    assert checked.passed
    assert checked.leaves[0].verdict == "good"  # of the other coordinates
    wrong = check_gradient(kinked, x, gradient=lambda x: jax.grad(kinked)(x) + 5)
    assert wrong.leaves[0].kinks == ()  # it is more than a kink explains
    assert wrong.worst.verdict == "wrong"


def test_a_wrong_gradient_near_no_kink_is_never_called_a_kink():
    loss, params, exact = two_layers(jax.nn.relu)
    checked = check_gradient(loss, params, gradient=jax.tree.map(lambda leaf: 1.001 * leaf, exact))
    assert not any(leaf.kinks for leaf in checked.leaves)
    assert {leaf.verdict for leaf in checked.leaves} == {"uncomfortable"}


def test_relu_network_whose_kinks_lie_in_the_step_passes():
    """A zero bias and a zero input put every unit of one example onto its kink."""
    loss = lambda p: jnp.sum(jax.nn.relu(jnp.array([[0.0], [1.0], [-2.0]]) * p["w"][None] + p["b"][None]) ** 1)
    params = {"w": jnp.array([0.5, -0.5, 1.5]), "b": jnp.zeros(3)}
    checked = {leaf.name: leaf for leaf in check_gradient(loss, params).leaves}
    assert checked["b"].kinks == ((0,), (1,), (2,))
    assert checked["b"].verdict == "not judged"
    assert checked["w"].verdict == "good"
    assert checked["w"].kinks == ()


def test_nothing_judged_is_not_passed():
    assert not check_gradient(lambda x: jnp.sum(jnp.abs(x)), jnp.zeros(4), gradient=jnp.full(4, 0.5)).passed


@pytest.mark.full
def test_a_convolutional_network():
    rng = np.random.default_rng(0)
    x, labels = jnp.asarray(rng.normal(size=(2, 8, 8, 1))), jnp.array([0, 2])
    shapes = {"conv": (3, 3, 1, 4), "dense": (36, 3)}
    params = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}

    def loss(p):
        y = convolve(x.astype(p["conv"].dtype), p["conv"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        h = jax.nn.relu(max_pool(y))
        return cross_entropy(h.reshape(2, -1) @ p["dense"], labels).sum()

    checked = check_gradient(loss, params)
    assert checked.passed
    assert [leaf.checked for leaf in checked.leaves] == [36, 108]
    exact = jax.jit(jax.grad(loss))(params)
    flipped = {**exact, "conv": exact["conv"][::-1]}
    wrong = check_gradient(loss, params, gradient=flipped)  # the classic: correlation in place of convolution
    assert wrong.worst.name == "conv"
    assert not wrong.passed


@pytest.mark.full
def test_large_arrays_are_sampled_evenly_by_the_key():
    loss, params, exact = two_layers(sizes=(300, 200, 3))
    keys = [jax.random.key(seed) for seed in (0, 0, 1)]
    sampled = [check_gradient(loss, params, gradient=exact, samples=20, key=key) for key in keys]
    assert [leaf.checked for leaf in sampled[0].leaves] == [20, 20, 3, 20]
    assert sampled[0].passed
    assert sampled[0] == sampled[1]
    assert sampled[0].worst != sampled[2].worst
    exact["layers"][0]["kernel"][:150] *= 1.1
    two = check_gradient(loss, params, gradient=exact, samples=2, key=jax.random.key(5))
    assert two.worst.name == "layers/0/kernel"  # one of two lies in each half
    assert not two.passed


def test_samples_are_distinct_whatever_the_size():
    seen = []
    for size in (1, 7, 10, 100):
        x = jnp.linspace(1, 2, size)
        wrong = check_gradient(lambda x: jnp.sum(x**2), x, gradient=jnp.full(size, jnp.nan), samples=7)
        seen.append(wrong.leaves[0].checked)
    assert seen == [1, 7, 7, 7]
    spread = check_gradient(lambda x: jnp.sum(jnp.abs(x)), jnp.zeros(10), samples=7).leaves[0].kinks
    assert len({*spread}) == 7  # every one of them stands at its kink


def test_float32_is_checked_in_float64_and_x64_is_left_as_it_was():
    seen = []
    checked = check_gradient(lambda x: (seen.append(x.dtype), jnp.sum(jnp.sin(x)))[1], jnp.ones(3, jnp.bfloat16))
    assert {str(dtype) for dtype in seen} == {"float64"}
    assert checked.worst.error < 1e-8
    assert jnp.ones(1).dtype == jnp.float32


def test_integers_and_keys_pass_through():
    arguments = {"x": jnp.array([0.3, 0.4]), "label": jnp.array(1), "key": jax.random.key(7), "none": None}
    function = lambda a: a["x"][a["label"]] ** 2 + jax.random.uniform(a["key"]) * a["x"][0]
    checked = check_gradient(function, arguments)
    assert [leaf.name for leaf in checked.leaves] == ["x"]
    assert checked.passed
    assert check_gradient(lambda a: a["x"][a["label"]] ** 2, arguments, gradient={"x": jnp.array([0.0, 0.8])}).passed


def test_an_empty_array_is_listed_and_not_judged():
    checked = check_gradient(lambda p: jnp.sum(p["w"] ** 2), {"empty": jnp.zeros((0, 3)), "w": jnp.ones(2)})
    assert [(leaf.name, leaf.checked, leaf.verdict) for leaf in checked.leaves] == [
        ("empty", 0, "not judged"),
        ("w", 2, "good"),
    ]
    assert checked.passed


def test_small_slopes_raise_no_alarm():
    """Both all but zero, one exactly: a saturated unit beside a value of 1."""
    function = lambda x: 1 + jnp.sum(jnp.tanh(x)) + 1e-14 * x[0]
    checked = check_gradient(function, jnp.array([20.0, 30.0, 0.0]), gradient=jnp.array([0.0, 0.0, 1.0]))
    assert checked.passed
    assert checked.worst.verdict == "good"


def test_a_small_slope_that_is_wrong_is_found_all_the_same():
    function = lambda x: jnp.sum(jnp.array([1.0, 1e-5]) * x)
    wrong = check_gradient(function, jnp.array([1.0, 1.0]), gradient=jnp.array([1.0, 1.1e-5]))
    assert wrong.worst.worst == "arguments[1]"
    assert wrong.worst.verdict == "wrong"


def test_step_follows_the_size_of_the_coordinate():
    with jax.enable_x64(True):
        square = lambda x: jnp.sum(x**2)
        x = jnp.array([1e6, 1e-6])
        assert check_gradient(square, x).worst.error < 1e-7
        wrong = check_gradient(square, x, gradient=jnp.array([2.001e6, 2e-6]))  # in a fixed step, less than rounding
        assert (wrong.worst.worst, wrong.worst.verdict) == ("arguments[0]", "uncomfortable")
        coarse = check_gradient(lambda x: jnp.sum(x**4), jnp.array([1.0]), step=0.1)
        assert_close(coarse.worst.numeric, 4 + 4 * 0.01, rtol=1e-9)  # 4 x^3 + 4 x h^2


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_gradient_that_is_not_finite_is_wrong(bad):
    checked = check_gradient(lambda x: jnp.sum(x**2), jnp.array([1.0, 2.0]), gradient=jnp.array([2.0, bad]))
    assert checked.worst.error == float("inf")
    assert checked.worst.worst == "arguments[1]"
    assert checked.worst.verdict == "wrong"
    assert not checked.passed


def test_table_has_a_row_for_every_array_and_says_the_outcome():
    loss, params, _ = two_layers()
    lines = format_gradient_check(check_gradient(loss, params)).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == [
        f"layers/{i}/{name}" for i in (0, 1) for name in ("bias", "kernel")
    ]
    assert lines[3].split()[1:5] == ["35", "of", "35", "0"]
    assert lines[-1].startswith("passed; worst at layers/")


@pytest.mark.parametrize(
    ("function", "arguments", "keywords", "message"),
    [
        (lambda x: 2 * x, jnp.ones(3), {}, r"must return one number; received \(3,\). Project it by fixed random"),
        (lambda x: {"loss": x.sum()}, jnp.ones(3), {}, r"must return one number; received PyTreeDef\(\{'loss'"),
        (lambda x: x.astype(jnp.float32).sum(), jnp.ones(3), {}, "must return float64 .* received float32"),
        (lambda x: jnp.log(x).sum(), -jnp.ones(3), {}, "must be finite at `arguments`; received nan"),
        (lambda x: jnp.sum(x), jnp.arange(3), {}, "`arguments` must have a floating array"),
        (lambda x: jnp.sum(x["w"]), {"w": jnp.ones(3)}, {"gradient": {"w": jnp.ones(2)}}, r"shape \(3,\) at w.*\(2,\)"),
        (
            lambda x: jnp.sum(x["w"]),
            {"w": jnp.ones(3)},
            {"gradient": {"v": jnp.ones(3)}},
            "at w.* received arrays at v",
        ),
        (lambda x: jnp.sum(x), jnp.ones(3), {"samples": 0}, "`samples` must be at least 1; received 0"),
        (lambda x: jnp.sum(x), jnp.ones(3), {"step": 0.0}, "`step` must be greater than 0; received 0.0"),
    ],
)
def test_says_what_it_cannot_check(function, arguments, keywords, message):
    with pytest.raises(ValueError, match=message):
        check_gradient(function, arguments, **keywords)
