"""The hand-written gradients against `jax.vjp` of the plain lax form and against central differences."""

import itertools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from tolerances import assert_close, directional_error

from jaxnn.layers import LOWERINGS, choose_lowering, convolution_lowering_tiled, convolve

COVERS = {"layers.choose_lowering"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

HAND_WRITTEN = pytest.mark.parametrize("lowering", ["tiled", "canonical"])
plain = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@st.composite
def convolutions(draw):
    """(x shape, kernel shape, sizes): strides beyond the kernel, padding that cuts, taps apart, groups."""
    pair = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(2))
    kernel, strides, batch = pair(1, 4), pair(1, 4), draw(st.integers(1, 20))
    dilation, groups = draw(st.sampled_from([((1, 1), 1), (pair(1, 3), 1), ((1, 1), pair(2, 3)[0]), (pair(1, 2), 2)]))
    explicit = st.tuples(*(st.tuples(st.integers(-2, 3), st.integers(-2, 3)) for _ in range(2)))
    padding = draw(st.one_of(st.sampled_from(["SAME", "VALID", "SAME_LOWER"]), explicit))
    cut = (0, 0) if isinstance(padding, str) else [sum(max(0, -p) for p in pads) for pads in padding]
    size = [(k - 1) * d + 1 + c + draw(st.integers(0, 7)) for k, d, c in zip(kernel, dilation, cut, strict=True)]
    features_in, features_out = pair(1, 3)
    sizes = {"window_strides": strides, "padding": padding, "rhs_dilation": dilation, "feature_group_count": groups}
    return (batch, *size, features_in * groups), (*kernel, features_in, features_out * groups), sizes


def random_arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


def check_against_lax(lowering, case, dtype="float64"):
    x_shape, kernel_shape, sizes = case
    with jax.enable_x64(True):
        x, kernel = (a.astype(dtype) for a in random_arrays(x_shape, kernel_shape))

        @jax.jit
        def both(x, kernel):
            y, pull = jax.vjp(lambda *args: convolve(*args, **sizes, lowering=lowering), x, kernel)
            expected, expected_pull = jax.vjp(lambda *args: plain(*args, **sizes), x, kernel)
            dy = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
            return (y, *pull(dy)), (expected, *expected_pull(dy))

        assert_close(*both(x, kernel), rtol=1e-10 if dtype == "float64" else None)


@HAND_WRITTEN
@settings(max_examples=15)
@given(case=convolutions(), dtype=st.sampled_from(["float64", "float32"]))
def test_gradients_are_those_of_lax(lowering, case, dtype):
    check_against_lax(lowering, case, dtype)


@HAND_WRITTEN
@settings(max_examples=150)
@given(case=convolutions())
def test_gradients_are_those_of_lax_for_many_shapes(lowering, case):
    check_against_lax(lowering, case)


@HAND_WRITTEN
@settings(max_examples=4)
@given(case=convolutions())
def test_gradients_are_those_of_central_differences(lowering, case):
    x_shape, kernel_shape, sizes = case
    with jax.enable_x64(True):
        function = lambda x, kernel: convolve(x, kernel, **sizes, lowering=lowering)
        assert directional_error(function, random_arrays(x_shape, kernel_shape)) < 1e-6


@pytest.mark.parametrize(
    ("tile", "kernel_size", "strides"),
    [
        *((tile, (3, 2), (1, 1)) for tile in itertools.product((1, 2, 4), repeat=2)),
        *((tile, (2, 3), (2, 3)) for tile in ((1, 4), (2, 1), (4, 2))),
        *((tile, (2, 1), (3, 2)) for tile in ((1, 2), (4, 1), (2, 4))),  # strides beyond the kernel
    ],
    ids=str,
)
def test_every_tile_gives_the_same(tile, kernel_size, strides, x64, monkeypatch):
    monkeypatch.setattr(convolution_lowering_tiled, "choose_tile", lambda *_: tile)
    size = [k + 7 * s for k, s in zip(kernel_size, strides, strict=True)]  # 8 x 8 outputs: 1, 2 and 4 divide
    x, kernel = random_arrays((3, *size, 2), (*kernel_size, 2, 3))

    @jax.jit
    def both(x, kernel):
        y, pull = jax.vjp(lambda *args: convolve(*args, strides, "VALID", lowering="tiled"), x, kernel)
        expected, expected_pull = jax.vjp(lambda *args: plain(*args, strides, "VALID"), x, kernel)
        return (y, *pull(jnp.sin(y))), (expected, *expected_pull(jnp.sin(y)))

    assert_close(*both(x, kernel), rtol=1e-10)


