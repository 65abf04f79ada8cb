"""Score scales decide which score of a setting is better, how scores are written, and in which colours.

A score is a share (such as "test/accuracy"), which is written in percent, or a loss. If the name of a score ends in
loss, error or perplexity, less is better. NaN is a run that diverged.
"""

import numpy as np

COLOURS = "cividis"


def checked_scores(settings, scores, *, names=()) -> np.ndarray:
    """Returns the scores, NaN where they are not finite; raises a ValueError if they do not match the settings."""
    scores = np.asarray(scores, float)
    if not len(settings) or scores.shape != (len(settings),):
        raise ValueError(
            f"`scores` must have shape ({len(settings)},), one a setting, and there must be a setting; received "
            f"{scores.shape}."
        )
    for setting in settings:
        if set(setting) != set(settings[0]) or not set(names) <= set(setting):
            raise ValueError(
                f"every setting must have the names {sorted({*settings[0], *names})}; received {sorted(setting)}."
            )
    return np.where(np.isfinite(scores), scores, np.nan)


def is_less_better(metric: str) -> bool:
    """Returns whether less is better, as it is for a loss.

    >>> is_less_better("test/loss"), is_less_better("validation accuracy")
    (True, False)
    """
    return metric.endswith(("loss", "error", "perplexity"))


def is_share(metric: str) -> bool:
    """Returns whether the score is a share, which is written in percent."""
    return metric.endswith(("accuracy", "error"))


def ranked(scores, metric: str) -> np.ndarray:
    """Returns the positions of the scores, the best first, and those that diverged last.

    >>> ranked(np.array([0.5, np.nan, 0.9]), "accuracy").tolist()
    [2, 0, 1]
    """
    cost = scores if is_less_better(metric) else -scores
    return np.argsort(np.where(np.isnan(cost), np.inf, cost), kind="stable")


def best_of(scores, metric: str) -> int | None:
    """Returns the position of the best score; None if all runs diverged."""
    return None if np.isnan(scores).all() else int(ranked(scores, metric)[0])


def colour_limits(scores, metric: str) -> tuple[float, float]:
    """Returns the range of scores that the colours show: the better half, and as much again.

    Over the full range, one run that learned nothing would hide the differences between the others.

    >>> colour_limits(np.array([0.98, 0.97, 0.97, 0.96, 0.1]), "accuracy")
    (0.96, 0.98)
    """
    known = scores[np.isfinite(scores)]
    if not known.size:
        return 0.0, 1.0
    if is_less_better(metric):
        low = known.min()
        return float(low), float(min(known.max(), low + 2 * (np.median(known) - low)))
    high = known.max()
    return float(max(known.min(), round(high - 2 * (high - np.median(known)), 12))), float(high)


def colour_norm(scores, metric: str):
    """Returns the colour limits as matplotlib's norm."""
    from matplotlib.colors import Normalize

    low, high = colour_limits(scores, metric)
    return Normalize(low, high if high > low else low + 1e-6, clip=True)


def colour_map(metric: str) -> str:
    """Returns the name of a colour map in which bright colours are good scores."""
    return f"{COLOURS}_r" if is_less_better(metric) else COLOURS


def is_log(numbers) -> bool:
    """Returns whether the numbers are positive, span more than a decade, and lie more evenly on a logarithmic axis.

    >>> is_log([0.001, 0.01, 0.1]), is_log([0.01, 0.1, 0.2, 0.3]), is_log([0.0, 0.1])
    (True, False, False)
    """
    numbers = np.asarray(numbers, float)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size or numbers.min() <= 0 or numbers.max() <= 10 * numbers.min():
        return False
    return bool(_lopsidedness(np.log(numbers)) < _lopsidedness(numbers))


def _lopsidedness(numbers):
    """Returns how far the median is from the middle of the range, as a share of the range."""
    low, high = numbers.min(), numbers.max()
    return abs((np.median(numbers) - low) / (high - low) - 0.5)


def distinct(values) -> list:
    """Returns each value once, sorted, numbers before strings."""
    return sorted(dict.fromkeys(values), key=lambda value: (isinstance(value, str), value))


def spoken(name: str) -> str:
    """Returns a name as words that people read.

    >>> spoken("learning_rate"), spoken("test/accuracy")
    ('learning rate', 'test accuracy')
    """
    return literal(name.replace("_", " ").replace("/", " "))


def with_unit(metric: str) -> str:
    """Returns the label of an axis, with the unit of a share.

    >>> with_unit("test/accuracy"), with_unit("test/loss")
    ('test accuracy (%)', 'test loss')
    """
    return f"{spoken(metric)} (%)" if is_share(metric) else spoken(metric)


def score_told(score: float, metric: str) -> str:
    """Formats a share in percent, and a loss with four digits.

    >>> score_told(0.9712, "accuracy"), score_told(0.12345, "loss")
    ('97.12 %', '0.1235')
    """
    return f"{100 * score:.2f} %" if is_share(metric) else f"{score:.4g}"


def value_told(value) -> str:
    """Formats the value of a hyperparameter.

    >>> value_told(0.000268), value_told(32000.0), value_told((256, 128)), value_told("adam")
    ('0.00027', '32000', '256x128', 'adam')
    """
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) >= 100 else f"{value:.2g}"
    return literal(str(value))


def setting_told(setting) -> str:
    """Formats a setting as one line.

    >>> setting_told({"learning_rate": 0.01, "hidden": (32,)})
    'learning rate 0.01, hidden 32'
    """
    return ", ".join(f"{spoken(name)} {value_told(value)}" for name, value in setting.items())


def literal(text: str) -> str:
    """Returns the text with its dollar signs escaped, because matplotlib sets text between them as mathematics."""
    return text.replace("$", r"\$")
