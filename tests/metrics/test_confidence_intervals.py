"""Intervals against SciPy at the ends, in float64 and for any number of degrees of freedom, and what they cover."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxnn.metrics import Moments, masked_moments, normal_interval, student_interval, wilson_interval

COVERS = {"metrics.Interval"}


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("n", [1, 7, 10_000])
def test_wilson_is_scipys_in_float64(n, confidence, x64):
    successes = np.unique(np.linspace(0, n, 5).round().astype(int))
    ours = wilson_interval(jnp.asarray(successes, float), jnp.full(len(successes), n, float), confidence=confidence)
    tests = [scipy.stats.binomtest(int(s), n).proportion_ci(confidence, method="wilson") for s in successes]
    np.testing.assert_allclose(np.stack(ours, axis=1), np.array(tests), rtol=1e-9, atol=1e-12)


def test_wilson_ends_and_no_examples():
    with jax.debug_nans(True):
        low, high = wilson_interval(jnp.array([0.0, 5.0, 0.0]), jnp.array([5.0, 5.0, 0.0]))
    assert low[0] == 0
    assert high[1] == 1
    assert (low[2], high[2]) == (0, 1)
    assert 0.5 < low[1] < 1
    assert 0 < high[0] < 0.5
    n = jnp.arange(1, 3000)
    assert (wilson_interval(n, n).high == 1).all()  # the formula alone rounds otherwise for most


def test_wilson_is_accurate_for_many_examples_in_float32():
    """s (n - s) would overflow int32."""
    ours = wilson_interval(jnp.array(999_000), jnp.array(1_000_000))
    theirs = scipy.stats.binomtest(999_000, 1_000_000).proportion_ci(method="wilson")
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours.low.dtype == jnp.float32


def moments(x):
    return Moments(float(np.sum(x)), float(np.sum(x * x)), float(len(x)))


@pytest.mark.full
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 10, 39, 40, 41, 42, 1000])
def test_student_is_scipys(n, confidence, x64):
    x = np.random.default_rng(n).normal(size=n) * 3 + 1
    ours = student_interval(moments(x), confidence=confidence)
    theirs = scipy.stats.t.interval(confidence, n - 1, loc=x.mean(), scale=scipy.stats.sem(x))
    tolerance = 1e-9 if n <= 40 else 1e-5 if confidence == 0.999 else 5e-7  # the series in 1/n begins at 40 degrees
    np.testing.assert_allclose(np.array(ours) - x.mean(), np.array(theirs) - x.mean(), rtol=tolerance)


@pytest.mark.parametrize("n", [2, 5, 30, 100, 1_000_000])
def test_student_is_near_in_float32(n):
    """Of deviation 1 and mean 0: the half width alone."""
    half = student_interval(Moments(jnp.float32(0), jnp.float32(n - 1), jnp.float32(n))).high * n**0.5
    np.testing.assert_allclose(half, scipy.stats.t.ppf(0.975, n - 1), rtol=1e-5)


def test_normal_is_scipys_and_narrower_than_students(x64):
    x = np.random.default_rng(0).normal(size=12)
    ours = normal_interval(moments(x), confidence=0.9)
    np.testing.assert_allclose(ours, scipy.stats.norm.interval(0.9, x.mean(), scipy.stats.sem(x)), rtol=1e-9)
    students = student_interval(moments(x), confidence=0.9)
    assert students.low < ours.low < ours.high < students.high


def test_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    few = jnp.asarray(rng.normal(size=(4000, 4)) + 10, jnp.float32)
    cover = lambda interval: jnp.mean((interval.low < 10) & (interval.high > 10))
    of = lambda f: jax.vmap(lambda x: f(masked_moments(x, jnp.ones(4, bool)), confidence=0.9))(few)
    error = 5 * (0.9 * 0.1 / 4000) ** 0.5  # five standard errors
    assert abs(cover(of(student_interval)) - 0.9) < error
    assert cover(of(normal_interval)) < 0.9 - error  # four values are few


def test_one_value_has_no_interval():
    with np.errstate(all="ignore"):
        assert np.isnan(student_interval(masked_moments(jnp.ones(1), jnp.ones(1, bool)))).all()


@pytest.mark.parametrize("confidence", [0, 1.0, 95])
@pytest.mark.parametrize(
    "interval",
    [
        lambda c: wilson_interval(3, 5, confidence=c),
        lambda c: normal_interval(Moments(1.0, 2.0, 3.0), confidence=c),
        lambda c: student_interval(Moments(1.0, 2.0, 3.0), confidence=c),
    ],
)
def test_refuses_a_confidence_in_percent(interval, confidence):
    with pytest.raises(ValueError, match=f"`confidence` must be greater than 0 and less than 1; received {confidence}"):
        interval(confidence)
