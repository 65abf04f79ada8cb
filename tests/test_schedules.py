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


def test_values_are_as_exact_as_the_float_type():
    """0.9999 is no float32: its power at step 100 000 was off by 1.7e-3."""
    for factor in (0.9999, 1.0001):
        for schedule, steps in ((schedules.exponential, 1), (schedules.step_decay, 7)):
            expected = [0.1 * factor ** (t // steps) for t in (1, 700, 70_000)]
            path = [float(schedule(0.1, factor=factor, steps=steps)(t)) for t in (1, 700, 70_000)]
            np.testing.assert_allclose(path, expected, rtol=2e-6)
    with jax.enable_x64(True):
        value = schedules.exponential(0.1, factor=0.9999)(100_000)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, 0.1 * 0.9999**100_000, rtol=1e-12)
        joined = schedules.warmup(
            schedules.join([schedules.constant(0.1), schedules.cosine(0.1, 0, steps=9)], boundaries=[2]), steps=3
        )
        np.testing.assert_allclose(joined(8), 0.1 * (1 + np.cos(np.pi / 3)) / 2, rtol=1e-12)


AT = np.array([0, 1, 5, 6, 9, 10, 11, 15, 18, 19])
TORCH = {  # torch 2.13.0: OneCycleLR(SGD(lr=1, momentum=.9), 1., total_steps=20, three_phase=...): lr, momentum
    False: (
        [0.04, 0.1316718, 1.0, 0.987464, 0.8117457, 0.716943, 0.611262, 0.1882583, 0.01254, 4e-06],
        [0.95, 0.9404508, 0.85, 0.8512536, 0.8688255, 0.8783058, 0.888874, 0.9311745, 0.9487464, 0.95],
    ),
    True: (
        [0.04, 0.1316718, 1.0, 0.9083282, 0.1316718, 0.04, 0.038794, 0.0165294, 0.00121, 4e-06],
        [0.95, 0.9404508, 0.85, 0.8595492, 0.9404508, 0.95, 0.95, 0.95, 0.95, 0.95],
    ),
}


@pytest.mark.parametrize("three_phases", TORCH)
def test_one_cycle_of_pytorch(three_phases):
    """By the arguments that the docstring names: total_steps = 20, pct_start = 0.3."""
    cycle = {"steps": 19, "warmup": (20 * 0.3 - 1) / 19, "three_phases": three_phases}
    rates, momenta = TORCH[three_phases]
    np.testing.assert_allclose(values(schedules.one_cycle(1.0, **cycle), 20)[AT], rates, atol=1e-6)
    np.testing.assert_allclose(values(schedules.one_cycle_momentum(**cycle), 20)[AT], momenta, atol=1e-6)


CYCLES = {  # torch 2.13.0: CyclicLR(..., .1, 1., step_size_up=2, step_size_down=3, mode=...), gamma=.9 for exp_range
    "triangular": (schedules.cyclic(0.1, 1.0, rising=2, falling=3), [0.1, 0.55, 1, 0.7, 0.4, 0.1, 0.55, 1, 0.7]),
    "triangular2": (
        schedules.cyclic(0.1, 1.0, rising=2, falling=3, factor=0.5),
        [0.1, 0.55, 1, 0.7, 0.4, 0.1, 0.325, 0.55, 0.4, 0.25, 0.1, 0.2125, 0.325],
    ),
    "exp_range": (
        schedules.cyclic_exponential(0.1, 1.0, rising=2, falling=3, factor=0.9),
        [
            0.1,
            0.505,
            0.829,
            0.5374,
            0.29683,
            0.1,
            0.3391485,
            0.5304672,
            0.3582803,
            0.2162261,
            0.1,
            0.2412148,
            0.3541866,
        ],
    ),
}


@pytest.mark.parametrize("mode", CYCLES)
def test_cycles_of_pytorch(mode):
    schedule, expected = CYCLES[mode]
    np.testing.assert_allclose(values(schedule, len(expected)), expected, rtol=1e-6)


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
    "three phases": (
        lambda: schedules.one_cycle(1.0, steps=9, warmup=0.6, three_phases=True),
        "at least 0 and at most 0.5; received 0.6",
    ),
    "cyclic": (lambda: schedules.cyclic(0.1, 1.0, rising=0), "`rising` must be finite and at least 1; received 0"),
    "cyclic down": (lambda: schedules.cyclic(0.1, 1.0, rising=2, falling=0), "`falling` must be finite and at least 1"),
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
