"""`find_learning_rate` suggests a learning rate: it tries all rates of a log grid briefly, as one population."""

from typing import NamedTuple

import numpy as np

from jaxnn.populations.hyperparameter_search import scores_of
from jaxnn.populations.members import grid, members_of
from jaxnn.populations.population_training import fit
from jaxnn.training.checked_data import as_split

_LEAST_DESCENT = 0.01  # part of the loss that must be gained: a smaller descent says nothing about the rate


class LearningRateSweep(NamedTuple):
    """Holds the losses of a sweep over learning rates, and the suggested rate.

    rates: (n,) rising. losses: (n,) after the short training, infinite where it diverged. suggestion: the suggested
    rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float

    @property
    def steepest(self) -> float:
        """Returns the rate at which the loss falls fastest with log(rate): where learning begins, a cautious choice.

        It is the middle (in logarithms) of the steepest interval between neighbours whose losses are both finite; NaN
        if the loss falls in no such interval.
        """
        with np.errstate(invalid="ignore"):
            falls = np.where(np.isfinite(self.losses[1:]), -np.diff(self.losses), -np.inf)
        i = int(np.nanargmax(np.where(np.isfinite(falls), falls, -np.inf)))
        return float(np.sqrt(self.rates[i] * self.rates[i + 1])) if falls[i] > 0 else float("nan")


def find_learning_rate(
    model,
    train,
    *,
    optimizer,
    low: float = 1e-6,
    high: float = 1.0,
    points: int = 32,
    epochs: int = 1,
    steps: int | None = None,
    batch_size: int = 128,
    tolerance: float = 0.1,
    factor: float = 3.0,
    seed: int = 0,
    **more,
) -> LearningRateSweep:
    """Trains with every rate of a log grid from `low` to `high`, and suggests one.

    The usual range test (Smith 2017, arXiv 1506.01186) raises the rate during one run, so that each rate starts from
    the parameters that the smaller rates have reached. Here each rate has a run of its own. All runs begin with the
    same parameters and see the same batches, in one program. With L the mean training loss of the last epoch,

        suggestion = max{rate: L(rate) <= L_min + tolerance (L(low) - L_min)} / factor:

    the largest rate that learns about as fast as the best one, divided by a margin. The margin is needed because the
    largest good rate at the start is too large later, when the curvature has grown. A diverged run has an infinite
    loss.

    Args:
      model, train: as for `fit`.
      optimizer: a factory that takes `learning_rate`; set its other hyperparameters with `functools.partial`.
      low, high, points: ends and number of points of the grid; both ends are included.
      epochs: epochs of each run. A loss is measured before its step, so the run must have several steps.
      steps: if given, an epoch is a random part of `train` of this many batches, instead of all of `train`.
      batch_size: examples in a step.
      tolerance: part of the best descent that may be missing.
      factor: the margin, by which the largest good rate is divided; 1: no margin.
      seed: seed of all members.
      **more: other arguments of `fit`: loss, preprocess, fields, memory, ...

    Returns:
      The `LearningRateSweep`.

    Raises:
      ValueError: not 0 < low < high, fewer than two points, a tolerance outside [0, 1), a factor below 1; fewer
        than two runs that did not diverge, or none that learned.
    """
    _check(low, high, points, steps, tolerance, factor)
    rates = np.geomspace(low, high, points)
    train = as_split(train, more.get("fields", ("image", "label")), "train")
    data = train if steps is None else _part(train, steps * batch_size, seed)
    members = members_of(grid(learning_rate=rates.tolist()), seeds=(seed,))
    more = {"metrics": ()} | more
    population = fit(model, data, members, optimizer=optimizer, epochs=epochs, batch_size=batch_size, **more)
    scores = scores_of(population, "train/loss")
    losses = np.where(np.isfinite(scores), scores, np.inf)
    good = largest_good_rate(rates, losses, tolerance=tolerance)
    _check_descent(rates[np.isfinite(losses)], losses[np.isfinite(losses)])
    return LearningRateSweep(rates, losses, good / factor)


def largest_good_rate(rates, losses, *, tolerance: float) -> float:
    """Returns the largest rate whose loss misses at most the part `tolerance` of the best descent.

    The descent is measured from the loss of the smallest rate whose loss is finite.

    Raises:
      ValueError: no finite loss.

    >>> largest_good_rate(np.array([0.1, 1, 10, 100]), np.array([2.0, 1.0, 1.05, np.inf]), tolerance=0.1)
    10.0
    """
    finite = np.flatnonzero(np.isfinite(losses))
    if not len(finite):
        raise ValueError(f"one rate at least must have a finite loss; all diverged. Lower `low`, {rates[0]:g}.")
    best, start = losses[finite].min(), losses[finite[0]]
    return float(rates[losses <= best + tolerance * (start - best)].max())


def _part(data, examples, seed):
    """Returns random rows, without replacement."""
    count = len(next(iter(data.values())))
    rows = np.random.default_rng(seed).permutation(count)[:examples]
    return {name: values[rows] for name, values in data.items()}


def _check_descent(rates, losses) -> None:
    """Raises ValueError for losses that do not fall: they say nothing about the rate."""
    if len(rates) < 2 or not losses.min() < losses[0] - _LEAST_DESCENT * abs(losses[0]):
        raise ValueError(
            f"the loss must fall by {_LEAST_DESCENT:.0%} at least from the smallest rate to some other; received "
            f"{losses[0]:.4g} at {rates[0]:g} and {losses.min():.4g} at best, of {len(rates)} rates that did not "
            "diverge. Take more `steps` or `epochs`, a smaller `low`, a larger `high`."
        )


def _check(low, high, points, steps, tolerance, factor) -> None:
    if not 0 < low < high < np.inf:
        raise ValueError(f"`low` and `high` must be rates, 0 < low < high; received {low} and {high}.")
    for name, value, least in (
        ("points", points, 2),
        ("steps", 1 if steps is None else steps, 1),
        ("factor", factor, 1),
    ):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}; received {value}.")
    if not 0 <= tolerance < 1:
        raise ValueError(f"`tolerance` must lie in [0, 1), a part of the best descent; received {tolerance}.")
