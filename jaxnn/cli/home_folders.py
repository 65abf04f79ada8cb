"""`expand_places` puts the home folder in the place of `~`, where the shell has not done so. Imports no jax.

A shell expands `~` only at the beginning of a word: neither in `--out=~/runs` nor in quotes, and not at all on Windows.
"""

import dataclasses
import os

PLACES = ("out", "data_folder", "run", "images", "recipe", "recipes", "model")  # fields that name a file or a folder


def expand_places(config):
    """Returns the configuration with every file and folder expanded, also those of a nested configuration.

    Raises:
      ValueError: the home folder is not known.
    """
    changes = {name: _expanded(name, value) for name, value in vars(config).items() if _expanded(name, value) != value}
    return dataclasses.replace(config, **changes) if changes else config


def expand_home(text: str) -> str:
    """Returns a path in which the home folder stands for a leading `~`.

    Raises:
      ValueError: the home folder is not known.

    >>> expand_home("runs/~1")
    'runs/~1'
    """
    expanded = os.path.expanduser(text)
    if expanded == text and text.startswith(("~/", "~" + os.sep)):
        raise ValueError(f"the home folder must be known for {text}; HOME is not set. Write the whole path.")
    return expanded


def _expanded(name, value):
    if dataclasses.is_dataclass(value):
        return expand_places(value)
    if name not in PLACES or value is None:
        return value
    return tuple(map(expand_home, value)) if isinstance(value, tuple) else expand_home(value)
