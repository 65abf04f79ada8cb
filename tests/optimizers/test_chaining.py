"""What the rows do not say of chains: extra arguments, order, errors, schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adam, sgd
from jaxnn.optimizers.chaining import chain, identity, scale, scale_by_learning_rate
from jaxnn.optimizers.gradient_clipping import clip
from jaxnn.optimizers.gradient_transformation import GradientTransformation
from jaxnn.schedules import linear

COVERS = {"optimizers.GradientTransformation"}


def test_links_act_in_the_given_order_and_see_the_same_parameters():
    g, w = jnp.array([5.0]), jnp.array([7.0])
    seen = GradientTransformation(lambda params: (), lambda g, state, params=None, **extra: (g + params, state))
    assert float(chain(clip(1.0), scale(3.0)).update(g, ((), ()))[0][0]) == 3.0
    assert float(chain(scale(3.0), clip(1.0)).update(g, ((), ()))[0][0]) == 1.0
    assert float(chain(scale(0.0), seen, seen).update(g, ((), (), ()), w)[0][0]) == 14.0


def test_each_link_gets_the_extra_arguments_that_it_takes():
    """Optax's plain links take none, `polyak_sgd` needs `value`, a signature may name one."""
    named = GradientTransformation(lambda params: (), lambda g, state, params, factor: (factor * g, state))
    both = chain(optax.scale(0.5), named, optax.polyak_sgd())
    theirs = optax.chain(optax.scale(0.5), optax.scale(3.0), optax.polyak_sgd())
    g = jnp.array([1.0, 2.0])
    assert_close(
        both.update(g, both.init(g), g, value=0.3, factor=3.0, unheard_of=1)[0],
        theirs.update(g, theirs.init(g), g, value=0.3)[0],
    )


def test_a_chain_is_a_link():
    once, nested = chain(clip(0.1), scale(2.0), adam(0.1)), chain(chain(clip(0.1)), chain(scale(2.0), adam(0.1)))
    g = jnp.array([3.0, -0.01])
    a, b = (t.update(g, t.init(g), g) for t in (once, nested))
    assert_close(a[0], b[0])
    assert jax.tree.structure(a[1]) == jax.tree.structure(((), (), adam(0.1).init(g)))


def test_an_empty_chain_is_the_identity():
    g = {"w": jnp.ones(2)}
    assert chain().update(g, ())[0] is g
    assert identity().update(g, ())[0] is g


def test_the_learning_rate_follows_its_schedule_from_step_0():
    ours, theirs = (f(linear(1.0, 0.0, steps=4)) for f in (scale_by_learning_rate, optax.scale_by_learning_rate))
    states = [t.init(jnp.ones(1)) for t in (ours, theirs)]
    for expected in (-1.0, -0.75, -0.5):
        (a, first), (b, second) = (t.update(jnp.ones(1), s) for t, s in zip((ours, theirs), states, strict=True))
        states = first, second
        assert float(a[0]) == float(b[0]) == expected
    assert float(scale_by_learning_rate(0.5, flip_sign=False).update(jnp.ones(1), ())[0][0]) == 0.5


def test_bfloat16_is_scaled_by_the_exact_number():
    updates = scale(1.0 + 2**-10).update(jnp.full(1, 256.0, jnp.bfloat16), ())[0]
    assert updates.dtype == jnp.bfloat16
    np.testing.assert_array_equal(updates, 256.0)
    assert float(scale(1 / 3).update(jnp.full(1, 3.0, jnp.bfloat16), ())[0][0]) == 1.0  # bfloat16(1/3) 3 = 1.004


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chain(clip(1.0), sgd), r"`transformations\[1\]` must be .* function sgd. Did you forget to call it"),
        (lambda: chain(None), r"`transformations\[0\]` must be a pair \(init, update\); received NoneType None"),
        (lambda: chain(clip(1.0), sgd(0.1)).update(jnp.ones(1), ((),)), "state of a chain of 2 must be a tuple"),
        (lambda: chain(sgd(0.1)).update(jnp.ones(1), sgd(0.1).init(jnp.ones(1))), "Was it made by this chain's `init`"),
        (lambda: scale_by_learning_rate(-0.1), "`learning_rate` must be greater than 0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
