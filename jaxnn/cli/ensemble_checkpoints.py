"""Functions that save and restore a whole population: the state of every member and the metrics until then."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxnn import data
from jaxnn.cli.assembly import trials_of, used_fields
from jaxnn.cli.training_flags import Training
from jaxnn.populations import Population
from jaxnn.runs import checkpoints
from jaxnn.training import Evaluated
from jaxnn.training.batching import count_examples, first_example


def saving(records) -> Callable:
    """Returns a hook that writes a checkpoint to the folder of `records` after each epoch and keeps only the newest."""

    def save(event) -> None:
        if isinstance(event, Evaluated):
            population = event.state()
            history = {_field(name): np.asarray(values, np.float32) for name, values in population.history.items()}
            kept = _tree(population.states, history, population.epochs.astype(np.int32), population.diverged)
            checkpoints.save(records.folder / "checkpoints", kept, step=event.epoch, metrics={}, keep=1, best=None)

    return save


def restore(folder: Path, config: Training, dataset: data.Dataset, members) -> Population | None:
    """Restores the population after its last finished epoch; returns None if no epoch was finished.

    Another process may train the population at the same time.

    Raises:
      ValueError: a checkpoint is damaged, or is of other members.
      OSError: a checkpoint cannot be read.
    """
    kept = folder / "checkpoints"
    return checkpoints.read_again(kept, lambda: _restore(kept, config, dataset, members))


def _restore(folder: Path, config, dataset, members) -> Population | None:
    steps = checkpoints.steps(folder)
    if not steps:
        return None
    trial, count = trials_of(config, dataset, examples=count_examples(dataset.train))({}), len(members)
    state = jax.eval_shape(trial.init, jax.random.key(config.seed), first_example(used_fields(trial, dataset.train)))
    of = jax.ShapeDtypeStruct
    names = [
        name.removeprefix("history/") for name in checkpoints.describe(folder, steps[-1])["tree"] if "history/" in name
    ]
    history = {name: of((steps[-1], count), np.float32) for name in names}
    template = _tree([state] * count, history, of((count,), np.int32), of((count,), bool))
    tree, _ = checkpoints.restore(folder, template, which=steps[-1])
    history = {name.replace(".", "/"): np.asarray(tree["history"][name]) for name in names}
    epochs, diverged = np.array(tree["epochs"], int), np.array(tree["diverged"], bool)
    if not ((epochs >= 0) & (epochs <= steps[-1])).all():
        raise ValueError(f"{folder}, step {steps[-1]}, tells of members that trained {epochs.max()} epochs. Edited?")
    return Population(members, tree["states"], history, epochs, diverged, [trial.model] * count)


def _tree(states, history, epochs, diverged):
    return {"states": states, "history": history, "epochs": epochs, "diverged": diverged}


def _field(metric: str) -> str:
    return metric.replace("/", ".")
