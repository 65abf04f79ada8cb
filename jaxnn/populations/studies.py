"""A study varies one thing, repeats the rest over seeds, and measures how far the means can be trusted.

Every study trains one population, so that runs which differ in seeds and floats share a program.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.metrics import Interval, Moments, student_interval
from jaxnn.naming import unknown
from jaxnn.populations.k_folds_and_bootstraps import Split, hold_out, nested_parts
from jaxnn.populations.members import Member, grid, members_of
from jaxnn.populations.population import Population
from jaxnn.training.early_stopping import is_better_large


class Study(NamedTuple):
    """Holds metrics at some points, each measured in several runs.

    x: (points,) the varied values: numbers, or a dict for each point. measured: name -> (points, repeats) for every
    metric of the population, NaN where a run diverged. metric: the name of the metric in `scores`.
    """

    x: np.ndarray | list[dict[str, Any]]
    measured: dict[str, np.ndarray]
    metric: str

    @property
    def scores(self) -> np.ndarray:
        """Returns the values of `metric`, (points, repeats)."""
        return self.measured[self.metric]

    @property
    def mean(self) -> np.ndarray:
        """Returns the mean over the repeats, (points,); NaN if one of the repeats diverged."""
        return self.scores.mean(axis=1)

    @property
    def interval(self) -> Interval:
        """Returns Student's 95 % interval of each mean, low and high, (points,) each.

        The interval is for another set of runs on the same test data. It is NaN for a single repeat.
        """
        mean = self.mean
        deviations = self.scores - mean[:, None]  # the squares of scores near 1 would lose the variance in float32
        count = np.full(len(mean), self.scores.shape[1], float)
        around = student_interval(Moments(np.zeros_like(mean), (deviations**2).sum(axis=1), count))
        return Interval(*(mean + np.asarray(end, float) for end in around))

    def of(self, metric: str) -> "Study":
        """Returns the study of the same runs by another metric, such as "train/accuracy".

        Raises:
          ValueError: a metric that was not measured.
        """
        if metric not in self.measured:
            raise unknown("metric", metric, self.measured)
        return self._replace(metric=metric)

    def best(self) -> int:
        """Returns the position of the point with the best mean; points with a diverged run are left out.

        Raises:
          ValueError: every point has a diverged run.
        """
        cost = -self.mean if is_better_large(self.metric) else self.mean
        if np.isnan(cost).all():
            raise ValueError(
                f"one point at least must have a finite {self.metric} in every run; received none among {len(cost)}. "
                "Lower the learning rate."
            )
        return int(np.nanargmin(cost))

    def table(self) -> list[dict[str, Any]]:
        """Returns a row per point: the varied values, the mean under the metric's name, the ends of its interval."""
        columns = zip(self.x, self.mean.tolist(), *(end.tolist() for end in self.interval), strict=True)
        named = lambda point: point if isinstance(point, dict) else {"x": point.item()}
        return [named(point) | {self.metric: mean, "low": low, "high": high} for point, mean, low, high in columns]


def seeds_study(
    train: Callable,
    seeds: Iterable[int],
    *,
    epochs: int,
    metric: str = "validation/accuracy",
    setting: Mapping[str, Any] | None = None,
) -> Study:
    """Measures how much a result depends on its seed: the metric after every epoch, over seeds.

    Args:
      train: `train(members, *, epochs) -> Population`, such as a `functools.partial` of `populations.fit`.
      seeds: seeds of the runs; five or more make the intervals useful.
      epochs: epochs of every run.
      metric: name of a metric in the population's history.
      setting: the hyperparameters of all runs.

    Returns:
      A `Study` whose x is the epochs, 1 to the last; NaN after an epoch in which a run stopped.

    Raises:
      ValueError: no seeds, or a metric that was not measured.

    Bouthillier et al. 2021, Accounting for variance in machine learning benchmarks, arXiv 2103.03098.
    """
    population = train(members_of([setting or {}], seeds=seeds), epochs=epochs)
    measured = {
        name: np.where(population.diverged[None], np.nan, values) for name, values in population.history.items()
    }
    made = max(map(len, measured.values()))  # fewer than `epochs` if patience, or a hook, ended all runs
    return Study(np.arange(1, made + 1), measured, metric).of(metric)


