"""What the references do not say of schedules: boundaries, derivatives, other people's schedules, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from jaxnn import schedules

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def values(schedule, steps):
    return np.asarray(jax.vmap(schedule)(jnp.arange(steps)))


def test_one_cycle_peaks_where_it_says_and_without_warmup_starts_there():
    np.testing.assert_allclose(schedules.one_cycle(2.0, steps=50, warmup=0.2)(10), 2.0, rtol=1e-6)
    np.testing.assert_allclose(schedules.one_cycle(2.0, steps=50, warmup=0.0)(0), 2.0, rtol=1e-6)


@given(st.sampled_from([1.0, 2.0, 3.0, 1.5]), st.integers(1, 12))
def test_every_cycle_of_warm_restarts_begins_at_its_start(growth, steps):
    """Also where a logarithm of a whole number of cycles is not exact: no cycle begins a step early or late."""
    beginnings, t, length = [], 0.0, float(steps)
    while round(t) < 400:
        beginnings.append(round(t))
        t, length = t + length, length * growth
    path = values(schedules.warm_restarts(1.0, steps=steps, growth=growth), 400)
    starts = np.flatnonzero(path == 1.0)
    assert starts.tolist() == sorted(set(beginnings))
    falls = np.diff(path) < 0
    falls[starts[1:] - 1] = True
    assert falls.all()


def test_cycles_of_one_length_divide_nothing_by_zero():
    """Not even in the branch for growing cycles, so that a hunt for NaNs (`jax_debug_nans`) finds others."""
    with jax.debug_nans(True):
        assert float(schedules.warm_restarts(1.0, steps=4, growth=1.0)(6)) == pytest.approx(0.5)


def test_a_million_steps_of_warm_restarts_stay_exact():
    for growth, steps, far in ((1, 7, 7 * 142_857), (2, 3, 3 * (2**18 - 1))):
        schedule = schedules.warm_restarts(1.0, 0.0, steps=steps, growth=growth)
        assert float(schedule(far)) == 1.0
        assert float(schedule(far - 1)) < 0.2


@pytest.mark.parametrize("steps", [3, 7, 10, 49])
def test_a_stair_is_exactly_as_long_as_it_says(steps):
    path = values(schedules.step_decay(1.0, factor=0.5, steps=steps), 5 * steps)
    np.testing.assert_array_equal(path, 0.5 ** np.repeat(np.arange(5.0), steps))


def test_warmup_reaches_the_first_value_of_any_schedule_and_follows_it_when_it_changes():
    inner = schedules.exponential(jnp.float32(0.3), factor=0.9)
    risen = schedules.warmup(inner, steps=5)
    assert_close(values(risen, 25)[5:], values(inner, 20))
    np.testing.assert_allclose(values(risen, 6), 0.3 * np.arange(6) / 5, rtol=1e-6)
    doubled = jax.tree.map(lambda x: 2 * x if x is inner.args[0] else x, risen)
    assert_close(values(doubled, 25), 2 * values(risen, 25))


def test_warmup_of_no_steps_is_the_schedule():
    inner = schedules.cosine(1.0, 0.1, steps=9)
    assert_close(values(schedules.warmup(inner, steps=0), 12), values(inner, 12))


def test_takes_schedules_of_others():
    theirs = optax.linear_schedule(1.0, 0.0, 10)
    assert_close(values(schedules.warmup(theirs, steps=4), 14)[4:], values(theirs, 10))
    joined = schedules.join([theirs, lambda step: 0.25], boundaries=[5])
    np.testing.assert_array_equal(values(joined, 10)[5:], 0.25)
    assert jax.tree.leaves(joined) == [5]


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.join([schedules.constant(1.0), schedules.inverse_time(1.0, steps=2, power=0.5)], boundaries=[50]),
        schedules.warmup(schedules.inverse_time(1.0, steps=2, power=0.5), steps=50),
        schedules.polynomial(1.0, 0.0, steps=5, power=2.0),
        schedules.warm_restarts(1.0, steps=5, growth=1.0),
    ],
    ids=["join", "warmup", "polynomial", "warm_restarts"],
)
@pytest.mark.parametrize("step", [0.0, 20.0, 70.0])
def test_derivatives_are_finite_before_and_after_a_boundary(schedule, step):
    """What is not taken of a `where` must not send a NaN back."""
    gradient = jax.grad(lambda schedule: schedule(step))(jax.tree.map(jnp.float32, schedule))
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(gradient))


def test_inverse_time_halves_after_its_steps_and_meets_robbins_and_monro():
    path = values(schedules.inverse_time(0.8, steps=100), 100_001)
    np.testing.assert_allclose(path[100], 0.4, rtol=1e-6)
    sums = np.cumsum(path.astype(np.float64)), np.cumsum(path.astype(np.float64) ** 2)
    assert sums[0][-1] / sums[0][10_000] > 1.4  # grows like a logarithm
    assert sums[1][-1] / sums[1][10_000] < 1.02  # has all but arrived


ERRORS = {
    "linear": (lambda: schedules.linear(1.0, 0.0, steps=-1), "`steps` must be finite and at least 1; received -1"),
    "cosine": (lambda: schedules.cosine(1.0, 0.0, steps=float("nan")), "`steps` must be finite .* received nan"),
    "polynomial": (lambda: schedules.polynomial(1.0, 0.0, steps=3, power=-1), "`power` must be finite and at least 0"),
    "cosine without steps": (
        lambda: schedules.cosine(1.0, 0.0, steps=0),
        "`steps` must be finite and at least 1; received 0",
    ),
    "linear without steps": (lambda: schedules.linear(1.0, 0.0, steps=0), "`steps` must be finite and at least 1"),
    "one_cycle without steps": (lambda: schedules.one_cycle(1.0, steps=0), "`steps` must be finite and at least 1"),
    "one_cycle that only rises": (lambda: schedules.one_cycle(1.0, steps=9, warmup=3), "at least 0 and at most 1"),
    "one_cycle from nowhere": (lambda: schedules.one_cycle(1.0, steps=9, start_factor=0), "greater than 0; received 0"),
    "a word": (lambda: schedules.cosine("0.1", 0.0, steps=3), "`start` must be a real number; received '0.1'"),
    "a complex number": (lambda: schedules.linear(1j, 0.0, steps=3), "`start` must be a real number; received 1j"),
    "steps in words": (lambda: schedules.inverse_time(1.0, steps="3"), "`steps` must be a real number"),
    "an array of steps": (lambda: schedules.linear(1.0, 0.0, steps=np.ones(2)), "`steps` must be a real number"),
    "NaN": (lambda: schedules.constant(float("nan")), "`value` must be finite; received nan"),
    "step_decay": (lambda: schedules.step_decay(1.0, factor=0.1, steps=0), "`steps` must be finite and at least 1"),
    "exponential": (lambda: schedules.exponential(1.0, factor=-0.1), "`factor` must be finite and at least 0"),
    "inverse_time": (lambda: schedules.inverse_time(1.0, steps=0), "`steps` must be finite and at least 1"),
    "warm_restarts": (
        lambda: schedules.warm_restarts(1.0, steps=3, growth=0.5),
        "`growth` .* at least 1; received 0.5",
    ),
    "warmup": (lambda: schedules.warmup(schedules.constant(1.0), steps=-3), "`steps` must be finite and at least 0"),
    "one_cycle": (lambda: schedules.one_cycle(1.0, steps=float("inf")), "`steps` must be finite .* received inf"),
    "too few": (
        lambda: schedules.piecewise_constant([1.0, 2.0], boundaries=[]),
        "one fewer than the pieces between them; received 0 boundaries for 2",
    ),
    "not increasing": (
        lambda: schedules.piecewise_constant([1.0, 2.0, 3.0], boundaries=[5, 5]),
        r"`boundaries` must be positive and increase; received \(5, 5\)",
    ),
    "at the start": (
        lambda: schedules.join([schedules.constant(1.0)] * 2, boundaries=[0]),
        "`boundaries` must be positive and increase",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_numbers_are_refused(name):
    make, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=f"{message}|Type-check error"):  # by jaxtyping, if it looks
        make()


def test_traced_numbers_pass():
    path = jax.jit(lambda steps: schedules.warm_restarts(1.0, steps=steps, growth=steps)(3))(2)
    np.testing.assert_allclose(path, schedules.warm_restarts(1.0, steps=2, growth=2)(3), rtol=1e-6)
