"""Noise has the paper's variance at every step, is independent of all other noise, and can be replayed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.optimizers.adjustable_hyperparameters import adjustable
from jaxnn.optimizers.gradient_noise import add_noise

COVERS = {"optimizers.add_noise"}

N = 40_000


def draws(noise, steps, zeros):
    @jax.jit
    def walk(state):
        return jax.lax.scan(lambda state, _: noise.update(zeros, state)[::-1], state, length=steps)

    return walk(noise.init(zeros))


def test_mean_and_variance_at_each_step():
    """Within five standard errors of N(0, eta / (1 + t)^gamma): 5 / sqrt(n), and 5 sqrt(2 / n) for the variance."""
    _, noise = draws(add_noise(0.3, 0.55, key=1), 4, jnp.zeros(N))
    variance = 0.3 / (1 + np.arange(4)) ** 0.55
    np.testing.assert_allclose(noise.mean(1) / np.sqrt(variance), 0, atol=5 / N**0.5)
    np.testing.assert_allclose(noise.var(1) / variance, 1, atol=5 * (2 / N) ** 0.5)


def test_steps_and_leaves_are_independent():
    _, noise = draws(add_noise(1.0, 0.0, key=1), 2, {"a": jnp.zeros(N), "b": jnp.zeros(N)})
    rows = np.asarray([noise["a"][0], noise["a"][1], noise["b"][0]])
    np.testing.assert_allclose(np.corrcoef(rows) - np.eye(3), 0, atol=5 / N**0.5)


def test_the_gradient_is_kept():
    noise = add_noise(1.0, key=0)
    g, state = jnp.linspace(0, 9, 10), noise.init(jnp.zeros(10))
    np.testing.assert_allclose(noise.update(g, state)[0] - noise.update(0 * g, state)[0], g, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(add_noise(0.0, key=0).update(g, state)[0], g)


def test_any_step_can_be_replayed_and_the_key_never_changes():
    noise = add_noise(1.0, key=jax.random.key(3))
    state = noise.init(jnp.zeros(3))
    first, after = noise.update(jnp.zeros(3), state)
    second, _ = noise.update(jnp.zeros(3), after)
    assert (first != second).all()
    assert jax.random.key_data(after.key).tolist() == jax.random.key_data(state.key).tolist()
    np.testing.assert_array_equal(noise.update(jnp.zeros(3), state._replace(step=jnp.int32(1)))[0], second)


def test_each_member_of_a_population_may_have_its_own_key():
    keys = jax.random.split(jax.random.key(0), 3)
    noise = jax.vmap(lambda key: draws(add_noise(1.0, key=key), 1, jnp.zeros(2))[1])(keys)
    assert len(np.unique(noise)) == 6
    adjusted = adjustable(add_noise)(eta=1.0, key=keys[1])
    np.testing.assert_array_equal(adjusted.update(jnp.zeros(2), adjusted.init(jnp.zeros(2)))[0], noise[1, 0])


def test_half_precision_and_what_cannot_move():
    params = {"w": jnp.ones(1000, jnp.bfloat16), "n": jnp.arange(3), "frozen": None}
    grads = jax.grad(lambda p: jnp.sum(p["w"]) * 0, allow_int=True)(params)
    noise = add_noise(4.0, key=0)
    updates, _ = noise.update(grads, noise.init(params))
    assert updates["w"].dtype == jnp.bfloat16
    assert abs(float(updates["w"].astype(float).std()) - 2) < 0.2
    assert updates["n"].dtype == jax.dtypes.float0
    assert updates["frozen"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eta": -1.0, "key": 0}, "`eta` must be finite and at least 0; received -1.0"),
        ({"eta": 1.0, "gamma": float("nan"), "key": 0}, "`gamma` must be finite"),
        ({"eta": 1.0, "key": 0.5}, "`key` must be a typed key .* received 0.5"),
        ({"eta": 1.0, "key": np.zeros(2, np.uint32)}, "`key` must be a typed key"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        add_noise(**arguments)
