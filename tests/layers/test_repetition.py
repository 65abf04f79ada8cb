"""`repeat` is the chain of as many layers, forwards and backwards, as one loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers import BatchNorm, Dense, LayerModel, Tanh, chain, repeat

COVERS = {"layers.repeat"}


@pytest.mark.full
def test_is_the_chain_of_its_layers_with_their_parameters():
    block, times = chain(Dense(4), BatchNorm(), Tanh()), 3
    x, dy = (jax.random.normal(jax.random.key(i), (5, 4)) for i in (0, 1))
    looped, chained = repeat(block, times), chain(*[block] * times)
    params, state = looped.init(jax.random.key(2), x), looped.init_state(x)
    part = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)
    own = lambda tree: {str(i): part(tree, i) for i in range(times)}
    together = lambda tree: jax.tree.map(lambda *leaves: jnp.stack(leaves), *tree.values())
    assert len({float(p["0"]["kernel"][0, 0]) for p in own(params).values()}) == times
    y, residuals = looped.forward(params, x, state=state, train=True)
    expected, kept = chained.forward(own(params), x, state=own(state), train=True)
    dparams, dx = looped.backward(residuals, dy)
    dexpected, dx_expected = chained.backward(kept, dy)
    told = y, dparams, dx, looped.advance(state, residuals)
    reference = expected, together(dexpected), dx_expected, together(chained.advance(own(state), kept))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), told, reference)


def test_is_part_of_a_model_with_state():
    model, x = LayerModel(chain(repeat(BatchNorm(), 2), Dense(3))), jnp.ones((4, 2))
    variables = model.init({"params": jax.random.key(0)}, x)
    assert variables["state"]["0"].mean.shape == (2, 2)
    y, changed = model.apply(variables, x, train=True, mutable=["state"])
    assert y.shape == (4, 3)
    assert float(changed["state"]["0"].mean[0, 0]) == pytest.approx(0.1)


def test_refuses_to_repeat_nothing():
    with pytest.raises(ValueError, match="`times` must be at least 1; received 0"):
        repeat(Dense(4), 0)
