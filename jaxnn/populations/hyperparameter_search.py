"""A search trains many settings as one population and returns their scores, ranking and table.

Every search takes a trainer, `train(members, *, epochs, population=None) -> Population`. Usually it is
`functools.partial(populations.fit, model, data, optimizer=..., validation=...)`.
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnn.populations.members import members_of
from jaxnn.populations.population import Population
from jaxnn.populations.population_training import check_metric
from jaxnn.populations.search_spaces import Range, random_settings
from jaxnn.training.early_stopping import is_better_large


class SearchResult(NamedTuple):
    """Holds the settings that a search tried, and their scores.

    settings: the settings, in the order tried. scores: (n,) the last `metric` of each, the mean over seeds; NaN if one
    of the seeds diverged. epochs: (n,) the epochs granted to each; in a search that stops some settings early, settings
    with more epochs rank first. population: the members, settings slowest, then seeds. on_border: names of the
    hyperparameters whose best value is so near an end of its range that a better one may lie beyond it: search again
    with a wider range.
    """

    settings: list[dict[str, Any]]
    scores: np.ndarray
    epochs: np.ndarray
    metric: str
    population: Population | None = None
    on_border: tuple[str, ...] = ()

    def ranking(self) -> np.ndarray:
        """Returns the positions, best first, (n,): by epochs granted, then by score; diverged settings come last."""
        return ranked(self.scores, self.metric, self.epochs)

    def best(self) -> int:
        """Returns the position of the best setting, the first of the ranking.

        Raises:
          ValueError: all settings diverged.
        """
        if not np.isfinite(self.scores).any():
            raise ValueError(
                f"one setting at least must have a finite {self.metric}; all {len(self.scores)} diverged. "
                "Lower the learning rates."
            )
        return int(self.ranking()[0])

    def table(self) -> list[dict[str, Any]]:
        """Returns one row per setting, best first: rank, hyperparameters, the metric, epochs."""
        return [
            {"rank": rank, **self.settings[i], self.metric: float(self.scores[i]), "epochs": int(self.epochs[i])}
            for rank, i in enumerate(self.ranking(), 1)
        ]

    def write_csv(self, path: str | Path) -> None:
        """Writes the table to a CSV file, with a first line of names."""
        rows = self.table()
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def search(
    train: Callable[..., Population],
    settings: Iterable[Mapping[str, Any]],
    *,
    epochs: int,
    seeds: Sequence[int] = (0,),
    metric: str = "validation/accuracy",
) -> SearchResult:
    """Trains every setting with every seed as one population; `grid` and `random_settings` make settings.

    Args:
      train: a trainer.
      settings: dicts name -> value, all with the same names.
      epochs: epochs of each run.
      seeds: seeds of the runs; a score is the mean over them.
      metric: "validation/loss", "train/accuracy", ...; a loss, an error or a perplexity is better if it is smaller.

    Returns:
      The `SearchResult`.

    Raises:
      ValueError: no settings, or a metric that is not measured.
    """
    check_metric(train, metric)
    settings = [dict(setting) for setting in settings]
    population = train(members_of(settings, seeds=seeds), epochs=epochs)
    scores = scores_of(population, metric).reshape(len(settings), len(seeds)).mean(axis=1)
    return SearchResult(settings, scores, np.full(len(settings), epochs), metric, population)


def coarse_to_fine(
    train: Callable[..., Population],
    ranges: Mapping[str, Any],
    *,
    trials: int,
    rounds: int = 3,
    epochs: int,
    seed: int = 0,
    metric: str = "validation/accuracy",
) -> SearchResult:
    """Searches at random in ranges that narrow around the best setting so far (CS231n, "Hyperparameter optimization").

    The first round draws from the whole ranges. Later rounds draw within h on either side of the best, h in decades:

        h_0 = log10(high / low) / 2,        h_r = min(1, h_{r-1} / 2):

    first a factor of at most ten on either side, then its square root. A linear range is halved in each round; a choice
    stays. If the next round would reach beyond an end of a given range, `on_border` of the result names that range.

    Args:
      train: a trainer.
      ranges: name -> `log_uniform`, `uniform`, `choice`, or one value for all settings.
      trials: settings in a round; rounds have one size, and share compiled programs.
      rounds: number of rounds, at least one.
      epochs: epochs of each setting.
      seed: seed of the draws, and of every member.
      metric: see `search`.

    Returns:
      The `SearchResult` of all rounds, in their order.

    Raises:
      ValueError: no range to search in, fewer than one trial or round; all settings so far diverged.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1; received {rounds}.")
    whole = {name: given for name, given in ranges.items() if isinstance(given, Range)}
    if not whole:
        raise ValueError(
            f"`ranges` must hold a range to close in on, as log_uniform(1e-5, 1); received {dict(ranges)}."
        )
    widths, current, results = {name: _half_width(given) for name, given in whole.items()}, dict(ranges), []
    for i in range(rounds):
        settings = random_settings(trials, seed=(seed, i), **current)
        results.append(search(train, settings, epochs=epochs, seeds=(seed,), metric=metric))
        found = together(results)
        best = found.settings[found.best()]
        widths = {name: _narrowed(width, whole[name]) for name, width in widths.items()}
        current |= {name: whole[name].around(best[name], width) for name, width in widths.items()}
    return found._replace(on_border=tuple(name for name in whole if _leaves(whole[name], best[name], widths[name])))


def together(results: Sequence[SearchResult]) -> SearchResult:
    """Joins several results by one metric into one, in order."""
    return SearchResult(
        [setting for result in results for setting in result.settings],
        np.concatenate([result.scores for result in results]),
        np.concatenate([result.epochs for result in results]),
        results[0].metric,
        joined([result.population for result in results]),
    )


def joined(populations: Sequence[Population]) -> Population:
    """Joins populations that measured the same metrics into one; shorter histories are padded with NaN."""
    longest = max(len(values) for population in populations for values in population.history.values())
    pad = lambda values: np.pad(values, ((0, longest - len(values)), (0, 0)), constant_values=np.nan)
    history = {
        name: np.concatenate([pad(population.history[name]) for population in populations], axis=1)
        for name in populations[0].history
    }
    lists = {
        name: [thing for population in populations for thing in getattr(population, name)]
        for name in ("members", "states", "models")
    }
    arrays = {
        name: np.concatenate([getattr(population, name) for population in populations])
        for name in ("epochs", "diverged")
    }
    return Population(history=history, **lists, **arrays)


def scores_of(population: Population, metric: str) -> np.ndarray:
    """Returns the last value of the metric, (members,), NaN for members that diverged."""
    return np.where(population.diverged, np.nan, population.last(metric))


def ranked(scores, metric: str, epochs=None) -> np.ndarray:
    """Returns the positions, best first, (n,); scores that are not finite come last, whatever their epochs.

    >>> ranked(np.array([0.3, np.nan, 0.1]), "validation/loss").tolist()
    [2, 0, 1]
    """
    finite = np.isfinite(scores)
    costs = np.where(finite, scores, 0.0) * (-1 if is_better_large(metric) else 1)
    epochs = np.zeros(len(costs), int) if epochs is None else np.asarray(epochs)
    return np.lexsort((costs, -epochs, ~finite))


def _half_width(given: Range) -> float:
    start, end = given.ends
    return (end - start) / 2


def _narrowed(half_width: float, given: Range) -> float:
    return min(half_width / 2, 1.0 if given.log else math.inf)


def _leaves(given: Range, value: float, half_width: float) -> bool:
    start, end = given.ends
    return not start + half_width <= given.position(value) <= end - half_width
