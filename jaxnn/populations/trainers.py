"""What is known of a trainer before it has trained."""

import inspect
from collections.abc import Callable
from functools import partial

from jaxnn.populations.population_training import fit
from jaxnn.training.checked_arguments import as_metrics


def check_metric(train: Callable, metric: str, *, splits: bool = False) -> None:
    """Refuses a metric that will not be measured, before anything is trained.

    A `functools.partial` of `populations.fit` shows what it will measure; of any other trainer it is found out by what
    it returns.

    Args:
      train: a trainer.
      metric: such as "validation/accuracy".
      splits: whether the members have test rows of their own; else "validation/..." needs `validation`.

    Raises:
      ValueError: it will not be measured.

    >>> check_metric(partial(fit, metrics=()), "validation/loss")
    Traceback (most recent call last):
    ValueError: `metric` must be one of ['train/loss']; received 'validation/loss'. Has the trainer `validation` data?
    """
    if not isinstance(train, partial) or train.func is not fit:
        return
    metrics = train.keywords.get("metrics", inspect.signature(fit).parameters["metrics"].default)
    has_test = splits or train.keywords.get("validation") is not None
    measured, splits = sorted({"loss", *as_metrics(metrics)}), ("validation", "train")[not has_test :]
    known = [f"{split}/{name}" for split in splits for name in measured]
    if metric not in known:
        advice = "" if has_test or not metric.startswith("validation/") else " Has the trainer `validation` data?"
        raise ValueError(f"`metric` must be one of {known}; received {metric!r}.{advice}")
