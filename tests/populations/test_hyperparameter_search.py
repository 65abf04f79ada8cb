import csv
import dataclasses
import re
from functools import partial

import numpy as np
import pytest
from least_squares import DIVERGING, Counted, loss_after, train
from tolerances import assert_close

from jaxnn.populations import cross_validate, fit, grid, population_based_training, successive_halving
from jaxnn.populations.hyperparameter_search import SearchResult, coarse_to_fine, search
from jaxnn.populations.search_spaces import choice, log_uniform, uniform

RATES = [0.1, DIVERGING, 0.9, 0.5]


def result_of(scores, *, metric="validation/loss", epochs=None):
    settings = [{"learning_rate": 0.1 * i} for i in range(len(scores))]
    epochs = np.ones(len(scores), int) if epochs is None else np.array(epochs)
    return SearchResult(settings, np.array(scores), epochs, metric)


def test_search_scores_every_setting():
    found = search(train, grid(learning_rate=RATES), epochs=3, metric="validation/loss")
    expected = loss_after(RATES, 3)
    finite = [0, 2, 3]
    np.testing.assert_allclose(found.scores[finite], expected[finite], rtol=1e-4)
    assert np.isnan(found.scores[1])
    assert found.ranking().tolist() == [2, 3, 0, 1]
    assert found.best() == 2
    assert len(found.population) == 4


def test_a_score_that_should_be_large_ranks_the_other_way():
    found = search(train, grid(learning_rate=RATES), epochs=3, metric="validation/goodness")
    np.testing.assert_allclose(found.scores[0], 1 - loss_after(0.1, 3), rtol=1e-5)
    assert found.ranking().tolist() == [2, 3, 0, 1]


def test_scores_are_means_over_seeds_and_one_divergence_spoils_them():
    def by_seed(members, *, epochs, population=None):
        """A trainer whose seeds count: seed s adds s to the loss, and seed 7 with a rate of 0.5 diverges."""
        trained = train(members, epochs=epochs)
        history = {"validation/loss": trained.history["validation/loss"] + [m.seed for m in members]}
        diverged = np.array([m.seed == 7 and m.hyperparameters["learning_rate"] == 0.5 for m in members])
        return dataclasses.replace(trained, history=history, diverged=diverged)

    found = search(by_seed, grid(learning_rate=[0.1, 0.5, 0.9]), epochs=2, seeds=(1, 7), metric="validation/loss")
    np.testing.assert_allclose(found.scores, [loss_after(0.1, 2) + 4, np.nan, loss_after(0.9, 2) + 4], rtol=1e-5)
    assert found.ranking().tolist() == [2, 0, 1]


def test_ranking_puts_more_epochs_first_and_what_is_not_finite_last():
    found = result_of([0.5, 0.1, np.nan, 0.3, np.inf], epochs=[3, 1, 9, 3, 1])
    assert found.ranking().tolist() == [3, 0, 1, 2, 4]
    assert result_of([0.5, 0.1, np.nan], metric="validation/accuracy").ranking().tolist() == [0, 1, 2]


def test_best_needs_one_that_is_finite():
    with pytest.raises(
        ValueError, match=r"must have a finite validation/loss; all 2 diverged\. Lower the learning rates"
    ):
        result_of([np.nan, np.inf]).best()


