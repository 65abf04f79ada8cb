"""What to say when a name is not known: one message for models, datasets, optimizers and schedules alike."""

import difflib
from collections.abc import Iterable

_MOST_SHOWN, _MOST_LISTED = 60, 24  # characters of a name that was received, names that are known


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """Build (not raise) the error for a `name` that is none of the `known` ones.

    Args:
        kind: what the name names, in the singular: "model", "dataset", ...
        name: the name received.
        known: every name that would have been accepted.

    Returns:
        A ValueError that names the nearest known name, if one is near whatever its case, and lists them in order, or
        the first 24 of more.

    >>> unknown("model", "lenet6", ["resnet18", "lenet5"])
    ValueError("unknown model 'lenet6'; did you mean 'lenet5'? Known: lenet5, resnet18")
    >>> unknown("dataset", "imagenet-21k", ["mnist"])
    ValueError("unknown dataset 'imagenet-21k'. Known: mnist")
    """
    known, name = sorted(known), _shortened(name)
    nearest = nearest_name(name, known)
    hint = f"; did you mean {nearest!r}?" if nearest else "."
    listed = known if len(known) <= _MOST_LISTED else [*known[:_MOST_LISTED], f"and {len(known) - _MOST_LISTED} more"]
    return ValueError(f"unknown {kind} {name!r}{hint} Known: {', '.join(listed)}")


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, whatever its case; None if none is near.

    >>> nearest_name("LeNet6", ["resnet18", "lenet5"])
    'lenet5'
    """
    spelled = {candidate.casefold(): candidate for candidate in known}
    nearest = difflib.get_close_matches(str(name).casefold(), spelled, n=1)
    return spelled[nearest[0]] if nearest else None


def _shortened(name: object) -> object:
    """A name that nobody would type is not repeated whole."""
    return name if len(str(name)) <= _MOST_SHOWN else str(name)[:_MOST_SHOWN] + "..."
