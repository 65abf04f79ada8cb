"""Elementwise layers, maxout, and what joins branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import activations
from jaxnn.layers.activation_layers import OUTPUT_DERIVATIVES, LeakyReLU, ReLU
from jaxnn.layers.maxout_units import Maxout, maxout_dense
from jaxnn.layers.merging_layers import Add, Concatenate

COVERS = {"layers.Add", "layers.Concatenate"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


@pytest.mark.parametrize("name", OUTPUT_DERIVATIVES)
def test_the_table_of_derivatives_is_right(name, x64):
    f, x = getattr(activations, name), jnp.linspace(-3, 3, 50)
    assert_close(OUTPUT_DERIVATIVES[name](f(x)) * 1.0, jax.vmap(jax.grad(f))(x), rtol=1e-10)


def test_relu_is_flat_at_its_kink():
    _, residuals = ReLU().forward((), jnp.array([-1.0, 0.0, 2.0]))
    assert ReLU().backward(residuals, jnp.ones(3))[1].tolist() == [0, 0, 1]


def test_a_leak_must_not_turn_the_sign():
    with pytest.raises(ValueError, match=r"`negative_slope` must be at least 0; received -0\.1"):
        LeakyReLU(-0.1)


@pytest.mark.parametrize(
    ("layer", "plain", "shapes"),
    [
        (Add(), lambda x: x[0] + x[1] + x[2], [(4, 3)] * 3),
        (Concatenate(), lambda x: jnp.concatenate(x, -1), [(4, 3), (4, 1), (4, 2)]),
        (Concatenate(axis=1), lambda x: jnp.concatenate(x, 1), [(4, 3, 2), (4, 1, 2)]),
    ],
    ids=["Add", "Concatenate", "Concatenate, axis 1"],
)
def test_branches_join_forward_and_part_backward(layer, plain, shapes, x64):
    rng = np.random.default_rng(0)
    x = tuple(jnp.asarray(rng.normal(size=shape)) for shape in shapes)
    expected, pull = jax.vjp(plain, x)
    dy = jnp.asarray(rng.normal(size=expected.shape))

    @jax.jit
    def both(x, dy):
        y, residuals = layer.forward((), x)
        return y, layer.backward(residuals, dy)

    y, (dparams, dx) = both(x, dy)
    assert dparams == ()
    assert isinstance(dx, tuple)
    assert_close((y, *dx), (expected, *pull(dy)[0]))


def test_branches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"must have one shape; received \[\(2, 3\), \(2, 1\)\]"):
        Add().forward((), (jnp.zeros((2, 3)), jnp.zeros((2, 1))))
    with pytest.raises(ValueError, match=r"may differ along axis -1 only; received shapes \[\(2, 3\), \(4, 3\)\]"):
        Concatenate().forward((), (jnp.zeros((2, 3)), jnp.zeros((4, 3))))


def test_maxout_is_the_activation_after_a_dense_layer(x64):
    rng = np.random.default_rng(0)
    x, params = rng.normal(size=(5, 3)), {"kernel": rng.normal(size=(3, 8)), "bias": rng.normal(size=8)}
    expected = activations.maxout(jnp.asarray(x @ params["kernel"] + params["bias"]), pieces=2)
    assert_close(maxout_dense(params, jnp.asarray(x), pieces=2), expected)


def test_the_first_of_equal_pieces_takes_the_whole_gradient():
    params = {"kernel": jnp.ones((1, 3)), "bias": jnp.zeros(3)}
    gradient = jax.grad(lambda params: maxout_dense(params, jnp.ones((1, 1)), pieces=3).sum())(params)
    assert gradient["kernel"].tolist() == [[1, 0, 0]]


def test_maxout_initializes_as_many_sums_as_pieces():
    params = Maxout(4, pieces=3).init(jax.random.key(0), jnp.ones((2, 5)))
    assert jax.tree.map(jnp.shape, params) == {"kernel": (5, 12), "bias": (12,)}
