"""Scores of settings: which is better, how they are told, and which colours tell them apart.

Scores are shares ("test/accuracy", told in percent) or losses; of names that end in loss, error or perplexity less is
better. NaN is a run that diverged.
"""

import numpy as np

COLOURS = "cividis"


def checked_scores(settings, scores, *, names=()) -> np.ndarray:
    """The scores, NaN where they are not finite; ValueError if they and the settings do not agree."""
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
    """Of a loss it is.

    >>> is_less_better("test/loss"), is_less_better("validation accuracy")
    (True, False)
    """
    return metric.endswith(("loss", "error", "perplexity"))


def is_share(metric: str) -> bool:
    """Whether it is told in percent."""
    return metric.endswith(("accuracy", "error"))


def ranked(scores, metric: str) -> np.ndarray:
    """Positions, the best first, those that diverged last.

    >>> ranked(np.array([0.5, np.nan, 0.9]), "accuracy").tolist()
    [2, 0, 1]
    """
    cost = scores if is_less_better(metric) else -scores
    return np.argsort(np.where(np.isnan(cost), np.inf, cost), kind="stable")


def best_of(scores, metric: str) -> int | None:
    """Its position; None if all diverged."""
    return None if np.isnan(scores).all() else int(ranked(scores, metric)[0])


def colour_limits(scores, metric: str) -> tuple[float, float]:
    """What the colours tell apart: the better half, and as much again; a run that learned nothing would hide the rest.

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
    """The limits as matplotlib's norm."""
    from matplotlib.colors import Normalize

    low, high = colour_limits(scores, metric)
    return Normalize(low, high if high > low else low + 1e-6, clip=True)


def colour_map(metric: str) -> str:
    """Bright is good."""
    return f"{COLOURS}_r" if is_less_better(metric) else COLOURS


def is_log(numbers) -> bool:
    """Whether they are positive, span more than a decade, and lie more evenly by their logarithms.

    >>> is_log([0.001, 0.01, 0.1]), is_log([0.01, 0.1, 0.2, 0.3]), is_log([0.0, 0.1])
    (True, False, False)
    """
    numbers = np.asarray(numbers, float)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size or numbers.min() <= 0 or numbers.max() <= 10 * numbers.min():
        return False
    return bool(_lopsidedness(np.log(numbers)) < _lopsidedness(numbers))


def _lopsidedness(numbers):
    """How far the median lies from the middle."""
    low, high = numbers.min(), numbers.max()
    return abs((np.median(numbers) - low) / (high - low) - 0.5)


def distinct(values) -> list:
    """Each once, in order."""
    return sorted(dict.fromkeys(values), key=lambda value: (isinstance(value, str), value))


def spoken(name: str) -> str:
    """A name for people.

    >>> spoken("learning_rate"), spoken("test/accuracy")
    ('learning rate', 'test accuracy')
    """
    return literal(name.replace("_", " ").replace("/", " "))


def with_unit(metric: str) -> str:
    """The label of an axis.

    >>> with_unit("test/accuracy"), with_unit("test/loss")
    ('test accuracy (%)', 'test loss')
    """
    return f"{spoken(metric)} (%)" if is_share(metric) else spoken(metric)


def score_told(score: float, metric: str) -> str:
    """A share in percent, a loss in four digits.

    >>> score_told(0.9712, "accuracy"), score_told(0.12345, "loss")
    ('97.12 %', '0.1235')
    """
    return f"{100 * score:.2f} %" if is_share(metric) else f"{score:.4g}"


def value_told(value) -> str:
    """A hyperparameter's value.

    >>> value_told(0.000268), value_told(32000.0), value_told((256, 128)), value_told("adam")
    ('0.00027', '32000', '256x128', 'adam')
    """
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) >= 100 else f"{value:.2g}"
    return literal(str(value))


def setting_told(setting) -> str:
    """In a line.

    >>> setting_told({"learning_rate": 0.01, "hidden": (32,)})
    'learning rate 0.01, hidden 32'
    """
    return ", ".join(f"{spoken(name)} {value_told(value)}" for name, value in setting.items())


def literal(text: str) -> str:
    """The text without a meaning for matplotlib, which sets what stands between dollar signs as mathematics."""
    return text.replace("$", r"\$")