@given(
    kernel=st.tuples(*(st.integers(1, 7),) * 2, *(st.integers(1, 300),) * 2),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    out_size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
@settings(max_examples=200)
def test_tiles_divide_the_output(kernel, strides, out_size):
    tiling = convolution_lowering_tiled.choose_tiling(kernel, strides, out_size)
    assert all(t in (1, 2, 4) and t * n == size for t, n, size in zip(tiling.tile, tiling.tiles, out_size, strict=True))


def test_choose_tile_really_chooses():
    """All sides occur for one shape or another, so that no branch of the cost is dead."""
    chosen = {
        convolution_lowering_tiled.choose_tile((k, k, i, o), (1, 1), (28, 28))
        for k in (1, 3, 5)
        for i in (1, 64)
        for o in (1, 8, 512)
    }
    assert {side for tile in chosen for side in tile} == {1, 2, 4}


@pytest.mark.parametrize("apart", [(1, 1), (3, 2)], ids=str)
def test_scatter_is_the_transpose_of_gather(apart, x64):
    tiling = convolution_lowering_tiled.Tiling(tile=(2, 1), tiles=(3, 4), taps=(4, 3), step=(2, 2), apart=apart)
    sizes = zip(tiling.step, tiling.tiles, tiling.taps, apart, strict=True)
    height, width = (step * (n - 1) + (t - 1) * d + 1 for step, n, t, d in sizes)
    x, taps = random_arrays((2, height, width, 5), (4 * 3 * 2, 3 * 4 * 5))
    back = convolution_lowering_tiled.scatter_taps(taps, tiling, batch=5)
    np.testing.assert_array_equal(back[:, height:], 0)
    np.testing.assert_array_equal(back[:, :, width:], 0)
    inner = jnp.vdot(convolution_lowering_tiled.gather_taps(x, tiling), taps)
    assert_close(jnp.vdot(x, back[:, :height, :width]), inner)


def test_fold_is_the_transpose_of_spread(x64):
    (kernel,) = random_arrays((3, 2, 2, 5))
    sizes = {"strides": (2, 1), "tile": (2, 4)}
    copies = convolution_lowering_tiled.spread_kernel(kernel, **sizes)
    (weights,) = random_arrays(copies.shape, seed=1)
    folded = convolution_lowering_tiled.fold_kernel(weights, kernel.shape, **sizes)
    assert_close(jnp.vdot(kernel, folded), jnp.vdot(copies, weights))


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("batch", [1, 17])
def test_descends_inside_a_loop(lowering, batch, x64):
    """Five steps of gradient descent in `lax.fori_loop`, compared with the plain form outside of one."""
    x, kernel, target = random_arrays((batch, 6, 5, 2), (3, 3, 2, 3), (batch, 6, 5, 3))
    loss = lambda kernel, f: jnp.mean((f(x, kernel, (1, 1), "SAME") - target) ** 2)
    ours = partial(convolve, lowering=lowering)
    step = lambda _, kernel: kernel - 0.1 * jax.grad(loss)(kernel, ours)
    expected, plain_gradient = kernel, jax.jit(jax.grad(lambda kernel: loss(kernel, plain)))
    for _ in range(5):
        expected = expected - 0.1 * plain_gradient(expected)
    assert_close(jax.jit(lambda kernel: lax.fori_loop(0, 5, step, kernel))(kernel), expected, rtol=1e-10)


@HAND_WRITTEN
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)], ids=str)
def test_gradient_under_vmap(lowering, axes, x64):
    x, kernel = random_arrays((3, 16, 5, 6, 2), (3, 2, 3, 2, 4))
    x, kernel = (value if axis == 0 else value[0] for value, axis in zip((x, kernel), axes, strict=True))
    loss = lambda x, kernel, f: jnp.sum(jnp.sin(f(x, kernel, (2, 1), "SAME")))
    mapped = lambda f: jax.jit(jax.vmap(jax.grad(partial(loss, f=f), (0, 1)), axes))(x, kernel)
    assert_close(mapped(partial(convolve, lowering=lowering)), mapped(plain), rtol=1e-10)


