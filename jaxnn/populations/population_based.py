"""Population-based training finds a schedule of hyperparameters while the members train."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnn.populations.hyperparameter_search import ranked, scores_of
from jaxnn.populations.members import Member, check_members, is_traced
from jaxnn.populations.population import Population
from jaxnn.populations.population_training import check_metric


class PbtResult(NamedTuple):
    """Holds the trained members and their ancestry; a round is the training between two exchanges.

    population: the members after the last round; the history of a member is that of its state's ancestors. lineage:
    (rounds, members) the member of the round before from which each state came (in the first round, the member itself).
    hyperparameters: name -> (rounds, members), the values of each traced hyperparameter. scores: (rounds, members)
    after each round, NaN for diverged members.
    """

    population: Population
    lineage: np.ndarray
    hyperparameters: dict[str, np.ndarray]
    scores: np.ndarray

    def ancestors(self, member: int) -> np.ndarray:
        """Returns the members that trained the state of `member` in each round, (rounds,); the last is `member`."""
        path = [member]
        for sources in self.lineage[:0:-1]:
            path.append(int(sources[path[-1]]))
        return np.array(path[::-1])

    def schedule(self, member: int) -> dict[str, np.ndarray]:
        """Returns name -> (rounds,), the hyperparameters with which the state of `member` was trained.

        Population-based training finds such a schedule, not one setting.
        """
        path = self.ancestors(member)
        return {name: values[np.arange(len(path)), path] for name, values in self.hyperparameters.items()}


def population_based_training(
    train: Callable[..., Population],
    settings: Iterable[Mapping[str, Any]],
    *,
    epochs: int,
    every: int = 1,
    metric: str = "validation/accuracy",
    quantile: float = 0.25,
    perturb: tuple[float, float] = (0.8, 1.25),
    ranges: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> PbtResult:
    """Trains members of which the worst, every few epochs, continue from the states of good ones.

    The method is that of Jaderberg et al. 2017, arXiv 1711.09846. Exploit: each of the worst members, and each member
    that diverged, gets the state and the hyperparameters of a member drawn from the best ones. Explore: each of its
    floats is then multiplied by a factor drawn from `perturb`. The other members go on unchanged. Floats are inputs of
    the compiled step, so that a later round compiles nothing. Static hyperparameters move with the state; the number of
    members with each of them then changes, and so may the programs.

    Args:
      train: a trainer, see `search`.
      settings: the first settings of the members, dicts name -> value; member i has the seed `seed` + i.
      epochs: epochs in all.
      every: epochs in a round.
      metric: the metric by which members are ranked, see `search`.
      quantile: fraction of the members that counts as worst, and as best, in (0, 0.5]; at least one member.
      perturb: the factors.
      ranges: name -> `uniform`, ...: ranges that perturbation must not leave, such as a momentum below 1.
      seed: seed of the draws, too.

    Returns:
      The `PbtResult`; `population.best(metric)` is the member to use.

    Raises:
      ValueError: fewer than two settings, epochs or a part out of range, a factor that is not positive, a range for an
        unknown name, a metric that is not measured; all members diverged.
    """
    members = check_members([Member(seed + i, dict(setting)) for i, setting in enumerate(settings)])
    _check(members, epochs, every, quantile, perturb, ranges or {})
    check_metric(train, metric)
    rng, population, sources, rounds = np.random.default_rng(seed), None, np.arange(len(members)), []
    for until in [*range(every, epochs, every), epochs]:
        if population is not None:
            sources = exploited(scores_of(population, metric), metric, quantile=quantile, rng=rng)
            members = _explored(members, sources, perturb, ranges or {}, rng)
            population = population.select(sources.tolist())
        population = train(members, epochs=until, population=population)
        rounds.append((sources, members, scores_of(population, metric)))
    lineage, told, scores = zip(*rounds, strict=True)
    return PbtResult(population, np.stack(lineage), _floats(told), np.stack(scores))


def exploited(scores, metric: str, *, quantile: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the source of each member's next state, (members,): itself, or, for the worst and diverged, a good one.

    Raises:
      ValueError: all members diverged.

    >>> exploited(np.array([0.9, 0.2, 0.5, np.nan]), "validation/accuracy", quantile=0.25, rng=np.random.default_rng(0))
    array([0, 1, 2, 0])
    """
    order, finite = ranked(scores, metric), np.isfinite(scores)
    if not finite.any():
        raise ValueError(
            f"one member at least must have a finite {metric}; all {len(scores)} diverged. Lower the rates."
        )
    part = max(1, int(quantile * len(scores)))
    best = order[:part][finite[order[:part]]]
    replaced = np.setdiff1d(np.union1d(order[-part:], np.flatnonzero(~finite)), best)
    sources = np.arange(len(scores))
    sources[replaced] = rng.choice(best, size=len(replaced))
    return sources


def _explored(members: Sequence[Member], sources, perturb, ranges, rng) -> list[Member]:
    """Returns the members; those with another source get its hyperparameters, perturbed."""

    def moved(name, value):
        if not is_traced(value):
            return value
        value = float(value) * float(rng.choice(perturb))
        return ranges[name].clip(value) if name in ranges else value

    def successor(i, source):
        if i == source:
            return members[i]
        given = members[source].hyperparameters
        return members[i]._replace(hyperparameters={name: moved(name, value) for name, value in given.items()})

    return [successor(i, source) for i, source in enumerate(sources)]


def _floats(rounds: Sequence[Sequence[Member]]) -> dict[str, np.ndarray]:
    names = [name for name, value in rounds[0][0].hyperparameters.items() if is_traced(value)]
    return {name: np.array([[m.hyperparameters[name] for m in members] for members in rounds]) for name in names}


def _check(members, epochs, every, quantile, perturb, ranges) -> None:
    if len(members) < 2:
        raise ValueError("`settings` must be two at least, of which one takes over the other's state; received one.")
    if not 1 <= every <= epochs:
        raise ValueError(f"`every` must be between 1 and `epochs`, {epochs}; received {every}.")
    if not 0 < quantile <= 0.5:
        raise ValueError(f"`quantile` must lie in (0, 0.5], so that best and worst are different; received {quantile}.")
    if not perturb or min(perturb) <= 0:
        raise ValueError(f"`perturb` must be positive factors, as (0.8, 1.25); received {perturb}.")
    names = [name for name, value in members[0].hyperparameters.items() if is_traced(value)]
    if set(ranges) - set(names):
        raise ValueError(f"`ranges` must name floats of the settings, {names}; received {sorted(ranges)}.")
