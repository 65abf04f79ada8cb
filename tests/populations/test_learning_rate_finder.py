import numpy as np
import pytest
from least_squares import DATA, SETTINGS, Counted, line, weight

from jaxnn.optimizers import sgd
from jaxnn.populations.learning_rate_finder import LearningRateSweep, find_learning_rate, largest_good_rate

OTHERS = {name: value for name, value in SETTINGS.items() if name not in ("optimizer", "metrics")}


def sweep(**changes):
    settings = {"optimizer": sgd, "low": 1e-3, "high": 1e30, "points": 34, "epochs": 2, **OTHERS} | changes
    return find_learning_rate((weight, line), DATA, **settings)


def test_losses_are_those_of_the_formula_and_infinite_where_the_run_diverged():
    """The loss of the second epoch is that after one step: (1 - rate)^2 / 2, which overflows beyond 2.6e19."""
    found = sweep()
    np.testing.assert_allclose(found.rates, 10.0 ** np.arange(-3, 31), rtol=1e-6)
    finite = found.rates < 2e19
    np.testing.assert_allclose(found.losses[finite], (1 - found.rates[finite]) ** 2 / 2, rtol=1e-5, atol=1e-12)
    assert np.isposinf(found.losses[~finite]).all()


def test_the_suggestion_is_the_best_rate_less_a_margin():
    np.testing.assert_allclose(sweep(factor=1.0).suggestion, 1.0, rtol=1e-6)
    np.testing.assert_allclose(sweep().suggestion, 1 / 3, rtol=1e-6)


def test_the_steepest_descent_lies_before_the_best_rate():
    """-d/dlog(rate) (1 - rate)^2 / 2 = rate (1 - rate) is largest at one half."""
    np.testing.assert_allclose(sweep(low=0.01, high=1.0, points=201).steepest, 0.5, rtol=0.03)


def test_no_descent_has_no_steepest_rate():
    assert np.isnan(LearningRateSweep(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, np.inf]), 1.0).steepest)
    found = LearningRateSweep(np.array([1.0, 4.0, 9.0]), np.array([np.inf, 2.0, 1.0]), 1.0)
    assert found.steepest == pytest.approx(6.0)  # not from infinity


@pytest.mark.parametrize(("tolerance", "rate"), [(0.0, 3.0), (0.2, 4.0), (0.6, 5.0)])
def test_the_largest_rate_within_the_tolerance(tolerance, rate):
    rates, losses = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1.9, 1.0, 1.1, 1.5, np.inf])
    assert largest_good_rate(rates, losses, tolerance=tolerance) == rate
    assert largest_good_rate(rates, losses + 100, tolerance=tolerance) == rate  # a part of the descent, not of the loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"low": 1e-9, "high": 1e-8},
            "the loss must fall by 1% at least.* received 0.5 at 1e-09 and 0.5 at best, of 4",
        ),
        ({"low": 1e-3, "high": 1e-2, "epochs": 1}, "Take more `steps` or `epochs`"),  # a loss before any step
        ({"low": 1.0, "high": 1e30, "points": 2}, "of 1 rates that did not diverge"),
    ],
)
def test_flat_or_too_few_losses_suggest_nothing(changes, message):
    with pytest.raises(ValueError, match=message):
        sweep(**{"points": 4} | changes)


def test_all_rates_are_one_program():
    counted = Counted()
    data = {"optimizer": sgd, "low": 0.01, "high": 1.0, "epochs": 2, **OTHERS}
    find_learning_rate((weight, counted.line), DATA, points=16, **data)
    few = counted.traces
    find_learning_rate((weight, counted.line), DATA, points=16, **data | {"high": 2.0})
    assert counted.traces == few > 0


def test_steps_take_a_random_part_of_the_data():
    data = {"image": np.arange(1, 41, dtype=np.float32)[:, None], "label": np.zeros(40, np.float32)}
    known = (lambda key, x: {"w": np.ones(1, np.float32)}, line)
    squares = lambda outputs, targets: outputs**2
    settings = {"optimizer": sgd, "low": 1e-20, "high": 1e-3, "points": 2, **OTHERS, "loss": squares}
    mean_square = lambda **given: find_learning_rate(known, data, **settings, **given).losses[0]
    seen = [mean_square(steps=2, seed=seed) for seed in (0, 0, 1)]
    assert seen[0] == seen[1] != seen[2]
    assert seen[0] * 8 == pytest.approx(round(seen[0] * 8))  # eight squares
    every = pytest.approx(np.mean(np.arange(1, 41) ** 2))
    assert [mean_square(steps=10), mean_square(steps=99), mean_square()] == [every] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 0.0}, "0 < low < high; received 0.0 and"),
        ({"low": 2.0, "high": 1.0}, "0 < low < high; received 2.0 and 1.0"),
        ({"points": 1}, "`points` must be at least 2; received 1"),
        ({"steps": 0}, "`steps` must be at least 1; received 0"),
        ({"factor": 0.5}, "`factor` must be at least 1; received 0.5"),
        ({"tolerance": 1.0}, r"`tolerance` must lie in \[0, 1\).*; received 1.0"),
        ({"low": 1e25, "points": 2}, "one rate at least must have a finite loss; all diverged. Lower `low`, 1e[+]25"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        sweep(**change)


def test_a_misspelt_setting_is_told():
    with pytest.raises(TypeError, match="memry"):
        sweep(memry=3)
