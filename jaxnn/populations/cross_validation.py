"""Cross-validation compares settings on data that their trainings did not see, in one population."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnn.populations.k_folds_and_bootstraps import k_fold, stratified_k_fold
from jaxnn.populations.members import members_of
from jaxnn.populations.population_training import check_metric
from jaxnn.training.early_stopping import is_better_large


class CrossValidation(NamedTuple):
    """Holds the score of each setting on each fold.

    settings: the hyperparameters. scores: (settings, folds * seeds), folds slowest; NaN where a run diverged.
    metric: the name of the metric. folds: the number of folds.
    """

    settings: list[dict[str, Any]]
    scores: np.ndarray
    metric: str
    folds: int

    @property
    def mean(self) -> np.ndarray:
        """Returns the mean score of each setting over folds and seeds, (settings,)."""
        return self.scores.mean(axis=1)

    @property
    def standard_error(self) -> np.ndarray:
        """Returns the standard error of each mean, (settings,): `s / sqrt(folds)`.

        s is the standard deviation, over the folds, of the mean over seeds in each fold. The folds share training data
        and so are not independent: this usual estimate is a little too small (Bengio and Grandvalet 2004: no estimate
        is unbiased).
        """
        of_folds = self.scores.reshape(len(self.settings), self.folds, -1).mean(axis=2)
        return of_folds.std(axis=1, ddof=1) / np.sqrt(self.folds)

    def best(self) -> int:
        """Returns the position of the best mean, the first of equals; settings with a diverged run are left out.

        Raises:
          ValueError: every setting has a diverged run.
        """
        return int(self._ranking()[0])

    def one_standard_error(self, complexity: Sequence[float] | Callable[[dict], float]) -> int:
        """Returns the simplest setting whose mean is within one standard error of the best mean.

        The standard error is that of the best setting.

        Args:
          complexity: (settings,) numbers, or a function of a setting; the least is the simplest. Among equally simple
            settings the one with the better mean is chosen.

        Raises:
          ValueError: the number of complexities is not the number of settings, or every setting has a diverged run.

        Breiman et al. 1984, Classification and regression trees, section 3.4.3.

        >>> scores = np.array([[0.7, 0.7], [0.88, 0.88], [0.85, 0.95]])  # the best mean is 0.9, its standard error 0.05
        >>> CrossValidation([{}, {}, {}], scores, "validation/accuracy", 2).one_standard_error([1, 2, 3])
        1
        """
        complexity = [complexity(setting) for setting in self.settings] if callable(complexity) else list(complexity)
        if len(complexity) != len(self.settings):
            raise ValueError(
                f"`complexity` must be {len(self.settings)} numbers, one a setting; received {len(complexity)}. "
                "A function of a setting will do, too."
            )
        ranking = self._ranking()
        worst = self._cost[ranking[0]] + self.standard_error[ranking[0]]
        return int(min((i for i in ranking if self._cost[i] <= worst), key=lambda i: complexity[i]))

    def table(self) -> list[dict[str, Any]]:
        """Returns a row per setting, best first: hyperparameters, the mean under the metric's name, and its error."""
        order = np.argsort(np.where(np.isnan(self._cost), np.inf, self._cost), kind="stable")
        mean, error = self.mean.tolist(), self.standard_error.tolist()
        return [self.settings[i] | {self.metric: mean[i], "standard_error": error[i]} for i in order]

    @property
    def _cost(self):
        """Returns one cost per setting, (settings,); a lower cost is better."""
        return -self.mean if is_better_large(self.metric) else self.mean

    def _ranking(self):
        """Returns the positions of the settings, best first, without those that diverged."""
        cost = self._cost
        ranking = [i for i in np.argsort(cost, kind="stable") if np.isfinite(cost[i])]
        if not ranking:
            raise ValueError(
                f"one setting at least must have a finite {self.metric} in every run; received none among "
                f"{len(self.settings)}. Lower the learning rates."
            )
        return ranking


def cross_validate(
    train: Callable,
    settings: Iterable[Mapping[str, Any]],
    labels_or_examples,
    *,
    folds: int = 5,
    stratified: bool = True,
    seeds: Iterable[int] = (0,),
    epochs: int,
    metric: str = "validation/accuracy",
    fold_seed: int = 0,
) -> CrossValidation:
    """Trains every setting on all folds but one, for each fold and each seed, and measures it on the fold left out.

    All settings x folds x seeds are one population. Settings that differ only in floats share one program if the
    number of examples is a multiple of the number of folds (else two programs: the folds differ by one example).

    Args:
      train: `train(members, *, epochs) -> Population`, such as a `functools.partial` of `populations.fit`.
      settings: dicts of hyperparameters, such as `grid` makes.
      labels_or_examples: (n,) labels of the training data; if not `stratified`, the number n is enough.
      folds: number of parts into which the data are cut.
      stratified: whether each fold has about the same number of examples of each class.
      seeds: seeds of the runs, for every setting and fold.
      epochs: epochs of every run.
      metric: name of a metric in the population's history; its value after the last epoch is the score.
      fold_seed: seed that draws the folds.

    Raises:
      ValueError: no settings or seeds, a number where stratified folds need integer labels, too many folds, a metric
        that is not measured.

    Stone 1974, Cross-validatory choice and assessment of statistical predictions.
    """
    check_metric(train, metric, splits=True)
    settings, seeds = [dict(setting) for setting in settings], list(seeds)
    splits = _folds(labels_or_examples, folds, stratified, fold_seed)
    population = train(members_of(settings, seeds=seeds, splits=splits), epochs=epochs)
    scores = np.where(population.diverged, np.nan, population.last(metric))
    return CrossValidation(settings, scores.reshape(len(settings), -1), metric, folds)


def _folds(labels_or_examples, folds, stratified, seed):
    labels = np.asarray(labels_or_examples)
    if not stratified:
        return k_fold(len(labels) if labels.ndim else int(labels), folds, seed=seed)
    if labels.ndim != 1 or labels.dtype.kind not in "biuUS":
        received = f"the number {labels_or_examples}" if not labels.ndim else f"{labels.dtype} of shape {labels.shape}"
        raise ValueError(
            f"`labels_or_examples` must be (n,) classes for stratified folds; received {received}. Pass the labels, or "
            "stratified=False."
        )
    return stratified_k_fold(labels, folds, seed=seed)