def learning_curve(
    train: Callable,
    split_or_examples: Split | int,
    sizes: Iterable[int],
    *,
    seeds: Iterable[int] = range(5),
    epochs: int,
    metric: str = "validation/accuracy",
) -> Study:
    """Measures the metric against the number of training examples: would more data help?

    Each seed shuffles the training rows and uses the first `size` of them for each size. So the parts of a seed are
    nested, and the interval covers the choice of the examples as well as the run. Every run has the same number of
    epochs, so that small parts get fewer updates.

    Args:
      train: as for `seeds_study`; its batch size must not exceed the smallest size.
      split_or_examples: the rows that are cut into parts, and the rows on which all runs are tested; for a number,
        `hold_out` of it.
      sizes: sizes of the parts; each size is a program of its own.
      seeds, epochs, metric: as for `seeds_study`.

    Returns:
      A `Study` whose x is the sizes.

    Raises:
      ValueError: no sizes or seeds, a size below 1 or beyond the split, a metric that was not measured.

    Cortes et al. 1993, Learning curves: asymptotic values and rate of convergence.
    """
    split = split_or_examples if isinstance(split_or_examples, Split) else hold_out(split_or_examples)
    sizes, seeds = [int(size) for size in sizes], list(seeds)
    if not sizes or not seeds:
        raise ValueError(
            f"`sizes` and `seeds` must have one value each at least; received {len(sizes)} and {len(seeds)}. "
            "Five seeds make the intervals useful."
        )
    parts = {seed: nested_parts(_shuffled(split, seed), sizes) for seed in seeds}
    members = [Member(int(seed), {}, parts[seed][i]) for i in range(len(sizes)) for seed in seeds]
    return _studied(np.array(sizes), train(members, epochs=epochs), metric)


def layers_of(width: int, depth: int) -> dict[str, Any]:
    """Returns the static hyperparameters of an `MLP` with `depth` hidden layers of one width.

    >>> layers_of(64, 2)
    {'features': (64, 64)}
    """
    return {"features": (width,) * depth}


def capacity_study(
    train: Callable,
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    regularization: Mapping[str, Sequence] | None = None,
    architecture: Callable[[int, int], Mapping[str, Any]] = layers_of,
    seeds: Iterable[int] = range(3),
    epochs: int,
    metric: str = "validation/accuracy",
) -> Study:
    """Measures the metric over width x depth x regularization, from underfitting to overfitting.

    A comparison with `study.of("train/loss")` distinguishes underfitting from overfitting.

    Args:
      train: as for `seeds_study`, for a model that takes the hyperparameters that `architecture` returns.
      widths, depths: each pair is a program of its own.
      regularization: name -> values, such as weight_decay=[0.0, 1e-4]; floats share the program of their pair.
      architecture: `(width, depth) -> hyperparameters` of the model.
      seeds, epochs, metric: as for `seeds_study`.

    Returns:
      A `Study` whose x are dicts of width, depth, the regularization, and the number of `parameters`.

    Raises:
      ValueError: a range without values, no seeds, a metric that was not measured.

    Geman et al. 1992, Neural networks and the bias/variance dilemma; Belkin et al. 2019, arXiv 1812.11118, for models
    with still more parameters.
    """
    regularization, seeds = dict(regularization or {}), list(seeds)
    points = grid(width=list(widths), depth=list(depths), **regularization)
    rest = lambda point: {name: point[name] for name in regularization}
    settings = [{**architecture(point["width"], point["depth"]), **rest(point)} for point in points]
    population = train(members_of(settings, seeds=seeds), epochs=epochs)
    counts = [_parameters(state) for state in population.states[:: len(seeds)]]
    x = [point | {"parameters": count} for point, count in zip(points, counts, strict=True)]
    return _studied(x, population, metric)


def _studied(x, population: Population, metric) -> Study:
    """Makes a study of the last value of every metric, points slowest."""
    last = {name: np.where(population.diverged, np.nan, population.last(name)) for name in population.history}
    return Study(x, {name: values.reshape(len(x), -1) for name, values in last.items()}, metric).of(metric)


def _shuffled(split, seed):
    return Split(np.random.default_rng(seed).permutation(split.train), split.test)


def _parameters(state) -> int:
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(state.params))
