"""Optuna proposes trials, and a population trains many of them at once instead of one after the other."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxnn.populations.hyperparameter_search import SearchResult, search, together
from jaxnn.populations.population import Population
from jaxnn.populations.search_spaces import Choice, Range, is_distribution
from jaxnn.training.early_stopping import is_better_large


def ask_and_tell(
    study,
    train: Callable[..., Population],
    distributions: Mapping[str, Any],
    *,
    trials: int,
    batch: int = 16,
    epochs: int,
    metric: str = "validation/accuracy",
    seed: int = 0,
) -> SearchResult:
    """Asks an Optuna study for a batch of trials, trains them as one population, tells the scores, and repeats this.

    A trial that diverged is reported as pruned, without a value. Samplers regard a pruned trial as worse than others,
    but they ignore a failed one and would propose similar values again. If `train` raises, the batch is reported as
    failed. All trials of a batch are asked before any is reported; `TPESampler(constant_liar=True)` then keeps them
    apart.

    Args:
      study: `optuna.create_study(direction="maximize")`, or "minimize" for a loss; its earlier trials count.
      train: a trainer, see `search`.
      distributions: name -> `log_uniform`, `uniform`, `choice`; anything else is a value for all.
      trials: number of trials in all; a last batch that is smaller than the others may be compiled anew.
      batch: trials in a population.
      epochs: epochs of each trial.
      metric: the score that is reported, see `search`.
      seed: seed of every member; the study's sampler draws the values.

    Returns:
      The `SearchResult` of all trials, in the order in which they were asked.

    Raises:
      ImportError: Optuna is not installed.
      ValueError: fewer than one trial or a batch of none, nothing to draw, or a study with another direction.
    """
    optuna = _optuna()
    _check(study, trials, batch, distributions, metric)
    drawn = {name: given for name, given in distributions.items() if is_distribution(given)}
    theirs, results = {name: as_optuna(given) for name, given in drawn.items()}, []
    for start in range(0, trials, batch):
        asked = [study.ask(theirs) for _ in range(min(batch, trials - start))]
        settings = [{**distributions, **_values(trial, drawn)} for trial in asked]
        try:
            results.append(search(train, settings, epochs=epochs, seeds=(seed,), metric=metric))
        except BaseException:
            _tell_failed(study, asked, optuna.trial.TrialState.FAIL)
            raise
        _tell(study, asked, results[-1].scores, optuna.trial.TrialState.PRUNED)
    return together(results)


def as_optuna(distribution: Range | Choice):
    """Converts a distribution to Optuna's.

    Values that Optuna could not store, such as tuples of widths, are represented by their text.


    Raises:
      ImportError: Optuna is not installed.
    """
    distributions = _optuna().distributions
    if isinstance(distribution, Choice):
        return distributions.CategoricalDistribution(tuple(map(_label, distribution.values)))
    return distributions.FloatDistribution(distribution.low, distribution.high, log=distribution.log)


def _values(trial, distributions) -> dict[str, Any]:
    """Returns the values that a trial proposes, converted from Optuna's."""

    def value(name, given):
        proposed = trial.params[name]
        return next(v for v in given.values if _label(v) == proposed) if isinstance(given, Choice) else float(proposed)

    return {name: value(name, given) for name, given in distributions.items()}


def _label(value):
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _tell(study, asked, scores, pruned) -> None:
    for trial, score in zip(asked, scores, strict=True):
        if score == score:  # not NaN
            study.tell(trial, float(score))
        else:
            study.tell(trial, state=pruned)


def _tell_failed(study, asked, failed) -> None:
    for trial in asked:
        study.tell(trial, state=failed)


def _check(study, trials, batch, distributions, metric) -> None:
    for name, value in (("trials", trials), ("batch", batch)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1; received {value}.")
    if not any(map(is_distribution, distributions.values())):
        raise ValueError(f"`distributions` must hold one at least, as log_uniform(1e-5, 1); received {distributions}.")
    expected = "maximize" if is_better_large(metric) else "minimize"
    received = [direction.name.lower() for direction in study.directions]
    if received != [expected]:
        raise ValueError(
            f"`study` must {expected} {metric}; received one with the directions {received}. "
            f"Make it by optuna.create_study(direction={expected!r})."
        )


def _optuna():
    try:
        import optuna
    except ImportError as error:
        raise ImportError("`ask_and_tell` needs Optuna: pip install 'jaxnn[search]'.") from error
    return optuna
