"""Early stopping ends a run after `patience` evaluations in a row without a better value of the monitored metric."""

import numpy as np


def is_better_large(metric: str, largest: bool | None = None) -> bool:
    """Returns whether a larger value of a metric is better: not for a loss, an error or a perplexity.

    `largest`, if given, is the answer.

    >>> is_better_large("validation/accuracy"), is_better_large("validation/loss")
    (True, False)
    """
    return not metric.endswith(("loss", "error", "perplexity")) if largest is None else largest


def epochs_since_best(values: np.ndarray) -> np.ndarray:
    """Counts the epochs since each column of (epochs, members) had its smallest value, (members,); NaN is ignored.

    >>> epochs_since_best(np.array([[3.0, 1.0], [2.0, 2.0], [4.0, np.nan]]))
    array([1, 2])
    """
    filled = np.where(np.isnan(values), np.inf, values)
    return len(values) - 1 - filled.argmin(axis=0)


def check_monitor(monitor: str, metrics) -> None:
    """Raises ValueError unless the monitored metric is among the metrics that are measured."""
    if monitor not in metrics:
        raise ValueError(
            f"`monitor` must be one of {sorted(metrics)}, which are measured; received {monitor!r}. Pass validation "
            "data, or another `monitor`."
        )


def stalled(history, metric: str) -> int:
    """Returns how many evaluations ago the metric was at its best.

    Args:
      history: rows of metrics, oldest first; rows without the metric do not count.

    >>> stalled([{"validation/loss": 2.0}, {"validation/loss": 1.0}, {"validation/loss": 1.5}], "validation/loss")
    1
    """
    sign = -1 if is_better_large(metric) else 1
    values = [sign * row[metric] for row in history if metric in row]
    return int(epochs_since_best(np.array(values)[:, None])[0]) if values else 0
