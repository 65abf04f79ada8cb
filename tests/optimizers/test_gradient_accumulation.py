"""One update from the mean of several gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn.optimizers import adam, adjustable, sgd
from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters
from jaxnn.optimizers.gradient_accumulation import accumulate
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.optimizers.weight_decay import add_decayed_weights
from jaxnn.schedules import linear


def run(optimizer, grads, params):
    """All updates, and the last state, in one scan."""

    def step(carry, g):
        params, state = carry
        updates, state = optimizer.update(g, state, params)
        return (apply_updates(params, updates), state), updates

    (_, state), updates = jax.jit(lambda: jax.lax.scan(step, (params, optimizer.init(params)), grads))()
    return updates, state


@pytest.mark.full
@given(st.integers(1, 4))
def test_is_the_update_of_the_large_batch(steps):
    rng = np.random.default_rng(steps)
    x, w = jnp.asarray(rng.normal(size=(3, steps, 5, 2)), jnp.float32), jnp.array([0.3, -0.7])
    gradient = jax.grad(lambda w, x: jnp.mean(jnp.tanh(x @ w) ** 2))

    def walk(optimizer, batches):
        def step(carry, x):
            w, state = carry
            updates, state = optimizer.update(gradient(w, x), state, w)
            return (w + updates, state), None

        return jax.lax.scan(step, (w, optimizer.init(w)), batches)[0][0]

    small = walk(accumulate(adam(0.1), steps=steps), x.reshape(3 * steps, 5, 2))
    assert_close(small, walk(adam(0.1), x.reshape(3, steps * 5, 2)))


def test_zero_in_between_and_the_inner_state_stands_still():
    optimizer = accumulate(sgd(linear(1.0, 0.0, steps=4)), steps=3)
    updates, state = run(optimizer, jnp.arange(1.0, 8.0), jnp.float32(0.0))
    np.testing.assert_allclose(updates, [0, 0, -2.0, 0, 0, -0.75 * 5.0, 0], rtol=1e-6)
    assert int(state.inner.step) == 2
    assert (int(state.position), float(state.total)) == (1, 7.0)


def test_the_optimizer_runs_only_when_it_is_due():
    """There is a conditional in the program: not both branches and a choice, as a `where` would be."""
    optimizer = accumulate(adam(0.1), steps=3)
    state = optimizer.init(jnp.ones(2))
    assert "cond" in str(jax.make_jaxpr(optimizer.update)(jnp.ones(2), state))


def test_half_precision_is_summed_in_float32():
    """256 + 1 is 256 in bfloat16."""
    grads = jnp.asarray([256.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0], jnp.bfloat16)
    updates, state = run(accumulate(sgd(1.0), steps=8), grads, jnp.bfloat16(0))
    assert updates.dtype == jnp.bfloat16
    assert state.total.dtype == jnp.float32
    assert float(updates[-1]) == -33.0


def test_params_reach_the_optimizer():
    optimizer = accumulate(add_decayed_weights(0.5), steps=2)
    updates, _ = run(optimizer, jnp.zeros((4, 1)), jnp.array([2.0]))
    np.testing.assert_allclose(updates[:, 0], [0, 1.0, 0, 1.5])


def test_the_number_of_steps_may_be_traced(traced_once):
    factory = lambda steps: accumulate(sgd(1.0), steps=steps)
    optimizer = adjustable(factory)(steps=2)
    update = jax.jit(traced_once(lambda g, state: optimizer.update(g, state)))
    state = with_hyperparameters(optimizer.init(jnp.zeros(1)), steps=1)
    updates, state = update(jnp.ones(1), state)
    assert float(updates[0]) == -1.0
    updates, state = update(jnp.ones(1), with_hyperparameters(state, steps=2))
    assert float(updates[0]) == 0.0


def test_integers_and_none_pass():
    params = {"w": jnp.ones(2), "n": jnp.arange(3), "frozen": None}
    grads = jax.grad(lambda p: jnp.sum(p["w"] ** 2), allow_int=True)(params)
    optimizer = accumulate(adam(0.1), steps=1)
    updates, _ = jax.jit(lambda params: optimizer.update(grads, optimizer.init(params), params))(params)
    assert updates["n"].dtype == jax.dtypes.float0
    assert updates["frozen"] is None
    assert (updates["w"] < 0).all()


@pytest.mark.parametrize("steps", [0, -1, float("nan")])
def test_errors(steps):
    with pytest.raises(ValueError, match="`steps` must be finite and at least 1"):
        accumulate(sgd(0.1), steps=steps)
    with pytest.raises(ValueError, match=r"`optimizer` must be a pair .* Did you forget to call it"):
        accumulate(sgd, steps=2)
