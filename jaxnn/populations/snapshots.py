"""Snapshots of one run make an ensemble for the cost of one training, or one network with their mean weights."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.populations.members import Member
from jaxnn.populations.population import Population
from jaxnn.training import Evaluated, Started, TrainState


class Snapshots:
    """Is a hook of `training.fit` that copies the state after every `every_epochs` epochs.

    If the learning rate returns to its start once in every cycle (`schedules.warm_restarts`), each copy is near a
    minimum of its own. The copies are on the host; `states` and `epochs` hold them and their epochs, oldest first. A
    new run empties both lists; a run that goes on from a state adds to them.

    Args:
      every_epochs: the length of a cycle, in epochs.

    Raises:
      ValueError: `every_epochs` below 1, or use as a hook of `populations.fit`, whose events have no state of one run.

    Huang et al. 2017, Snapshot ensembles: train 1, get M for free, arXiv 1704.00109.
    """

    def __init__(self, every_epochs: int):
        if every_epochs < 1:
            raise ValueError(
                f"`every_epochs` must be at least 1; received {every_epochs}. It is the length of a cycle."
            )
        self.every_epochs, self.states, self.epochs, self._metrics = every_epochs, [], [], {}

    def __call__(self, event) -> None:
        """Copies the state of an `Evaluated` event at the end of a cycle."""
        if isinstance(event, Started) and event.step == 0:
            self.states, self.epochs, self._metrics = [], [], {}
        if not isinstance(event, Evaluated):
            return
        self._metrics[event.epoch] = event.metrics
        if event.epoch % self.every_epochs == 0:
            self.states.append(_copy_of(event.state))
            self.epochs.append(event.epoch)

    def population(self, model) -> Population:
        """Returns the snapshots as members, for `predict_members`, each with the run's history up to its epoch.

        Raises:
          ValueError: there are no snapshots yet.
        """
        count = len(self.states)
        if not count:
            raise ValueError(
                f"at least one snapshot must have been taken; there are none. Pass this hook to training.fit for "
                f"{self.every_epochs} epochs or more."
            )
        epochs, nobody = np.array(self.epochs), np.zeros(count, bool)
        return Population(
            [Member() for _ in range(count)], list(self.states), self._history(epochs), epochs, nobody, [model] * count
        )

    def _history(self, epochs):
        names = {name for metrics in self._metrics.values() for name in metrics}
        history = {name: np.full((epochs.max(), len(epochs)), np.nan) for name in names}
        for epoch in range(1, epochs.max() + 1):
            for name, value in self._metrics.get(epoch, {}).items():
                history[name][epoch - 1, epochs >= epoch] = value
        return history


def average_parameters(states: Sequence[TrainState]) -> TrainState:
    """Returns the last state with the mean weights of all the states, such as the last snapshots of a run.

        theta = 1/M sum_m theta_m

    The floats of `params` and of `model_state` are averaged, in float64. The averaged batch statistics are not the
    batch statistics of the averaged weights: the paper measures them anew, in one more pass over the data. States of
    different seeds are in different basins, and the mean of their weights is not a good network: average their
    probabilities instead.

    Raises:
      ValueError: no states, or states of different structures or shapes.

    Polyak and Juditsky 1992; Izmailov et al. 2018, Averaging weights leads to wider optima, arXiv 1803.05407.

    >>> states = [TrainState(i, {"w": np.array([1.0, i])}, {}, (), None, 0) for i in range(3)]
    >>> average_parameters(states).params["w"].tolist(), average_parameters(states).step
    ([1.0, 1.0], 2)
    """
    states = list(states)
    _check_alike(states)
    mean = lambda *trees: jax.tree.map(_mean, *trees)
    return states[-1]._replace(
        params=mean(*(state.params for state in states)), model_state=mean(*(state.model_state for state in states))
    )


def _copy_of(state):
    """Copies a state to the host; a view would not do, because the run donates the state to the next step."""
    if not isinstance(state, TrainState):
        raise ValueError(
            "`Snapshots` must be a hook of training.fit, of one run; received a population's event. A population "
            "keeps the last states of all: populations.fit(..., population=...) goes on with them, cycle after cycle."
        )
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: jnp.copy(leaf) if is_key(leaf) else np.array(leaf, copy=True), state)


def _mean(*leaves):
    if not jnp.issubdtype(leaves[-1].dtype, jnp.floating):
        return leaves[-1]
    return np.mean([np.asarray(leaf, np.float64) for leaf in leaves], axis=0).astype(leaves[-1].dtype)


def _check_alike(states):
    if not states:
        raise ValueError("`states` must hold at least one TrainState; received none. Did the run reach a snapshot?")
    shapes = [jax.tree.map(jnp.shape, (state.params, state.model_state)) for state in states]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"`states` must be of one model; number {i} has the shapes {shape}, number 0 {shapes[0]}. "
                "Different models can have their probabilities averaged."
            )
