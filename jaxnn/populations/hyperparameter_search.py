"""Searches over settings, each one population, and their results: scores, ranking, table.

A trainer is what every search is given: `train(members, *, epochs, population=None) -> Population`, as a rule
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
    """What was tried, and how good it was.

    settings: as tried. scores: (n,) the last `metric` of each, the mean over seeds; NaN if one of them diverged.
    epochs: (n,) that each was granted; in a search that stops some early, those that got more rank before.
    population: the members, settings slowest, then seeds. on_border: names of the hyperparameters whose best value lies
    so near an end of its range that a better one may lie beyond it: search again with a wider range.
    """

    settings: list[dict[str, Any]]
    scores: np.ndarray
    epochs: np.ndarray
    metric: str
    population: Population | None = None
    on_border: tuple[str, ...] = ()

    def ranking(self) -> np.ndarray:
        """(n,) positions, the best first: by epochs granted, then by score; what diverged comes last."""
        return ranked(self.scores, self.metric, self.epochs)

    def best(self) -> int:
        """The first of the ranking.

        Raises:
          ValueError: all diverged.
        """
        if not np.isfinite(self.scores).any():
            raise ValueError(
                f"one setting at least must have a finite {self.metric}; all {len(self.scores)} diverged. "
                "Lower the learning rates."
            )
        return int(self.ranking()[0])

    def table(self) -> list[dict[str, Any]]:
        """A row for each setting, the best first: rank, hyperparameters, the metric, epochs."""
        return [
            {"rank": rank, **self.settings[i], self.metric: float(self.scores[i]), "epochs": int(self.epochs[i])}
            for rank, i in enumerate(self.ranking(), 1)
        ]

    def write_csv(self, path: str | Path) -> None:
        """The table, with a line of names."""
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
    """Trains every setting with every seed as one population: a grid (`grid`), or points at random (`random_settings`).

    Args:
      train: a trainer.
      settings: name -> value each, all of the same names.
      epochs: of each.
      seeds: by which a score is averaged.
      metric: "validation/loss", "train/accuracy", ...; of a loss, an error or a perplexity less is better.

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
    """Random search in ranges that close in on the best setting so far (CS231n, "Hyperparameter optimization").

    The first round looks at the whole ranges. Those after it look h to either side of the best, h in decades:

        h_0 = log10(high / low) / 2,        h_r = min(1, h_{r-1} / 2):

    first a factor of ten to either side, then of its square root. A linear range is halved each round; a choice stays.
    If the next round would look beyond an end of a range given, the result says so: `on_border`.

    Args:
      train: a trainer.
      ranges: name -> `log_uniform`, `uniform`, `choice`, or a value for all.
      trials: settings in a round; rounds are of one size, and share compiled programs.
      rounds: one at least.
      epochs: of each setting.
      seed: of the draws, and of every member.
      metric: see `search`.

    Returns:
      The `SearchResult` of all rounds, the first one first.

    Raises:
      ValueError: no range to search in, fewer than one trial or round; a round in which all has diverged so far.
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
    """Several results by one metric as one, in order."""
    return SearchResult(
        [setting for result in results for setting in result.settings],
        np.concatenate([result.scores for result in results]),
        np.concatenate([result.epochs for result in results]),
        results[0].metric,
        joined([result.population for result in results]),
    )


def joined(populations: Sequence[Population]) -> Population:
    """One population of several that measured the same; after its last epoch a history goes on with NaN."""
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
    """(members,) the last metric, NaN for those that diverged."""
    return np.where(population.diverged, np.nan, population.last(metric))


def ranked(scores, metric: str, epochs=None) -> np.ndarray:
    """(n,) positions, the best first; what is not finite comes last, whatever its epochs.

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
