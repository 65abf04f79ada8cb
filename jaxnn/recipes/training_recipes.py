"""`Recipe` describes a training from the command line, and `Facts` describes the data to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxnn.cli.training_flags import Training


class Facts(NamedTuple):
    """Holds what is known of a data set before a model is built: name, fields, classes, mean and standard deviation."""

    name: str
    fields: tuple[str, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Recipe:
    """Describes how something is trained from the command line.

    Args:
      defaults: every flag with its default; `defaults.model` is the recipe's name. A recipe with its own flags passes a
        dataclass that inherits from `Training`, whose fields have their bounds in the annotations.
      build: `build(config, facts, steps) -> training.Trial`, the training of this configuration in `steps` steps. In a
        search the values of `config` that members set may be traced.
      about: one line for `jaxnn list`.
      monitor: the measure that decides the best checkpoint and early stopping. A loss, an error or a perplexity is
        better when it is lower.
      metrics: `metrics(facts) -> pairs (name, metric)` by which the test data are measured in addition, if the
        objective is supervised.
      pictures: `pictures(folder, task, state, judged) -> list of runs.report_page.Picture`, drawn at the end in
        addition to the curves; `judged` is a classifier's result on the test data, else None. None: nothing is drawn.
    """

    defaults: Training
    build: Callable[[Any, Facts, int], Any]
    about: str = ""
    monitor: str = "validation/loss"
    metrics: Callable[[Facts], tuple] = lambda facts: ()
    pictures: Callable[..., list] | None = None

    @property
    def name(self) -> str:
        """Returns the name of the recipe on the command line."""
        return self.defaults.model


def facts_of(dataset) -> Facts:
    """Returns the facts of a `data.Dataset`."""
    return Facts(dataset.name, tuple(dataset.train), dataset.classes, dataset.mean, dataset.std)
