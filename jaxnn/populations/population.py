"""A `Population` holds the state and the history of every member after some epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxnn.populations.members import Member
from jaxnn.training.early_stopping import is_better_large


@dataclass(frozen=True)
class Population:
    """Holds trained members, in the order in which they were passed.

    states: the state of each member, in NumPy arrays (except the key). history: name -> (epochs, members), NaN after a
    member has stopped. epochs: (members,) the epochs that each was trained. diverged: (members,) whether the loss
    became infinite or NaN; the state is then the last one. models: the model of each member with its own
    hyperparameters, for prediction.
    """

    members: list[Member]
    states: list[Any]
    history: dict[str, np.ndarray]
    epochs: np.ndarray
    diverged: np.ndarray
    models: list[Any]

    def __len__(self):
        return len(self.members)

    def last(self, metric: str) -> np.ndarray:
        """Returns the metric after each member's last epoch, (members,).

        Raises:
          ValueError: a metric that was not measured.
        """
        self._check(metric)
        return self.history[metric][self.epochs - 1, np.arange(len(self))]

    def best(self, metric: str = "validation/loss", *, largest: bool | None = None) -> int:
        """Returns the position of the smallest last value (largest for an accuracy), without diverged members.

        Raises:
          ValueError: a metric that was not measured, or no member with a finite value.
        """
        values = self.last(metric).astype(float) * (-1 if is_better_large(metric, largest) else 1)
        values = np.where(self.diverged | np.isnan(values), np.inf, values)
        if not np.isfinite(values).any():
            raise ValueError(f"no member has a finite {metric}: all {len(self)} diverged. Lower the learning rates.")
        return int(values.argmin())

    def select(self, positions: Sequence[int]) -> "Population":
        """Returns some of the members, in this order; a member may be selected twice."""
        positions = [int(i) for i in positions]
        history = {name: values[:, positions] for name, values in self.history.items()}
        pick = lambda things: [things[i] for i in positions]
        return Population(
            pick(self.members), pick(self.states), history, self.epochs[positions], self.diverged[positions],
            pick(self.models),
        )  # fmt: skip

    def _check(self, metric):
        if metric not in self.history:
            raise ValueError(f"`metric` must be one of {sorted(self.history)}; received {metric!r}.")


def unstacked(stacked, count: int) -> list:
    """Returns the first `count` trees of a stack, as NumPy views; typed keys stay JAX arrays.

    >>> unstacked({"w": np.arange(4).reshape(2, 2)}, 2)
    [{'w': array([0, 1])}, {'w': array([2, 3])}]
    """
    leaves, tree = jax.tree.flatten(on_host(stacked))
    return [tree.unflatten([leaf[i] for leaf in leaves]) for i in range(count)]


def on_host(tree):
    """Copies a tree to NumPy arrays, except typed keys; a copy is safe when the arrays on the device are donated."""
    is_key = lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: leaf if is_key(leaf) else np.array(leaf), tree)


def stacked(trees):
    """Stacks trees into one tree whose leaves have a first axis of members: the inverse of `unstacked`."""
    join = lambda *leaves: jax.numpy.stack(leaves) if isinstance(leaves[0], jax.Array) else np.stack(leaves)
    return jax.tree.map(join, *trees)
