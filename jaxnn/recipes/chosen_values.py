"""`Chosen` is a configuration with some values replaced; a member of a population is built from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxnn.cli.training_flags import Training


@dataclass(frozen=True)
class Chosen:
    """Has the attributes of the configuration, except for the values that a member sets; these may be traced.

    >>> Chosen(Training("mlp", epochs=3), {"learning_rate": 0.5}).learning_rate
    0.5
    """

    config: Training
    values: Mapping[str, Any]

    def __getattr__(self, name):
        return self.values[name] if name in self.values else getattr(self.config, name)
