"""Convolution as a layer of a network: Flax's parameters and results, and what its constructor refuses."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.layers.convolution_layers import Convolution

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def random_arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


FORMS = [
    {"strides": (2, 1), "padding": "VALID"},
    {"dilation": (2, 1), "padding": ((1, 2), (0, 1))},
    {"groups": 2},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_layer_is_that_of_flax(form, x64):
    (x,) = random_arrays((3, 7, 6, 4))
    renamed = {"dilation": "kernel_dilation", "groups": "feature_group_count"}
    theirs = nn.Conv(6, (3, 2), param_dtype=x.dtype, **{renamed.get(name, name): value for name, value in form.items()})
    ours = Convolution(6, (3, 2), **form)
    shapes = jax.eval_shape(lambda: theirs.init(jax.random.key(0), x)["params"])
    assert jax.eval_shape(lambda: ours.init(jax.random.key(0), x)) == shapes
    kernel, bias = random_arrays(shapes["kernel"].shape, shapes["bias"].shape)
    params = {"kernel": kernel, "bias": bias}
    assert_close(jax.jit(ours.forward)(params, x)[0], jax.jit(theirs.apply)({"params": params}, x))


def test_depthwise_layer_draws_from_its_own_fan_in():
    kernel = Convolution(64, (3, 3), groups=64).init(jax.random.key(0), jnp.ones((1, 5, 5, 64)))["kernel"]
    assert kernel.shape == (3, 3, 1, 64)
    assert 0.3 < abs(kernel).max() <= 1 / 3  # nine inputs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolution(6, (3, 3), strides=2), r"`strides` must be two .* received 2. Did you mean \(2, 2\)\?"),
        (lambda: Convolution(6, (3, 0)), r"`window` must be two whole numbers of at least 1, .* received \(3, 0\)"),
        (lambda: Convolution(6, (3, 3), strides=(0, 1)), r"`strides` must be .* at least 1, .* received \(0, 1\)"),
        (lambda: Convolution(6, (3, 3), dilation=(1, 1.5)), r"`dilation` must be .* received \(1, 1.5\)"),
        (lambda: Convolution(6, (3, 3), padding="SAM"), "unknown padding 'SAM'; did you mean 'SAME'"),
        (lambda: Convolution(6, (3, 3), padding=1), r"`padding` must be one of SAME, .* received 1"),
        (lambda: Convolution(6, (3, 3), padding=(1, 1)), r"`padding` must be one of SAME, .* received \(1, 1\)"),
        (lambda: Convolution(6, (3, 3), padding=((1, 1), (2,))), r"`padding` must be one of SAME, .* \(2,\)\)"),
        (lambda: Convolution(6, (3, 3), groups=4), "`groups` must divide `features`; received 4 groups of 6 features"),
        (lambda: Convolution(0, (3, 3)), "`features` must be at least 1; received 0"),
    ],
)
def test_layer_refuses_bad_sizes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_layer_refuses_images_that_do_not_fit():
    layer = Convolution(6, (3, 3), groups=2)
    with pytest.raises(ValueError, match=r"multiple of the 2 group\(s\); received \(1, 8, 8, 3\)"):
        layer.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
    params = layer.init(jax.random.key(0), jnp.ones((1, 8, 8, 4)))
    with pytest.raises(ValueError, match=r"\(batch, height, width, channels\) .* received \(8, 8, 4\)"):
        layer.forward(params, jnp.ones((8, 8, 4)))
    with pytest.raises(ValueError, match=r"`kernel` must have shape \(3, 3, 3, 6\) .* received \(3, 3, 2, 6\)"):
        layer.forward(params, jnp.ones((1, 8, 8, 6)))
