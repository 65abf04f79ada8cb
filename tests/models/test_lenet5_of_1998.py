import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.models import LeNet1998
from jaxnn.models.lenet5_of_1998 import C3_CONNECTIONS, prototypes

CONNECTED = np.array([[mark == "X" for mark in row] for row in C3_CONNECTIONS])


def test_connections_are_those_of_table_1():
    assert CONNECTED.shape == (6, 16)
    assert CONNECTED.sum() == 60
    assert CONNECTED.sum(axis=0).tolist() == [3] * 6 + [4] * 9 + [6]  # maps seen by each of C3
    assert CONNECTED.sum(axis=1).tolist() == [10] * 6  # maps of C3 that see each of S2


def test_connections_are_contiguous_then_not():
    """Columns 0 to 5 see 3 neighbours, 6 to 11 see 4, 12 to 14 see two pairs, column 15 sees all (indices modulo 6)."""
    seen = [set(np.flatnonzero(column)) for column in CONNECTED.T]
    assert seen[:6] == [{i % 6, (i + 1) % 6, (i + 2) % 6} for i in range(6)]
    assert seen[6:12] == [{(i + j) % 6 for j in range(4)} for i in range(6)]
    assert seen[12:15] == [{i, i + 1, i + 3, (i + 4) % 6} for i in range(3)]
    assert seen[15] == set(range(6))


@pytest.mark.full
def test_unconnected_maps_have_no_influence():
    """A gradient of one map of C3 with respect to S2 is zero just where Table I has no mark."""
    from jaxnn.models.lenet5_of_1998 import PartialConvolution

    layer, x = PartialConvolution(C3_CONNECTIONS), jnp.ones((1, 5, 5, 6))
    variables = layer.init(jax.random.key(0), x)
    jacobian = jax.jacrev(lambda x: layer.apply(variables, x)[0, 0, 0])(x)  # (16, 1, 5, 5, 6)
    np.testing.assert_array_equal((jacobian != 0).all(axis=(1, 2, 3)), CONNECTED.T)
    np.testing.assert_array_equal((jacobian != 0).any(axis=(1, 2, 3)), CONNECTED.T)


@pytest.fixture(scope="module")
def variables():
    """The initial ones."""
    return jax.jit(LeNet1998().init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))


@pytest.mark.parametrize("layer", ["C1", "C3", "C5", "F6"])
def test_weights_start_uniform_within_2_4_of_the_fan_in(layer, variables):
    kernel = variables["params"][layer]["kernel"]
    fan_in = {"C1": 25, "C3": 25 * CONNECTED.sum(axis=0)[np.nonzero(CONNECTED)[1]], "C5": 400, "F6": 120}[layer]
    relative = np.abs(kernel) * fan_in / 2.4
    assert 0.95 < relative.max() <= 1.0 + 1e-6
    assert 0.4 < relative.mean() < 0.6


def test_prototypes_are_seven_by_twelve_pictures_and_far_apart():
    pictures = prototypes()
    assert pictures.shape == (10, 84)
    assert set(np.unique(pictures)) == {-1.0, 1.0}
    distances = (pictures[:, None] != pictures[None]).sum(axis=-1)
    assert (distances + 84 * np.eye(10) >= 8).all()


def test_a_prototype_is_its_own_class(variables):
    """F6 at a prototype: the logit of that class is 0, all others are far below."""
    apply, x = jax.jit(LeNet1998().apply), jnp.zeros((1, 32, 32, 1))
    for digit in range(10):
        at_digit = jax.tree.map(jnp.zeros_like, variables)
        at_digit["params"]["F6"]["bias"] = jnp.arctanh(jnp.asarray(prototypes()[digit]) / 1.7159) * 3 / 2
        logits = apply(at_digit, x)[0]
        assert logits.argmax() == digit
        np.testing.assert_allclose(logits[digit], 0, atol=1e-8)
        assert sorted(logits)[-2] < -30
