"""What to say when a name is not known: one message for models, datasets, optimizers and schedules alike."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """Build (not raise) the error for a `name` that is none of the `known` ones.

    Args:
        kind: what the name names, in the singular: "model", "dataset", ...
        name: the name received.
        known: every name that would have been accepted.

    Returns:
        A ValueError that names the nearest known name, if one is near whatever its case, and lists them all in order.

    >>> unknown("model", "lenet6", ["resnet18", "lenet5"])
    ValueError("unknown model 'lenet6'; did you mean 'lenet5'? Known: lenet5, resnet18")
    >>> unknown("dataset", "imagenet-21k", ["mnist"])
    ValueError("unknown dataset 'imagenet-21k'. Known: mnist")
    """
    known = sorted(known)
    spelled = {candidate.casefold(): candidate for candidate in known}
    nearest = difflib.get_close_matches(str(name).casefold(), spelled, n=1)
    hint = f"; did you mean {spelled[nearest[0]]!r}?" if nearest else "."
    return ValueError(f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}")
