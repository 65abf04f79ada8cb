"""Where decay stands, what it spares, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adam, sgd
from jaxnn.optimizers.chaining import chain, scale
from jaxnn.optimizers.weight_decay import add_decayed_weights
from jaxnn.parameter_paths import WEIGHTS
from jaxnn.schedules import linear

PARAMS = {"conv": {"kernel": jnp.full(2, 2.0), "bias": jnp.full(2, 4.0)}, "norm": {"scale": jnp.full(1, 6.0)}}
ZERO = jax.tree.map(jnp.zeros_like, PARAMS)


def decayed(mask, weight_decay=0.5):
    decay = add_decayed_weights(weight_decay, mask)
    return jax.tree.map(float, jax.tree.map(jnp.max, decay.update(ZERO, decay.init(PARAMS), PARAMS)[0]))


@pytest.mark.parametrize(
    ("mask", "kernel", "bias", "scale"),
    [
        (None, 1.0, 2.0, 3.0),
        ("kernel", 1.0, 0.0, 0.0),
        (WEIGHTS, 1.0, 0.0, 0.0),
        (("bias", "norm/*"), 0.0, 2.0, 3.0),
        ({"conv": True, "norm": False}, 1.0, 2.0, 0.0),
        ({"conv": {"kernel": False, "bias": True}, "norm": {"scale": True}}, 0.0, 2.0, 3.0),
        (lambda params: jax.tree.map(lambda p: p.size > 1, params), 1.0, 2.0, 0.0),
    ],
)
def test_masks(mask, kernel, bias, scale):
    assert decayed(mask) == {"conv": {"kernel": kernel, "bias": bias}, "norm": {"scale": scale}}


def test_a_tree_or_function_mask_is_optaxs():
    for mask in ({"conv": True, "norm": False}, lambda params: jax.tree.map(lambda p: p.size > 1, params)):
        theirs = optax.add_decayed_weights(0.5, mask)
        assert decayed(mask) == jax.tree.map(
            lambda x: float(x.max()), theirs.update(ZERO, theirs.init(PARAMS), PARAMS)[0]
        )


def test_a_schedule_counts_its_own_steps():
    decay = add_decayed_weights(linear(1.0, 0.0, steps=4))
    state, seen = decay.init(jnp.ones(1)), []
    for _ in range(3):
        updates, state = decay.update(jnp.zeros(1), state, jnp.ones(1))
        seen.append(float(updates[0]))
    assert seen == [1.0, 0.75, 0.5]
    assert add_decayed_weights(0.1).init(jnp.ones(1)) == ()


def test_decoupled_decay_pulls_every_weight_alike_and_coupled_does_not():
    """Adam divides a coupled penalty by the gradient's size: where gradients are large the decay is all but lost."""
    params, grads = jnp.array([1.0, 1.0]), jnp.array([100.0, 0.01])
    pull = lambda make: make(0.1)[0] - make(0.0)[0]

    def coupled(decay):
        optimizer = chain(add_decayed_weights(decay), adam(0.1))
        return optimizer.update(grads, optimizer.init(params), params)

    def decoupled(decay):
        optimizer = chain(adam(1.0), scale(-1.0), add_decayed_weights(decay), scale(-0.1))
        return optimizer.update(grads, optimizer.init(params), params)

    np.testing.assert_allclose(pull(decoupled), [-0.01, -0.01], rtol=1e-4)
    assert abs(float(pull(coupled)[0])) < 1e-6


def test_for_gradient_descent_both_are_the_same():
    before = chain(add_decayed_weights(0.3), sgd(0.1))
    behind = chain(add_decayed_weights(0.3), scale(-0.1))
    g, w = jnp.array([1.0, -2.0]), jnp.array([3.0, 4.0])
    assert_close(before.update(g, before.init(w), w)[0], behind.update(g, behind.init(w), w)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: add_decayed_weights(-0.1), "`weight_decay` must be finite and at least 0; received -0.1"),
        (lambda: add_decayed_weights(float("nan")), "`weight_decay` must be finite and at least 0; received nan"),
        (lambda: add_decayed_weights(0.1, "kernal").init(PARAMS), "Did you mean 'kernel'"),
        (lambda: add_decayed_weights(0.1, {"conv": True}).init(PARAMS), "`mask` must be .* have the structure of"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
