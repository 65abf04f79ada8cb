"""When to stop: after so many evaluations in a row without a better value of what is monitored."""

import numpy as np


def is_better_large(metric: str, largest: bool | None = None) -> bool:
    """Whether more is better: of a loss, an error or a perplexity it is not.

    >>> is_better_large("validation/accuracy"), is_better_large("validation/loss")
    (True, False)
    """
    return not metric.endswith(("loss", "error", "perplexity")) if largest is None else largest


def epochs_since_best(values: np.ndarray) -> np.ndarray:
    """(members,): how many lines ago each column of (epochs, members) had its smallest value; NaN never is.

    >>> epochs_since_best(np.array([[3.0, 1.0], [2.0, 2.0], [4.0, np.nan]]))
    array([1, 2])
    """
    filled = np.where(np.isnan(values), np.inf, values)
    return len(values) - 1 - filled.argmin(axis=0)


def check_monitor(monitor: str, metrics) -> None:
    """Raises ValueError unless what decides when to stop is among the metrics that are measured."""
    if monitor not in metrics:
        raise ValueError(
            f"`monitor` must be one of {sorted(metrics)}, which are measured; received {monitor!r}. Pass validation "
            "data, or another `monitor`."
        )


def stalled(history, metric: str) -> int:
    """How many evaluations ago the metric was at its best.

    Args:
      history: rows of metrics, oldest first; those without the metric do not count.

    >>> stalled([{"validation/loss": 2.0}, {"validation/loss": 1.0}, {"validation/loss": 1.5}], "validation/loss")
    1
    """
    sign = -1 if is_better_large(metric) else 1
    values = [sign * row[metric] for row in history if metric in row]
    return int(epochs_since_best(np.array(values)[:, None])[0]) if values else 0