def test_the_table_and_the_file_hold_the_same_rows(tmp_path):
    found = search(train, grid(learning_rate=RATES), epochs=2, metric="validation/loss")
    rows = found.table()
    assert [row["learning_rate"] for row in rows] == [0.9, 0.5, 0.1, DIVERGING]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert {row["epochs"] for row in rows} == {2}
    found.write_csv(tmp_path / "found.csv")
    with open(tmp_path / "found.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["rank", "learning_rate", "validation/loss", "epochs"]
    np.testing.assert_equal([float(row["validation/loss"]) for row in read], [row["validation/loss"] for row in rows])


def test_a_metric_that_will_not_be_measured_is_refused_before_anything_is_trained():
    never = partial(fit, None, {}, optimizer=None)
    every = "['validation/accuracy', 'validation/loss', 'train/accuracy', 'train/loss']"
    settings, told = grid(learning_rate=[0.1, 0.2]), {"epochs": 2, "metric": "validation/acuracy"}
    searches = [partial(search, settings=settings), partial(population_based_training, settings=settings)]
    searches += [partial(successive_halving, settings=settings, epochs=(1, 2))]
    for run in searches:
        with pytest.raises(ValueError, match=re.escape(f"one of {every}; received 'validation/acuracy'")):
            run(partial(never, validation={}), **{**told, **run.keywords})
        with pytest.raises(ValueError, match=r"Has the trainer `validation` data\?"):
            run(never, **{**told, **run.keywords, "metric": "validation/loss"})
    with pytest.raises(ValueError, match=re.escape(f"one of {every}; received 'validation/acuracy'")):
        cross_validate(never, settings, 10, stratified=False, **told)


def test_an_unmeasured_metric_is_an_error():
    with pytest.raises(ValueError, match=r"`metric` must be one of .*'validation/loss'.*; received 'validation/top5'"):
        search(train, grid(learning_rate=[0.1]), epochs=1, metric="validation/top5")


# ----------------------------------------------------------------------------------------------- coarse to fine


def test_coarse_to_fine_closes_in_on_the_best_rate():
    """After one epoch the loss is (1 - rate)^2 / 2, and the best rate 1."""
    found = coarse_to_fine(
        train, {"learning_rate": log_uniform(1e-4, 1e3)}, trials=10, rounds=4, epochs=1, metric="validation/loss"
    )
    best = found.settings[found.best()]["learning_rate"]
    assert abs(np.log10(best)) < 0.05  # chance alone, 40 draws over seven decades, comes within 0.1 on the average
    assert found.on_border == ()
    assert len(found.settings) == len(found.scores) == len(found.population) == 40


def test_rounds_look_a_factor_of_ten_then_of_its_root_to_either_side():
    found = coarse_to_fine(
        train, {"learning_rate": log_uniform(1e-4, 1e3)}, trials=10, rounds=4, epochs=1, metric="validation/loss"
    )
    rates = np.log10([setting["learning_rate"] for setting in found.settings]).reshape(4, 10)
    best = [rates.ravel()[np.argmin(found.scores[: 10 * n])] for n in (1, 2, 3)]
    far = [np.abs(rates[n] - best[n - 1]).max() for n in (1, 2, 3)]
    assert np.ptp(rates[0]) > 3
    assert (far <= np.array([1, 0.5, 0.25]) + 1e-9).all()
    assert (far > np.array([1, 0.5, 0.25]) / 2).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_round_looks_around_the_best_of_all_rounds_before(seed):
    """With one trial a round, many a round is worse than the one before."""
    ranges = {"learning_rate": log_uniform(1e-4, 1e3)}
    found = coarse_to_fine(train, ranges, trials=1, rounds=5, epochs=1, seed=seed, metric="validation/loss")
    rates = np.log10([setting["learning_rate"] for setting in found.settings])
    best = [rates[np.argmin(found.scores[:n])] for n in (1, 2, 3, 4)]
    assert (np.abs(rates[1:] - best) <= 0.5 ** np.arange(4) + 1e-9).all()


@pytest.mark.parametrize(
    ("given", "border"),
    [(log_uniform(1e-6, 1e-2), ("learning_rate",)), (uniform(1.8, 9), ("learning_rate",)), (uniform(0, 2), ())],
)
def test_a_best_value_near_the_end_of_its_range_is_told(given, border):
    found = coarse_to_fine(train, {"learning_rate": given}, trials=8, epochs=1, metric="validation/loss")
    assert found.on_border == border
    assert all(given.low <= setting["learning_rate"] <= given.high for setting in found.settings)


@pytest.mark.full
def test_choices_and_values_stay_in_every_round():
    ranges = {"learning_rate": log_uniform(1e-3, 10), "batch_size": choice(2, 4), "momentum": 0.1}
    found = coarse_to_fine(train, ranges, trials=6, rounds=2, epochs=1, metric="validation/loss")
    assert {setting["batch_size"] for setting in found.settings[6:]} == {2, 4}
    assert {setting["momentum"] for setting in found.settings} == {0.1}


def test_coarse_to_fine_is_reproducible_and_compiles_once():
    counted, ranges = Counted(), {"learning_rate": log_uniform(1e-4, 1)}
    run = lambda seed: coarse_to_fine(counted, ranges, trials=4, epochs=1, seed=seed, metric="validation/loss")
    first, again, other = run(0), run(0), run(1)
    assert len(set(counted.traced)) == 1
    assert first.settings == again.settings
    assert first.settings != other.settings
    assert_close(first.scores, again.scores, rtol=0)


@pytest.mark.parametrize(
    ("ranges", "change", "message"),
    [
        ({"learning_rate": 0.1}, {}, "`ranges` must hold a range to close in on"),
        ({"learning_rate": log_uniform(0.1, 1)}, {"rounds": 0}, "`rounds` must be at least 1; received 0"),
        ({"learning_rate": log_uniform(0.1, 1)}, {"trials": 0}, "`count` must be at least 1; received 0"),
        ({"learning_rate": log_uniform(1e25, 1e26)}, {}, "all 2 diverged"),
    ],
)
def test_errors(ranges, change, message):
    with pytest.raises(ValueError, match=message):
        coarse_to_fine(train, ranges, **{"trials": 2, "epochs": 1, "metric": "validation/loss"} | change)
