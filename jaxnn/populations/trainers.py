"""What is known of a trainer before it has trained."""

import inspect
from collections.abc import Callable
from functools import partial

from jaxnn.populations.population_training import fit


def check_metric(train: Callable, metric: str, *, splits: bool = False) -> None:
    """Refuses a metric that will not be measured, before anything is trained.

    A `functools.partial` of `populations.fit` shows what it will measure; of any other trainer it is found out by what
    it returns.

    Args:
      train: a trainer.
      metric: such as "test/accuracy".
      splits: whether the members have test rows of their own; else "test/..." needs `validation`.

    Raises:
      ValueError: it will not be measured.

    >>> check_metric(partial(fit, metrics=()), "test/loss")
    Traceback (most recent call last):
    ValueError: `metric` must be one of ['train/loss']; received 'test/loss'. Does the trainer have `validation` data?
    """
    if not isinstance(train, partial) or train.func is not fit:
        return
    metrics = train.keywords.get("metrics", inspect.signature(fit).parameters["metrics"].default)
    has_test = splits or train.keywords.get("validation") is not None
    known = [
        f"{part}/{name}" for part in ("test", "train")[not has_test :] for name in sorted({"loss", *dict(metrics)})
    ]
    if metric not in known:
        advice = "" if has_test or not metric.startswith("test/") else " Does the trainer have `validation` data?"
        raise ValueError(f"`metric` must be one of {known}; received {metric!r}.{advice}")