@HAND_WRITTEN
def test_reverse_over_reverse(lowering, x64):
    """A Hessian-vector product through the hand-written gradients."""
    x, kernel, vx, vk = random_arrays((2, 5, 6, 2), (3, 2, 2, 3), (2, 5, 6, 2), (3, 2, 2, 3))

    def product(f):
        loss = lambda x, kernel: jnp.sum(jnp.sin(f(x, kernel, (2, 1), "SAME")))
        along = lambda *args: sum(jnp.vdot(g, v) for g, v in zip(jax.grad(loss, (0, 1))(*args), (vx, vk), strict=True))
        return jax.jit(jax.grad(along, (0, 1)))(x, kernel)

    assert_close(product(partial(convolve, lowering=lowering)), product(plain), rtol=1e-10)


@HAND_WRITTEN
def test_forward_mode_is_refused_and_xla_takes_it(lowering):
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: convolve(x, kernel, lowering=lowering), (x,), (x,))
    assert jax.jvp(lambda x: convolve(x, kernel, lowering="xla"), (x,), (x,))[1].shape == (1, 4, 4, 1)


OTHER_FORMS = {
    "grouped": ((2, 6, 6, 4), {}, {"feature_group_count": 2}),
    "depthwise": ((2, 6, 6, 4), {}, {"feature_group_count": 4, "features": 8}),
    "grouped large batch": ((20, 6, 5, 4), {}, {"feature_group_count": 2, "strides": 2}),
    "dilated kernel": ((2, 8, 8, 3), {}, {"kernel_dilation": 2}),
    "dilated large batch": ((20, 8, 9, 3), {}, {"kernel_dilation": (2, 3), "padding": 2}),
    "dilated input": ((2, 6, 6, 3), {}, {"input_dilation": 2, "padding": 1}),
    "circular": ((2, 6, 6, 3), {}, {"padding": "CIRCULAR"}),
    "1-D": ((2, 9, 3), {"kernel_size": (3,)}, {}),
    "3-D": ((2, 5, 6, 4, 2), {"kernel_size": (2, 2, 2)}, {}),
    "precise": ((2, 6, 6, 3), {}, {"precision": lax.Precision.HIGHEST}),
    "strided": ((2, 9, 7, 3), {}, {"strides": (2, 3)}),
    "large batch": ((20, 9, 7, 3), {}, {"strides": 2}),
    "no batch": ((6, 6, 3), {}, {}),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_is_a_drop_in_for_lax_in_flax(form):
    shape, changes, options = OTHER_FORMS[form]
    options = {"features": 4, "kernel_size": (3, 3), **changes, **options}
    theirs, ours = nn.Conv(**options), nn.Conv(**options, conv_general_dilated=convolve)
    (x,) = random_arrays(shape)
    variables = theirs.init(jax.random.key(0), x)
    value_and_gradient = lambda net: jax.jit(jax.value_and_grad(lambda v: jnp.sum(jnp.sin(net.apply(v, x)))))(variables)
    assert_close(value_and_gradient(ours), value_and_gradient(theirs))


@pytest.mark.parametrize("numbers", [("NCHW", "OIHW", "NCHW"), None, ("NHWC", "HWIO", "NCHW")], ids=str)
def test_other_layouts_go_to_lax(numbers):
    x, kernel = random_arrays((2, 3, 6, 5), (4, 3, 2, 3) if numbers is None or numbers[0] == "NCHW" else (2, 3, 5, 4))
    ours = convolve(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
    assert_close(ours, lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers))


def test_an_empty_result_is_empty():
    x, kernel = jnp.ones((20, 2, 2, 1)), jnp.ones((3, 3, 1, 4))
    assert convolve(x, kernel, padding="VALID").shape == plain(x, kernel, (1, 1), "VALID").shape == (20, 0, 0, 4)
    nobody = jnp.ones((0, 5, 5, 4))
    assert convolve(nobody, jnp.ones((3, 3, 1, 4)), feature_group_count=4).shape == (0, 5, 5, 4)
    far_apart = jnp.ones((20, 4, 4, 1))
    assert convolve(far_apart, kernel, padding="VALID", rhs_dilation=(2, 2)).shape == (20, 0, 0, 4)


SAME = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("x_shape", "platform", "expected"),
    [
        ((16, 8, 8, 15), "cpu", "tiled"),
        ((16, 8, 8, 16), "cpu", "canonical"),
        ((1024, 224, 224, 8), "cpu", "canonical"),  # its taps would not fit
        ((16, 8, 8, 3), "gpu", "xla"),
        ((16, 8, 8, 3), "tpu", "xla"),
    ],
)
def test_choose_lowering(x_shape, platform, expected):
    kernel = (3, 3, x_shape[-1], 8)
    assert choose_lowering(x_shape, kernel, (1, 1), SAME, platform=platform) == expected


