"""Hyperparameters out of their range are refused where they can be seen; traced ones pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.optimizers import adam, adjustable, sgd
from jaxnn.schedules import constant


@pytest.mark.parametrize("factory", [sgd, adam, adjustable(sgd), adjustable(adam)])
@pytest.mark.parametrize("learning_rate", [0, -0.1, float("nan"), float("inf"), np.float32(-1)])
def test_learning_rates_out_of_range(factory, learning_rate):
    with pytest.raises(ValueError, match="`learning_rate` must be greater than 0 and less than inf"):
        factory(learning_rate=learning_rate)


@pytest.mark.parametrize(("factory", "name"), [(sgd, "momentum"), (adam, "b1"), (adam, "b2")])
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan")])
def test_decays_out_of_range(factory, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0 and less than 1"):
        factory(learning_rate=0.1, **{name: value})


def test_zero_momentum_schedules_and_traced_rates_pass():
    sgd(0.1, momentum=0)
    sgd(constant(0.1))
    grads = jnp.ones(2)

    def updates(rate):
        optimizer = adam(rate)
        return optimizer.update(grads, optimizer.init(grads))[0]

    assert jax.jit(updates)(-1.0).shape == (2,)
