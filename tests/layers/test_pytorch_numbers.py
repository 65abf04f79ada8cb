"""PyTorch's numbers, as PyTorch 2.13 computed them in float64: `img` and others are rounded sines and cosines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import layers
from jaxnn.layers.hand_written import run

IMAGE = np.array([8, 9, 1, -8, -10, -3, 7, 10, 4, -5, -10, -5.0])  # (10 * sin(1..12)).round()
MODES = {  # nn.Conv2d(1, 1, (2, 3), padding=1, padding_mode=..., bias=False): y, dx, dweight for dy = 1, 2, ..., 16
    "reflect": (
        [-7, 3.5, 44.5, 17, 8, -20.5, -6.5, -4, -23, 6.5, -9, 7.5, 0, -41.5, -45.5, 2],
        [22.5, 30, 9.5, 5, 101, 132, 11, -14, 74.5, 90, 13.5, 1],
        [-160, -89, -131, -276, -33, 145],
    ),
    "edge": (  # "replicate"
        [25, 51.5, 62.5, 8, -14, -20.5, -6.5, -1, -3, 6.5, -9, -5.5, 41, 33.5, -30, -37.5],
        [35.5, 28, 33.5, -10, 72.5, 36, 39.5, -25, 202, 76, 81, -93],
        [-52, -137, -201, -246, -374, -488],
    ),
    "wrap": (  # "circular"
        [-30, 30.5, 23.5, -41, 30, -20.5, -6.5, 23, -10, 6.5, -9, -3.5, -30, 30.5, 23.5, -41],
        [23, 48, 53, 30, 20.5, 36, 39.5, 27, 34.5, 56, 61.5, 47],
        [-176, -190, -148, 43, -9, 23],
    ),
}
POOLED = {  # y, dx for dy = 1, 2, ...
    "adaptive_avg_pool2d(img, (2, 3))": (
        layers.AdaptiveAveragePool((2, 3)),
        [1, 3.5, 2.5, -3.5, -2.75, 0.5],
        [0.25, 0.75, 1.25, 0.75, 1.25, 3, 4, 2.25, 1, 2.25, 2.75, 1.5],
    ),
    "adaptive_max_pool2d(img, (2, 3))": (
        layers.AdaptiveMaxPool((2, 3)),
        [9, 9, 10, 4, 7, 10],
        [0, 3, 0, 0, 0, 0, 5, 9, 4, 0, 0, 0],
    ),
    "max_pool2d(img, 2, stride=1, padding=1, dilation=(1, 2))": (
        layers.MaxPool((2, 2), strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 2)),
        [9, 8, 9, 1, 9, 8, 10, 7, -3, 7, 10, 7, -5, 4, -5, -10],
        [8, 9, 4, 0, 0, 9, 30, 18, 14, 28, 16, 0],
    ),
}


def rounded(f, n):
    return (f(np.arange(1.0, n + 1)) * 10).round()


def counting(y):
    return jnp.arange(1.0, y.size + 1).reshape(y.shape)


def test_padding_modes_and_pooling(x64):
    image = jnp.asarray(IMAGE).reshape(1, 3, 4, 1)
    kernel = jnp.array([1, 2, -1, 3, 0.5, -2]).reshape(2, 3, 1, 1)
    make = lambda mode: layers.Convolution(1, (2, 3), padding=((1, 1),) * 2, padding_mode=mode, use_bias=False)
    convolutions = {mode: make(mode) for mode in MODES}

    @jax.jit
    def all_of(image, kernel):
        results = []
        for layer in (*convolutions.values(), *(layer for layer, *_ in POOLED.values())):
            params = {"kernel": kernel} if layer in convolutions.values() else ()
            y, residuals = layer.forward(params, image)
            dparams, dx = layer.backward(residuals, counting(y))
            results.append([leaf.ravel() for leaf in (y, dx, *jax.tree.leaves(dparams))])
        return results

    expected = [*MODES.values(), *(numbers for _, *numbers in POOLED.values())]
    assert_close(all_of(image, kernel), [[np.array(part, float) for part in parts] for parts in expected])


@pytest.mark.full
def test_transposed_convolution_in_groups_with_dilation(x64):
    """F.conv_transpose2d(x, w, stride=(2, 1), dilation=(3, 1), groups=2, padding=(1, 0), output_padding=(1, 0))."""
    x = rounded(np.sin, 8).reshape(1, 4, 2, 1).transpose(0, 2, 3, 1)
    w = rounded(np.cos, 16).reshape(2, 2, 2, 2, 1)  # (groups, in / groups, out / groups, height, width)
    kernel = w[..., ::-1, ::-1].transpose(3, 4, 1, 0, 2).reshape(2, 1, 2, 4)
    extent = (4, 1)
    pads = ((extent[0] - 1 - 1, extent[0] - 1 - 1 + 1), (0, 0))
    form = {"strides": (2, 1), "dilation": (3, 1), "groups": 2, "padding": pads}
    y = layers.convolve_transposed(jnp.asarray(x), jnp.asarray(kernel), **form)
    expected = [0, 21, -22, 0, -116, 0, -154, -57, 0, -55, 0, 117, 87, 0, 34, 0, -80, -150, 0, -124]
    assert_close(y.transpose(0, 3, 1, 2).ravel(), np.array(expected, float))


@pytest.mark.full
def test_transposed_convolution_of_sequences_and_volumes(x64):
    x = jnp.asarray(rounded(np.sin, 8).reshape(1, 2, 4).transpose(0, 2, 1))
    kernel = jnp.asarray(rounded(np.cos, 12).reshape(2, 2, 3).transpose(2, 0, 1)[::-1])
    layer = layers.TransposedConvolution(2, (3,), strides=(2,), padding=((1, 2),), use_bias=False)
    y, _ = layer.forward({"kernel": kernel}, x)  # F.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1)
    expected = [-22, 31, -33, -2, -11, -33, 22, -10, 24, -39, 27, 3, 3, 42, -24, 0]
    assert_close(y[0].T.ravel(), np.array(expected, float))

    x = jnp.asarray(rounded(np.sin, 8).reshape(1, 2, 2, 2, 1))
    kernel = jnp.asarray(rounded(np.cos, 8).reshape(2, 2, 2, 1, 1)[::-1, ::-1, ::-1])
    form = {"strides": (2, 1, 1), "padding": ((1, 1), (0, 0), (0, 0))}
    layer = layers.TransposedConvolution(1, (2, 2, 2), **form, use_bias=False)
    y, _ = layer.forward({"kernel": kernel}, x)  # F.conv_transpose3d(x, w, stride=(2, 1, 1), padding=(0, 1, 1))
    assert_close(y.ravel(), np.array([-190, 50, 122, 86.0]))


@pytest.mark.full
def test_sequences_and_volumes(x64):
    x = jnp.asarray(rounded(np.sin, 10).reshape(1, 2, 5).transpose(0, 2, 1))
    kernel = jnp.asarray(rounded(np.cos, 12).reshape(2, 2, 3).transpose(2, 1, 0))
    layer = layers.Convolution(2, (3,), strides=(2,), padding=((1, 1),), use_bias=False)
    y, _ = layer.forward({"kernel": kernel}, x)  # F.conv1d(x, w, stride=2, padding=1)
    assert_close(y[0].T.ravel(), np.array([-61, 142, -43, -33, 119, -86.0]))
    y = layers.average_pool(x, (3,), strides=(2,), padding=((1, 1),))  # F.avg_pool1d(x, 3, stride=2, padding=1)
    assert_close(y[0].T.ravel() * 3, np.array([17, 2, -18, 4, 21, -1.0]))

    x = jnp.asarray(rounded(np.sin, 12).reshape(1, 2, 2, 3, 1))
    kernel = jnp.asarray(rounded(np.cos, 8).reshape(2, 2, 2, 1, 1))
    layer = layers.Convolution(1, (2, 2, 2), padding=((1, 1), (0, 0), (0, 0)), use_bias=False)
    y, _ = layer.forward({"kernel": kernel}, x)  # F.conv3d(x, w, padding=(1, 0, 0))
    assert_close(y.ravel(), np.array([60, -40, 245, 157, 115, 169.0]))
    y = layers.max_pool(x, (2, 1, 2), strides=(1, 1, 1))  # F.max_pool3d(x, (2, 1, 2), stride=1)
    assert_close(y.ravel(), np.array([10, 10, -5, -3.0]))


@pytest.mark.full
@pytest.mark.parametrize(
    ("decay", "mean", "var", "y"),
    [
        (
            0.9,  # momentum=0.1
            [0.644, 0.5903333333333335],
            [7.762, 1.9913333333333336],
            [0.12778000447754098, 0.9989490959719756, 0.8456451981715919],
        ),
        (
            None,  # momentum=None
            [2.666666666666667, 2.4444444444444446],
            [26.0, 4.666666666666668],
            [-0.3268601623725893, -0.2057375795164531, 0.06537203247451773],
        ),
    ],
)
def test_running_statistics(decay, mean, var, y, x64):
    """nn.BatchNorm1d(2, momentum=...) after three batches, x, 2x and -x; then `eval()` on x."""
    layer, x = layers.BatchNorm(decay=decay, unbiased=True), jnp.array([[1.0, 2.0], [3.0, 5.0], [8.0, 4.0]])
    params, state = layer.init(jax.random.key(0), x), layer.init_state(x)
    for batch in (x, 2 * x, -x):
        state = layer.advance(state, run(layer, params, batch, state=state, train=True)[1])
    assert_close([*state[:2]], [np.array(mean), np.array(var)], rtol=1e-12)
    assert_close(run(layer, params, x, state=state)[0].ravel()[:3], np.array(y), rtol=1e-12)
    again = layer.advance(state, run(layer, params, x, state=state)[1])
    assert_close(again, state)  # test mode teaches nothing
