"""A study of a few lines for what is asked and told; Optuna itself where it is installed."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from least_squares import DIVERGING, Counted, loss_after, train
from rings import first_of

from jaxnn.populations.optuna_adapter import as_optuna, ask_and_tell
from jaxnn.populations.search_spaces import choice, log_uniform, uniform

RATE = {"learning_rate": log_uniform(0.01, 1)}


class Study:
    """Proposes the values given, keeps what it is told."""

    def __init__(self, rates, direction="MINIMIZE"):
        self.rates, self.directions, self.log = list(rates), [SimpleNamespace(name=direction)], []

    def ask(self, distributions):
        params = {"learning_rate": self.rates[len([entry for entry in self.log if entry[0] == "ask"])]}
        params |= {name: given[1][-1] for name, given in distributions.items() if given[0] == "categorical"}
        self.log.append(("ask", distributions))
        return SimpleNamespace(params=params)

    def tell(self, trial, value=None, *, state=None):
        self.log.append(("tell", trial.params["learning_rate"], value, state))

    @property
    def told(self):
        return [entry[1:] for entry in self.log if entry[0] == "tell"]


@pytest.fixture
def fake_optuna(monkeypatch):
    distributions = SimpleNamespace(
        FloatDistribution=lambda low, high, log: ("float", low, high, log),
        CategoricalDistribution=lambda choices: ("categorical", choices),
    )
    states = SimpleNamespace(FAIL="fail", PRUNED="pruned")
    fake = SimpleNamespace(distributions=distributions, trial=SimpleNamespace(TrialState=states))
    monkeypatch.setitem(sys.modules, "optuna", fake)


@pytest.mark.usefixtures("fake_optuna")
def test_batches_are_asked_whole_trained_as_one_population_and_told():
    study, counted = Study([0.1, 0.5, 0.9, 0.3, 0.2]), Counted()
    found = ask_and_tell(study, counted, RATE, trials=5, batch=2, epochs=2, metric="validation/loss")
    assert [entry[0] for entry in study.log] == ["ask", "ask", "tell", "tell"] * 2 + ["ask", "tell"]
    assert counted.calls == [(2, 2), (2, 2), (1, 2)]
    assert [rate for rate, _, _ in study.told] == study.rates
    np.testing.assert_allclose([value for _, value, _ in study.told], loss_after(study.rates, 2), rtol=1e-5)
    assert [setting["learning_rate"] for setting in found.settings] == study.rates
    assert found.best() == 2


@pytest.mark.usefixtures("fake_optuna")
def test_what_diverged_is_told_as_pruned():
    study = Study([0.1, DIVERGING])
    ask_and_tell(study, train, RATE, trials=2, epochs=1, metric="validation/loss")
    assert study.told[0][2] is None
    assert study.told[1] == (DIVERGING, None, "pruned")


@pytest.mark.usefixtures("fake_optuna")
def test_an_exception_fails_the_trials_of_its_batch():
    def broken(members, *, epochs, population=None):
        raise KeyboardInterrupt

    study = Study([0.1, 0.2, 0.3])
    with pytest.raises(KeyboardInterrupt):
        ask_and_tell(study, broken, RATE, trials=3, batch=2, epochs=1, metric="validation/loss")
    assert study.told == [(0.1, None, "fail"), (0.2, None, "fail")]


@pytest.mark.usefixtures("fake_optuna")
def test_distributions_and_values_are_mapped_there_and_back():
    assert as_optuna(log_uniform(0.01, 1)) == ("float", 0.01, 1, True)
    assert as_optuna(uniform(0, 1)) == ("float", 0, 1, False)
    assert as_optuna(choice(1, "a", None)) == ("categorical", (1, "a", None))
    assert as_optuna(choice((8,), (8, 8))) == ("categorical", ("(8,)", "(8, 8)"))
    study, asked = Study([0.1]), []

    def remember(members, **more):
        asked.extend(member.hyperparameters for member in members)
        raise InterruptedError

    given = RATE | {"features": choice((8,), (8, 8)), "momentum": 0.5}
    with pytest.raises(InterruptedError):
        ask_and_tell(study, remember, given, trials=1, epochs=1, metric="validation/loss")
    assert asked == [{"learning_rate": 0.1, "features": (8, 8), "momentum": 0.5}]
    assert set(study.log[0][1]) == {"learning_rate", "features"}  # a fixed value is none of the study's business


@pytest.mark.usefixtures("fake_optuna")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "`trials` must be at least 1; received 0"),
        ({"batch": 0}, "`batch` must be at least 1; received 0"),
        ({"distributions": {"learning_rate": 0.1}}, "`distributions` must hold one at least"),
        (
            {"metric": "validation/goodness"},
            r"must maximize .*; received .*\['minimize'\].*direction='maximize'",
        ),
    ],
)
def test_errors(change, message):
    arguments = {"distributions": RATE, "trials": 1, "epochs": 1, "metric": "validation/loss"} | change
    with pytest.raises(ValueError, match=message):
        ask_and_tell(Study([0.1]), train, arguments.pop("distributions"), **arguments)


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"needs Optuna: pip install 'jaxnn\[search\]'"):
        ask_and_tell(Study([0.1]), train, RATE, trials=1, epochs=1, metric="validation/loss")


def real_study(direction):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # constant_liar
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True, n_startup_trials=8)
    return optuna.create_study(direction=direction, sampler=sampler)


@first_of("metric", ["validation/loss", "validation/goodness"])
def test_a_real_study_finds_the_best_rate(metric):
    study = real_study("minimize" if metric == "validation/loss" else "maximize")
    given = {"learning_rate": log_uniform(1e-3, 1e3), "batch_size": choice(4)}
    found = ask_and_tell(study, train, given, trials=40, batch=8, epochs=1, metric=metric)
    assert abs(np.log10(study.best_params["learning_rate"])) < 0.1
    assert study.best_trial.number == found.best()
    assert study.best_value == found.scores[found.best()]


def test_a_real_study_keeps_diverged_trials_as_pruned():
    study = real_study("minimize")
    given = {"learning_rate": log_uniform(1e-3, 1e30)}
    found = ask_and_tell(study, train, given, trials=24, batch=8, epochs=1, metric="validation/loss")
    pruned = np.array([trial.state.name == "PRUNED" for trial in study.trials])
    assert (pruned == np.isnan(found.scores)).all()
    assert pruned[:8].any()
    assert pruned[16:].mean() < pruned[:8].mean()  # it has learned where not to look