def test_choose_lowering_counts_bytes():
    x, kernel = (256, 112, 112, 8), (3, 3, 8, 8)  # 0.9 GiB of taps in float32
    assert choose_lowering(x, kernel, (1, 1), SAME, platform="cpu") == "tiled"
    assert choose_lowering(x, kernel, (1, 1), SAME, platform="cpu", itemsize=8) == "canonical"


def test_choose_lowering_counts_groups_and_gaps():
    """Groups are fast as tiles, and their taps add up; taps that stand apart leave fewer windows."""
    choose = partial(choose_lowering, platform="cpu")
    assert choose((1, 8, 8, 64), (3, 3, 32, 64), (1, 1), SAME, groups=2) == "tiled"
    x, kernel = (64, 112, 112, 64), (3, 3, 1, 64)
    assert choose(x, kernel, (1, 1), SAME) == "tiled"
    assert choose(x, kernel, (1, 1), SAME, groups=64) == "canonical"
    assert choose((16, 5, 5, 1), (3, 3, 1, 1), (1, 1), "VALID", dilation=(2, 2)) == "tiled"
    assert choose((16, 5, 5, 1), (3, 3, 1, 1), (1, 1), "VALID", dilation=(3, 2)) == "xla"  # nothing fits


def test_unknown_and_unfit_lowerings_are_refused():
    x, kernel = jnp.ones((2, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
    with pytest.raises(ValueError, match="unknown lowering 'tile'; did you mean 'tiled'"):
        convolve(x, kernel, lowering="tile")
    with pytest.raises(ValueError, match=r"'tiled' takes 2-D NHWC .* in 1 group\(s\)\. Leave `lowering` out"):
        convolve(x, kernel, lowering="tiled")
    with pytest.raises(ValueError, match="without input dilation"):
        convolve(x, kernel, feature_group_count=2, lhs_dilation=(2, 1), lowering="canonical")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_strides": (0, 1)}, r"`window_strides` must be at least 1; received \(0, 1\)"),
        ({"rhs_dilation": (0, 1)}, "dilations must be positive"),
        ({"feature_group_count": 3}, "3 does not divide 4"),
        ({"feature_group_count": 2}, r"4 // 2 != 4"),
        ({"feature_group_count": 0}, "positive integer"),
        ({"window_strides": (1,)}, "same number of dimensions"),
        ({"padding": [(1, 1)]}, "expected 2, got 1"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        convolve(jnp.ones((2, 6, 6, 4)), jnp.ones((3, 3, 4, 4)), **changes)


@pytest.mark.parametrize("batch", [2, 20])
def test_dtypes_are_not_mixed(batch):
    with pytest.raises(TypeError, match="same dtypes"):
        convolve(jnp.ones((batch, 6, 6, 4), jnp.bfloat16), jnp.ones((3, 3, 4, 4)))


def test_the_default_is_the_choice():
    """On the CPU of the tests: a matrix product for few channels, a convolution for many."""
    primitives = lambda c: str(jax.make_jaxpr(convolve)(jnp.ones((16, 8, 8, c)), jnp.ones((3, 3, c, 2))))
    assert "dot_general" in primitives(15)
    assert "conv_general_dilated" not in primitives(15)
    assert "conv_general_dilated" in primitives(16)
    depthwise = partial(convolve, feature_group_count=2)
    assert "dot_general" in str(jax.make_jaxpr(depthwise)(jnp.ones((1, 8, 8, 2)), jnp.ones((3, 3, 1, 2))))
