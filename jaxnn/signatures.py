"""These functions select, from offered keywords, those that another function accepts."""

import inspect
from collections.abc import Callable
from typing import Any


def accepted(function: Callable, **offered: Any) -> dict[str, Any]:
    """Returns the offered keywords that are named in the function's signature.

    >>> accepted(lambda x, *, train: x, train=True, key=None)
    {'train': True}
    """
    names = inspect.signature(function).parameters
    return {name: value for name, value in offered.items() if name in names}


def passable(function: Callable, **offered: Any) -> dict[str, Any]:
    """Returns the offered keywords with which the function may be called: all of them, if it accepts any keyword.

    >>> passable(lambda x, **extra: x, value=1.0), passable(lambda x: x, value=1.0)
    ({'value': 1.0}, {})
    """
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    return offered if inspect.Parameter.VAR_KEYWORD in kinds else accepted(function, **offered)
