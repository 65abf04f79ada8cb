from itertools import pairwise

import numpy as np
import pytest
from least_squares import DIVERGING, Counted, loss_after, train
from tolerances import assert_close

from jaxnn.populations import grid
from jaxnn.populations.hyperband_search import brackets, hyperband, successive_halving, survivors
from jaxnn.populations.hyperparameter_search import search
from jaxnn.populations.search_spaces import log_uniform

RATES = [0.02, 0.5, 0.1, 0.9, 0.05, 0.3, 0.01, 0.7, 0.2]
SETTINGS = grid(learning_rate=RATES)


def test_the_best_go_on_and_the_ranking_is_that_of_the_rungs():
    found = successive_halving(train, SETTINGS, metric="validation/loss")
    by_rate = np.argsort(RATES)[::-1]  # below 1 a larger rate is a better one
    assert found.ranking().tolist() == by_rate.tolist()
    assert found.epochs[by_rate].tolist() == [9, 3, 3, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(found.scores, loss_after(RATES, found.epochs), rtol=1e-3, atol=1e-12)
    assert found.population.epochs.tolist() == found.epochs.tolist()
    assert [m.hyperparameters for m in found.population.members] == SETTINGS


def test_survivors_are_trained_as_if_they_had_never_stopped():
    found = successive_halving(train, SETTINGS, metric="validation/loss")
    alone = search(train, grid(learning_rate=[RATES[i] for i in (3, 7, 1)]), epochs=3, metric="validation/loss")
    assert_close(
        found.population.history["validation/loss"][:3, [3, 7, 1]],
        alone.population.history["validation/loss"],
        rtol=1e-6,
    )
    assert_close(found.population.states[7].params, alone.population.states[1].params, rtol=1e-6)


@pytest.mark.full
def test_the_budget_is_the_sum_of_the_rungs():
    counted = Counted()
    found = successive_halving(counted, SETTINGS, metric="validation/loss")
    assert counted.calls == [(9, 1), (3, 2), (1, 6)]
    made = np.isfinite(found.population.history["train/loss"]).sum()
    assert made == found.epochs.sum() == 9 * 1 + 3 * 2 + 1 * 6


def test_later_rungs_compile_nothing():
    """Where the number of members in a chunk is fixed."""
    counted = Counted(chunk=3)
    successive_halving(counted, SETTINGS, metric="validation/loss")
    assert len(counted.traced) == 3
    assert counted.traced[0] == counted.traced[-1]


def test_the_diverged_never_survive_while_others_are_left():
    rates = [DIVERGING, 0.1, DIVERGING, 0.5]
    found = successive_halving(train, grid(learning_rate=rates), epochs=(1, 2, 3), keep=0.5, metric="validation/loss")
    assert found.epochs.tolist() == [1, 2, 1, 3]
    assert found.ranking().tolist() == [3, 1, 0, 2]
    assert np.isnan(found.scores[[0, 2]]).all()


def test_all_diverged_ends_all_the_same():
    found = successive_halving(
        train, grid(learning_rate=[DIVERGING, 2 * DIVERGING]), epochs=(1, 2), metric="validation/loss"
    )
    assert np.isnan(found.scores).all()
    with pytest.raises(ValueError, match="all 2 diverged"):
        found.best()


@pytest.mark.parametrize("keep", [0.1, 0.29, 1 / 3, 0.5])
def test_survivors_are_the_whole_part_and_one_at_least(keep):
    per_cent = round(keep * 300)
    assert [survivors(n, keep) for n in range(1, 400)] == [max(1, n * per_cent // 300) for n in range(1, 400)]


# ---------------------------------------------------------------------------------------------------- hyperband


def test_brackets_are_those_of_the_paper():
    """Li et al. 2018, table 1: R = 81, eta = 3."""
    paper = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    ours = []
    for count, rungs in brackets(81, 3):
        sizes = [count]
        while len(sizes) < len(rungs):
            sizes.append(survivors(sizes[-1], 1 / 3))
        ours.append(list(zip(sizes, rungs, strict=True)))
    assert ours == paper


@pytest.mark.parametrize(("most", "factor"), [(1, 3), (2, 3), (5, 2), (10, 3), (100, 4), (243, 3), (1000, 10)])
def test_brackets_are_rungs_for_any_number_of_epochs(most, factor):
    for i, (count, rungs) in enumerate(reversed(brackets(most, factor))):
        assert rungs[-1] == most
        assert len(rungs) == i + 1
        assert rungs[0] >= 1
        assert all(a < b for a, b in pairwise(rungs))
        assert count >= factor**i


@pytest.mark.full
def test_hyperband_runs_its_brackets_and_finds_a_good_rate():
    counted, distributions = Counted(), {"learning_rate": log_uniform(1e-3, 1)}
    found = hyperband(counted, distributions, metric="validation/loss")
    assert counted.calls == [(9, 1), (3, 2), (1, 6), (5, 3), (1, 6), (3, 9)]
    assert len(found.settings) == len(found.population) == 9 + 5 + 3
    assert found.epochs.sum() == sum(members * epochs for members, epochs in counted.calls)
    assert len({setting["learning_rate"] for setting in found.settings}) == 9 + 5 + 3
    finished = [setting["learning_rate"] for setting, n in zip(found.settings, found.epochs, strict=True) if n == 9]
    assert found.settings[found.best()]["learning_rate"] == max(finished)


def test_hyperband_is_reproducible():
    run = lambda seed: hyperband(
        train, {"learning_rate": log_uniform(1e-3, 1)}, most_epochs=3, seed=seed, metric="validation/loss"
    )
    first, again, other = run(0), run(0), run(1)
    assert first.settings == again.settings
    assert first.settings != other.settings
    assert_close(first.scores, again.scores, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": (1, 3, 3)}, r"`epochs` must be at least 1 and increase .*; received \(1, 3, 3\)"),
        ({"epochs": (0, 3)}, "`epochs` must be at least 1"),
        ({"epochs": ()}, "`epochs` must be at least 1"),
        ({"keep": 1.0}, r"`keep` must lie in \(0, 1\).*; received 1.0"),
        ({"keep": 0.0}, r"`keep` must lie in \(0, 1\)"),
        ({"settings": []}, "at least one member; received none"),
    ],
)
def test_errors(change, message):
    arguments = {"settings": SETTINGS, "metric": "validation/loss"} | change
    with pytest.raises(ValueError, match=message):
        successive_halving(train, arguments.pop("settings"), **arguments)


@pytest.mark.parametrize(("most", "factor"), [(0, 3), (9, 1)])
def test_brackets_out_of_range(most, factor):
    with pytest.raises(ValueError, match=f"received {most} and {factor}"):
        brackets(most, factor)
