"""Look-ahead as the paper's two nested loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adam, sgd
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.optimizers.lookahead_weights import lookahead


def gradient(w):
    return np.array([1.0, 30.0]) * (w - 1)


def nested_loops(start, *, alpha, k, rounds, lr, mu):
    """Algorithm 1 with heavy-ball steps inside; the velocity is kept."""
    slow, v, path = start, np.zeros(2), []
    for _ in range(rounds):
        fast = slow
        for _ in range(k):
            v = mu * v + gradient(fast)
            fast = fast - lr * v
            path.append(fast)
        slow = slow + alpha * (fast - slow)
        path[-1] = slow  # where the fast weights begin again
    return np.array(path), slow


def test_is_the_papers_algorithm(x64):
    start = np.array([-1.0, 3.0])
    optimizer = lookahead(sgd(0.02, momentum=0.8), sync_period=4, slow_step_size=0.3)

    def step(carry, _):
        w, state = carry
        updates, state = optimizer.update(jnp.array([1.0, 30.0]) * (w - 1), state, w)
        return (w + updates, state), w + updates

    w = jnp.asarray(start)
    (_, state), path = jax.lax.scan(step, (w, optimizer.init(w)), length=20)
    expected, slow = nested_loops(start, alpha=0.3, k=4, rounds=5, lr=0.02, mu=0.8)
    assert_close(path, expected)
    assert_close(state.slow, slow)


def test_the_slow_weights_are_a_buffer_of_their_own():
    """So that parameters and state can be donated together."""
    optimizer, w = lookahead(adam(0.1)), {"w": jnp.ones(3)}
    step = jax.jit(lambda w, state: optimizer.update(w, state, w), donate_argnums=(0, 1))
    step(w, optimizer.init(w))


def test_integers_and_none_pass():
    params = {"w": jnp.ones(2), "n": jnp.arange(3), "frozen": None}
    grads = jax.grad(lambda p: jnp.sum(p["w"] ** 2), allow_int=True)(params)
    optimizer = lookahead(adam(0.1), sync_period=1)
    updates, state = jax.jit(lambda params: optimizer.update(grads, optimizer.init(params), params))(params)
    new = apply_updates(params, updates)
    assert new["n"].tolist() == state.slow["n"].tolist() == [0, 1, 2]
    assert new["frozen"] is None
    np.testing.assert_allclose(new["w"], 0.95, rtol=1e-6)  # half of Adam's first step


@pytest.mark.parametrize("step_size", [0, 1])
def test_both_ends_of_the_step_size(step_size):
    """Optax takes them too: with 0 the slow weights stay, with 1 they are the fast ones."""
    optimizer, w = lookahead(sgd(0.5), sync_period=1, slow_step_size=step_size), jnp.ones(2)
    updates, state = optimizer.update(w, optimizer.init(w), w)
    np.testing.assert_array_equal(w + updates, 1 - 0.5 * step_size)
    np.testing.assert_array_equal(state.slow, 1 - 0.5 * step_size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lookahead(sgd(0.1), 0), "`sync_period` must be finite and at least 1; received 0"),
        (lambda: lookahead(sgd(0.1), 5, 1.5), "`slow_step_size` must be at most 1; received 1.5"),
        (lambda: lookahead(sgd), "`fast_optimizer` must be a pair .* Did you forget to call it"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
