"""Its differences are the gradient, and its fit finds a slope. No time is asserted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_files import load
from tolerances import assert_close

experiment = load("gradient_cost")


@pytest.mark.full
def test_its_differences_are_the_gradient(x64):
    rng = np.random.default_rng(0)
    loss = experiment.error_function(jnp.asarray(rng.normal(size=(5, 3))), jnp.array([0, 1, 2, 0, 1]))
    w = jnp.asarray(rng.normal(size=4 * 9))
    assert_close(experiment.differences(loss, w, 1e-5), jax.grad(loss)(w), rtol=1e-8)  # h^2 and rounding


def test_its_slope_is_that_of_the_upper_half():
    weights = np.array([10.0, 100, 1000, 10_000, 100_000])
    milliseconds = np.array([7.0, 7.0, 1e-6 * 1000**2, 1e-6 * 10_000**2, np.nan])
    assert experiment.slope(weights, milliseconds) == pytest.approx(2.0)


def test_too_many_weights_for_differences_are_left_out():
    row = experiment.costs(3, experiment.Settings(most_by_differences=2048, batch_size=4, repeats=1))
    assert row[0] == 3072
    assert row[1] > 0
    assert np.isnan(row[2:]).all()
    assert experiment.cells(row)[2:] == ("-", "-", "-")
