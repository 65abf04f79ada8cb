"""AdaGrad, RMSProp, Rprop and `leafwise` where their references have nothing to say, or say NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.optimizers.adagrad_family import adagrad, rmsprop
from jaxnn.optimizers.leafwise_update import filled_like, leafwise
from jaxnn.optimizers.sign_methods import rprop, sign_sgd

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def walk(optimizer, grads):
    """All updates, for gradients that do not depend on the parameters."""
    state, updates = optimizer.init(grads[0]), []
    for g in grads:
        u, state = optimizer.update(g, state)
        updates.append(np.asarray(u))
    return np.stack(updates), state


@pytest.mark.parametrize("eps_in_sqrt", [True, False])
def test_adagrad_does_not_move_what_has_had_no_gradient(eps_in_sqrt):
    optimizer = adagrad(0.1, initial_accumulator_value=0.0, eps=0.0, eps_in_sqrt=eps_in_sqrt)
    updates, state = walk(optimizer, [jnp.asarray([0.0, 2.0])] * 2)
    np.testing.assert_allclose(updates, [[0, -0.1], [0, -0.1 / np.sqrt(2)]], rtol=1e-6)
    assert state.G.tolist() == [0.0, 8.0]


def test_a_centered_rmsprop_stays_finite_when_the_gradient_does_not_vary():
    """v - m^2 is then nothing but rounding, of either sign; it counts as 0."""
    optimizer = rmsprop(0.1, decay=0.9, eps=1e-3, eps_in_sqrt=False, centered=True)
    updates, _ = walk(optimizer, [jnp.linspace(0.1, 3.0, 50)] * 300)
    assert np.isfinite(updates).all()


def test_rprop_by_hand():
    """Grows while the sign stays; halves, and waits one step, when it changes; then goes on."""
    grads = [jnp.asarray([g]) for g in (1.0, 1.0, -1.0, -1.0, -1.0, 0.0)]
    updates, state = walk(rprop(0.1), grads)
    np.testing.assert_allclose(updates[:, 0], [-0.1, -0.12, 0, 0.06, 0.072, 0], rtol=1e-6)
    back, _ = walk(rprop(0.1, backtracking=True), grads)
    np.testing.assert_allclose(back[:, 0], [-0.1, -0.12, 0.12, 0.06, 0.072, 0], rtol=1e-6)
    assert state.g.tolist() == [0.0]


def test_rprop_keeps_to_its_bounds():
    sizes = [walk(rprop(0.1, min_step_size=0.04, max_step_size=0.15), [jnp.ones(1) * s for s in signs])[1].delta
             for signs in ((1, 1, 1, 1), (1, -1, 1, -1, 1, -1))]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(sizes), [0.15, 0.04], rtol=1e-6)


def test_signs_of_nothing_are_nothing():
    assert walk(sign_sgd(0.1), [jnp.asarray([0.0, -0.0])])[0].tolist() == [[0.0, 0.0]]


def test_a_slot_that_is_none_stays_none_and_what_is_given_is_not_returned():
    grads = {"w": jnp.ones(2), "n": jnp.arange(2), "frozen": None}
    params = {"w": jnp.full(2, 3.0), "n": jnp.arange(2), "frozen": None}

    def equation(g, m, v, w):
        assert m is None
        return -g * w, None, v + g

    updates, m, v = leafwise(equation, grads, None, filled_like(grads, 0.5), given=(params,))
    assert updates["w"].tolist() == [-3.0, -3.0]
    assert m is None
    assert v["w"].tolist() == [1.5, 1.5]
    assert updates["n"].tolist() == [0, 0]
    assert updates["frozen"] is None


def test_what_is_given_is_widened_too():
    seen = []
    leafwise(
        lambda g, w: (seen.append((g.dtype, w.dtype)), (g,))[1],
        jnp.ones(1, "float16"),
        given=(jnp.ones(1, "bfloat16"),),
    )
    assert seen == [(jnp.float32, jnp.float32)]


def test_filled_like_leaves_the_dtype_of_integers():
    filled = filled_like({"w": jnp.ones(2, "bfloat16"), "n": jnp.ones(2, "int32")}, 0.0, dtype="float32")
    assert jax.tree.map(lambda x: str(x.dtype), filled) == {"w": "float32", "n": "int32"}
