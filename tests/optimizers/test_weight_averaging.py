"""Averages against Optax's `ema` and plain sums; behind an optimizer, and in the state of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adam, sgd
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.optimizers.weight_averaging import (
    averaged_params,
    averaging,
    exponential_average,
    uniform_average,
)
from jaxnn.schedules import linear
from jaxnn.training import init_state

COVERS = {
    "optimizers.WeightAverage",
    "optimizers.averaged_params",
    "optimizers.averaging",
    "optimizers.exponential_average",
    "optimizers.uniform_average",
}


def path(steps=12, dtype=None):
    """Weights as a run passes them, stacked."""
    rng = np.random.default_rng(0)
    return {
        "a": jnp.asarray(rng.normal(size=(steps, 3)).cumsum(0), dtype),
        "b": jnp.asarray(rng.normal(size=steps), dtype),
    }


def averages(machine, weights):
    """The average after each step, in one scan."""
    first = jax.tree.map(lambda w: w[0], weights)

    def step(state, w):
        state = machine.update(state, w)
        return state, averaged_params(state, w)

    return jax.jit(lambda: jax.lax.scan(step, machine.init(first), weights)[1])()


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_exponential_average_is_optaxs_with_debias(decay, x64):
    weights, theirs = path(), optax.ema(decay, debias=True)
    first = jax.tree.map(lambda w: w[0], weights)
    expected = jax.lax.scan(lambda state, w: theirs.update(w, state)[::-1], theirs.init(first), weights)[1]
    assert_close(averages(exponential_average(decay), weights), expected)


def test_without_debias_it_starts_from_the_initial_weights(x64):
    weights, expected = path(), []
    average = np.asarray(weights["a"][0])
    for w in np.asarray(weights["a"]):
        average = 0.9 * average + 0.1 * w
        expected.append(average)
    assert_close(averages(exponential_average(0.9, debias=False), weights)["a"], jnp.asarray(expected))


def test_a_decay_that_changes_is_still_a_weighted_mean(x64):
    """The weights of what went in sum to one: an average of ones is one, also where decay^t would be wrong."""
    ones = {"a": jnp.ones((9, 2))}
    np.testing.assert_allclose(averages(exponential_average(linear(0.0, 0.99, steps=5)), ones)["a"], 1, rtol=1e-12)


@pytest.mark.parametrize(("start", "every"), [(0, 1), (3, 1), (0, 4), (3, 4), (20, 1)])
def test_uniform_average_is_the_mean_of_what_it_counts(start, every, x64):
    weights = path()
    rows, expected = np.asarray(weights["a"]), []
    for t in range(1, 13):
        counted = [i for i in range(1, t + 1) if i >= start and (i - start) % every == 0]
        expected.append(np.mean([rows[i - 1] for i in counted], 0) if counted else rows[t - 1])
    assert_close(averages(uniform_average(start=start, every=every), weights)["a"], jnp.asarray(expected))


@pytest.mark.parametrize("machine", [exponential_average(0.999), uniform_average()])
def test_bfloat16_weights_are_averaged_in_float32(machine):
    """With 8 bits, neither 0.001 w added to 1 nor a sum beyond 256 would move."""
    weights = {"w": jnp.where(jnp.arange(4000) % 2, 1.0, 3.0).astype(jnp.bfloat16)[:, None]}
    average = averages(machine, weights)["w"]
    assert average.dtype == jnp.bfloat16
    assert float(average[-1, 0]) == 2.0


def test_behind_an_optimizer_it_sees_the_weights_that_are_reached(x64):
    optimizer, machine = averaging(adam(0.1), exponential_average(0.8)), exponential_average(0.8)
    w, alone = jnp.array([1.0, -2.0]), jnp.array([1.0, -2.0])
    state, alone_state, average = optimizer.init(w), adam(0.1).init(w), machine.init(w)
    for _ in range(5):
        updates, state = optimizer.update(w**3, state, w)
        w = apply_updates(w, updates)
        updates, alone_state = adam(0.1).update(alone**3, alone_state, alone)
        alone = apply_updates(alone, updates)
        average = machine.update(average, alone)
        assert_close(w, alone)
        assert_close(averaged_params(state, w), averaged_params(average, alone))
    assert (averaged_params(state, w) != w).all()


def test_is_found_in_the_state_of_a_run_and_changes_nothing_else():
    model = (lambda key, x: {"w": jnp.ones(2), "n": jnp.arange(2)}, lambda params, x: x)
    state = init_state(model, averaging(sgd(0.1), uniform_average()), jnp.ones((1, 1)), key=0)
    average = averaged_params(state, state.params)
    jax.tree.map(np.testing.assert_array_equal, average, state.params)  # nothing averaged yet
    assert average["n"].dtype == jnp.int32


def test_integers_and_none_stay():
    params = {"w": jnp.ones(2), "n": jnp.arange(3), "frozen": None}
    machine = exponential_average(0.5)
    state = machine.update(machine.init(params), params | {"w": 3 * jnp.ones(2)})
    average = averaged_params(state, params)
    assert (average["n"].tolist(), average["frozen"], average["w"].tolist()) == ([0, 1, 2], None, [3.0, 3.0])


def test_members_of_a_population_average_with_their_own_decay():
    def walk(decay):
        return averages_of(exponential_average(decay))

    def averages_of(machine):
        state = machine.init(jnp.zeros(()))
        for w in (0.0, 1.0):
            state = machine.update(state, jnp.asarray(w))
        return averaged_params(state, jnp.zeros(()))

    np.testing.assert_allclose(jax.vmap(walk)(jnp.array([0.5, 0.8])), [1 / 1.5, 1 / 1.8], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exponential_average(1.0), "`decay` must be at least 0 and less than 1; received 1.0"),
        (lambda: uniform_average(every=0), "`every` must be finite and at least 1; received 0"),
        (lambda: uniform_average(start=-1), "`start` must be finite and at least 0; received -1"),
        (lambda: averaging(sgd, uniform_average()), "`optimizer` must be a pair .* Did you forget to call it"),
        (lambda: averaged_params(sgd(0.1).init(jnp.ones(1)), jnp.ones(1)), "one average of weights; received 0"),
        (
            lambda: averaged_params([uniform_average().init(jnp.ones(1))] * 2, jnp.ones(1)),
            "one average of weights; received 2",
        ),
        (
            lambda: (lambda o: o.update(jnp.ones(1), o.init(jnp.ones(1))))(averaging(sgd(0.1), uniform_average())),
            "averaging needs the parameters",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
