"""Names and values in error messages: one message serves for every unknown name, and long values are shortened."""

import difflib
import reprlib
from collections.abc import Iterable

_MOST_SHOWN, _MOST_LISTED = 60, 24  # characters of a name that was received, names that are known


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """Builds, but does not raise, the error for a `name` that is not among the `known` names.

    Args:
        kind: the kind of thing that has the name, in the singular: "model", "dataset", ...
        name: the name received.
        known: every name that would have been accepted.

    Returns:
        A ValueError that proposes the nearest known name, if one is near in any case of letters, and lists the known
        names in order, at most the first 24.

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
    """Returns the known name that is most similar to `name`, ignoring case; None if none is near.

    >>> nearest_name("LeNet6", ["resnet18", "lenet5"])
    'lenet5'
    """
    spelled = {candidate.casefold(): candidate for candidate in known}
    nearest = difflib.get_close_matches(str(name).casefold(), spelled, n=1)
    return spelled[nearest[0]] if nearest else None


def _shortened(name: object) -> object:
    """Returns the name, shortened to 60 characters and "..." if it is longer."""
    return name if len(str(name)) <= _MOST_SHOWN else str(name)[:_MOST_SHOWN] + "..."


def shown(value) -> str:
    """Returns the text of a received value, shortened if it is long or deep."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)
