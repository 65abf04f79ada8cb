"""Which of the keywords on offer a function takes."""

import inspect
from collections.abc import Callable
from typing import Any


def accepted(function: Callable, **offered: Any) -> dict[str, Any]:
    """The offered keywords that are named in the function's signature.

    >>> accepted(lambda x, *, train: x, train=True, key=None)
    {'train': True}
    """
    names = inspect.signature(function).parameters
    return {name: value for name, value in offered.items() if name in names}
