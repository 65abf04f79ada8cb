import numpy as np
import pytest
from least_squares import DIVERGING, Counted, train
from tolerances import assert_close

from jaxnn.populations import Member, grid
from jaxnn.populations.population_based import exploited, population_based_training
from jaxnn.populations.search_spaces import uniform

RATES = [0.01, 0.05, 0.2, 0.4]


def run(rates=RATES, *, trainer=train, **changes):
    settings = {"epochs": 5, "metric": "validation/loss", "seed": 3} | changes
    return population_based_training(trainer, grid(learning_rate=rates), **settings)


@pytest.mark.full
def test_it_beats_every_fixed_setting_it_began_with():
    found = run(epochs=8)
    fixed = train([Member(0, {"learning_rate": rate}) for rate in RATES], epochs=8).last("validation/loss")
    assert np.nanmin(found.scores[-1]) < fixed.min() / 2
    assert found.scores.shape == found.lineage.shape == (8, 4)
    assert found.population.epochs.tolist() == [8] * 4


@pytest.mark.full
def test_the_lineage_tells_exactly_how_each_state_came_to_be():
    """Trained again along its ancestors, seed and rate of each, a member ends with the very same parameters."""
    found = run(every=2, epochs=7)
    assert found.lineage.shape == (4, 4)
    assert (found.lineage[0] == np.arange(4)).all()
    assert (found.lineage[1:] != np.arange(4)).any()
    for member in range(4):
        path, schedule, alone = found.ancestors(member), found.schedule(member)["learning_rate"], None
        for until, ancestor, rate in zip((2, 4, 6, 7), path, schedule, strict=True):
            alone = train([Member(3 + int(ancestor), {"learning_rate": rate})], epochs=until, population=alone)
        assert path[-1] == member
        assert_close(found.population.states[member].params, alone.states[0].params, rtol=1e-6)
        assert_close(
            found.population.history["validation/loss"][:, member], alone.history["validation/loss"][:, 0], rtol=1e-5
        )


@pytest.mark.full
def test_only_who_is_replaced_changes_its_rate_by_one_of_the_factors():
    found = run(epochs=6)
    rates = found.hyperparameters["learning_rate"]
    assert rates[0].tolist() == RATES
    for i in range(1, 6):
        factors = rates[i] / rates[i - 1][found.lineage[i]]
        replaced = found.lineage[i] != np.arange(4)
        assert replaced.sum() == 1
        assert (factors[~replaced] == 1).all()
        assert np.isclose(factors[replaced][:, None], [0.8, 1.25]).any(axis=1).all()
        best, worst = np.argmin(found.scores[i - 1]), np.argmax(found.scores[i - 1])
        assert replaced[worst]
        assert found.lineage[i][worst] == best


def test_what_diverged_is_replaced_however_many_there_are():
    found = run([DIVERGING, DIVERGING, DIVERGING, 0.3], epochs=2)
    assert np.isnan(found.scores[0][:3]).all()
    assert found.lineage[1].tolist() == [3, 3, 3, 3]
    assert not found.population.diverged.any()
    assert np.isfinite(found.scores[1]).all()


def test_later_rounds_compile_nothing():
    counted = Counted()
    found = run(trainer=counted, epochs=4)
    assert len(set(found.hyperparameters["learning_rate"].ravel())) > 4
    assert len(counted.traced) == 4
    assert counted.traced[0] == counted.traced[-1] > 0


def test_ranges_hold_what_perturbation_would_drive_out():
    free, held = run(epochs=8), run(epochs=8, ranges={"learning_rate": uniform(0.0, 0.4)})
    assert free.hyperparameters["learning_rate"].max() > 0.4
    assert held.hyperparameters["learning_rate"].max() == 0.4


@pytest.mark.full
def test_static_hyperparameters_go_along_with_the_state():
    settings = [{"learning_rate": rate, "batch_size": size} for rate, size in zip(RATES, (1, 2, 2, 4), strict=True)]
    found = population_based_training(train, settings, epochs=3, metric="validation/loss")
    sizes = np.array([1, 2, 2, 4])
    for sources in found.lineage:
        sizes = sizes[sources]
    assert [m.hyperparameters["batch_size"] for m in found.population.members] == sizes.tolist()
    assert list(found.hyperparameters) == ["learning_rate"]


def test_seeds_decide():
    first, again, other = run(), run(), run(seed=4)
    assert_close(first.hyperparameters, again.hyperparameters, rtol=0)
    assert (first.lineage == again.lineage).all()
    assert not np.array_equal(first.hyperparameters["learning_rate"], other.hyperparameters["learning_rate"])


@pytest.mark.parametrize(("metric", "best"), [("validation/loss", {0, 1}), ("validation/accuracy", {6, 7})])
def test_the_worst_quarter_goes_on_from_the_best_quarter(metric, best):
    scores, rng = np.arange(8.0), np.random.default_rng(0)
    drawn = np.stack([exploited(scores, metric, quantile=0.25, rng=rng) for _ in range(30)])
    replaced = [6, 7] if metric == "validation/loss" else [0, 1]
    stay = np.setdiff1d(np.arange(8), replaced)
    assert (drawn[:, stay] == stay).all()
    assert set(drawn[:, replaced].ravel().tolist()) == best


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": [0.1]}, "`settings` must be two at least"),
        ({"every": 6}, "`every` must be between 1 and `epochs`, 5; received 6"),
        ({"every": 0}, "`every` must be between 1"),
        ({"quantile": 0.6}, r"`quantile` must lie in \(0, 0.5\].*; received 0.6"),
        ({"quantile": 0.0}, "`quantile` must lie in"),
        ({"perturb": (0.0, 1.25)}, "`perturb` must be positive factors"),
        ({"ranges": {"momentum": uniform(0, 1)}}, r"`ranges` must name floats of the settings, \['learning_rate'\]"),
        ({"rates": [DIVERGING, 2 * DIVERGING]}, "all 2 diverged"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        run(**change)
