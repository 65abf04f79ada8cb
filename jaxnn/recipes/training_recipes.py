"""What a recipe says, and what it is told of the data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxnn.cli.training_flags import Training


class Facts(NamedTuple):
    """What is known of a data set before a model is built: its fields, classes, mean and standard deviation."""

    name: str
    fields: tuple[str, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Recipe:
    """How something is trained from the command line.

    Args:
      defaults: every flag with its default; `defaults.model` is the recipe's name. A recipe with flags of its own
        brings a dataclass that inherits from `Training`, whose fields carry their bounds in the annotations.
      build: `build(config, facts, steps) -> training.Trial`, the training of this configuration in so many steps. In a
        search the values of `config` that members set may be traced.
      about: a line for `jaxnn list`.
      monitor: the measure by which the best checkpoint and early stopping are chosen; of a loss, an error or a
        perplexity less is better.
      metrics: `metrics(facts) -> pairs (name, metric)` that the test data are measured by besides, where the objective
        is supervised.
      pictures: `pictures(folder, task, state, judged) -> list of runs.report_page.Picture`, drawn at the end besides
        the curves; `judged` is what a classifier says of the test data, else None. None: nothing is drawn.
    """

    defaults: Training
    build: Callable[[Any, Facts, int], Any]
    about: str = ""
    monitor: str = "validation/loss"
    metrics: Callable[[Facts], tuple] = lambda facts: ()
    pictures: Callable[..., list] | None = None

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return self.defaults.model


def facts_of(dataset) -> Facts:
    """What a recipe is told of a `data.Dataset`."""
    return Facts(dataset.name, tuple(dataset.train), dataset.classes, dataset.mean, dataset.std)
