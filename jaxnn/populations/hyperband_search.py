"""Successive halving stops bad settings early; Hyperband runs it several times, with different times of the first stop.

A rung is one population; its survivors go on from their states. If the trainer has a fixed `chunk=`
(`populations.fit`), all rungs run the program that the first one compiled; otherwise a smaller rung is a program of its
own.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.populations.hyperparameter_search import SearchResult, joined, ranked, scores_of, together
from jaxnn.populations.members import members_of
from jaxnn.populations.population import Population
from jaxnn.populations.population_training import check_metric
from jaxnn.populations.search_spaces import random_settings


def successive_halving(
    train: Callable[..., Population],
    settings: Iterable[Mapping[str, Any]],
    *,
    epochs: Sequence[int] = (1, 3, 9),
    keep: float = 1 / 3,
    metric: str = "validation/accuracy",
    seed: int = 0,
) -> SearchResult:
    """Trains all settings for a few epochs, keeps the best ones, trains those for longer, and so on.

    The method is that of Jamieson and Talwalkar 2016, arXiv 1502.07943. Rung k has n_k settings, which are trained up
    to r_k epochs in all:

        n_{k+1} = max(1, floor(keep n_k)),        budget = sum_k n_k (r_k - r_{k-1}),    r_{-1} = 0.

    Nothing is trained twice: survivors go on from their states. Settings that diverged rank last, and cost no more
    training.

    Args:
      train: a trainer, see `search`.
      settings: dicts name -> value.
      epochs: r, the total epochs at the end of each rung, increasing.
      keep: fraction of the settings that goes on to the next rung, in (0, 1).
      metric: the metric by which settings are ranked, see `search`.
      seed: seed of every member.

    Returns:
      The `SearchResult` for all settings: `epochs` are the epochs granted, `scores` are from the last rung of each.

    Raises:
      ValueError: no settings, rungs that do not increase, `keep` outside (0, 1), a metric that is not measured.
    """
    _check(epochs, keep)
    check_metric(train, metric)
    settings = [dict(setting) for setting in settings]
    members = members_of(settings, seeds=(seed,))
    alive, granted, population, stopped = np.arange(len(settings)), np.zeros(len(settings), int), None, []
    for until in epochs:
        population = train([members[i] for i in alive], epochs=int(until), population=population)
        granted[alive] = until
        best = ranked(scores_of(population, metric), metric)
        count = survivors(len(alive), keep) if until != epochs[-1] else 0
        stay, leave = np.sort(best[:count]), np.sort(best[count:])
        stopped.append((alive[leave], population.select(leave.tolist())))
        alive, population = alive[stay], population.select(stay.tolist())
    order = np.argsort(np.concatenate([positions for positions, _ in stopped]))
    whole = joined([part for _, part in stopped]).select(order.tolist())
    return SearchResult(settings, scores_of(whole, metric), granted, metric, whole)


def hyperband(
    train: Callable[..., Population],
    distributions: Mapping[str, Any],
    *,
    most_epochs: int = 9,
    factor: int = 3,
    seed: int = 0,
    metric: str = "validation/accuracy",
) -> SearchResult:
    """Runs successive halving in brackets: many settings judged early, fewer judged later, ..., a few never stopped.

    It is not known how early a learning curve shows its end, so `brackets` spend similar budgets on each possibility
    (Li et al. 2018, JMLR 18, arXiv 1603.06560, algorithm 1).

    Args:
      train: a trainer, see `search`.
      distributions: name -> `log_uniform`, `uniform`, `choice`, or one value for all settings.
      most_epochs: R, the largest number of epochs that one setting gets.
      factor: eta; one in `factor` settings of a rung goes on, for `factor` times as many epochs.
      seed: seed of the draws, and of every member.
      metric: see `search`.

    Returns:
      The `SearchResult` of all brackets, in their order.

    Raises:
      ValueError: `most_epochs` below 1, `factor` below 2.
    """
    results = []
    for i, (count, rungs) in enumerate(brackets(most_epochs, factor)):
        settings = random_settings(count, seed=(seed, i), **distributions)
        results.append(successive_halving(train, settings, epochs=rungs, keep=1 / factor, metric=metric, seed=seed))
    return together(results)


def brackets(most_epochs: int, factor: int = 3) -> list[tuple[int, tuple[int, ...]]]:
    """Returns Hyperband's brackets s = s_max, ..., 0: the number of settings that begin, and the epochs of the rungs.

        s_max = floor(log_eta R),        n_s = ceil((s_max + 1) / (s + 1) eta^s),        r_i = floor(R eta^{i - s})

    Raises:
      ValueError: R = `most_epochs` below 1, eta = `factor` below 2.

    >>> brackets(9)
    [(9, (1, 3, 9)), (5, (3, 9)), (3, (9,))]
    """
    if most_epochs < 1 or factor < 2:
        raise ValueError(
            f"`most_epochs` must be at least 1 and `factor` at least 2; received {most_epochs} and {factor}."
        )
    last = max(s for s in range(most_epochs.bit_length()) if factor**s <= most_epochs)
    rungs = lambda s: tuple(most_epochs // factor ** (s - i) for i in range(s + 1))
    return [(-(-(last + 1) * factor**s // (s + 1)), rungs(s)) for s in range(last, -1, -1)]


def survivors(count: int, keep: float) -> int:
    """Returns how many of `count` settings go on: `floor(count * keep)`, at least one.

    A product that rounding left just below a whole number counts as that number.


    >>> survivors(100, 0.29), survivors(2, 1 / 3)
    (29, 1)
    """
    return max(1, math.floor(count * keep + 1e-9))


def _check(epochs, keep) -> None:
    rungs = list(epochs)
    if not rungs or any(later <= earlier for earlier, later in zip([0, *rungs], rungs, strict=False)):
        raise ValueError(
            f"`epochs` must be at least 1 and increase from rung to rung, as (1, 3, 9); received {epochs}."
        )
    if not 0 < keep < 1:
        raise ValueError(f"`keep` must lie in (0, 1): a third keeps 3 of 9; received {keep}.")
