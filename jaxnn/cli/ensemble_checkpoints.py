"""A checkpoint of a whole population: every member's state, and what was measured of them until then."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxnn import data
from jaxnn.cli.assembly import TrialOfMember, build_model
from jaxnn.cli.configurations import Training
from jaxnn.populations import Population
from jaxnn.runs import checkpoints
from jaxnn.training import Evaluated
from jaxnn.training.batching import first_example

METRICS = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")


def saving(folder: Path) -> Callable:
    """A hook that writes a checkpoint after each epoch, in the place of the one before."""

    def save(event) -> None:
        if isinstance(event, Evaluated):
            kept = _tree(event.state())
            checkpoints.save(folder / "checkpoints", kept, step=event.epoch, metrics={}, keep=1, best=None)

    return save


def restore(folder: Path, config: Training, dataset: data.Dataset, members) -> Population | None:
    """The population after its last whole epoch; None where there was none.

    Raises:
      ValueError: a checkpoint that is damaged, or of other members.
    """
    epochs = checkpoints.steps(folder / "checkpoints")
    if not epochs:
        return None
    model, count = build_model(config, classes=len(dataset.classes)), len(members)
    history = {name: np.zeros((epochs[-1], count)) for name in METRICS}
    state = jax.eval_shape(lambda: _first_state(config, dataset))
    template = _tree(
        Population(members, [state] * count, history, np.zeros(count, int), np.zeros(count, bool), [model] * count)
    )
    tree, _ = checkpoints.restore(folder / "checkpoints", template)
    history = {name: np.asarray(tree["history"][name.replace("/", ".")]) for name in METRICS}
    kept = np.array(tree["epochs"], int), np.array(tree["diverged"], bool)
    return Population(members, tree["states"], history, *kept, [model] * count)


def _tree(population: Population):
    history = {name.replace("/", "."): np.asarray(population.history[name], np.float32) for name in METRICS}
    epochs, diverged = population.epochs.astype(np.int32), population.diverged
    return {"states": population.states, "history": history, "epochs": epochs, "diverged": diverged}


def _first_state(config, dataset):
    build = TrialOfMember(config, dataset.classes, dataset.mean, dataset.std, len(dataset.train["label"]))
    return build({}).init(jax.random.key(config.seed), first_example(dataset.train))
