"""A member of a population is a seed, hyperparameters, and the examples from which it learns."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.populations.k_folds_and_bootstraps import Split
from jaxnn.training.compilation import is_hashable


class Member(NamedTuple):
    """Describes one training of a population.

    seed: the seed of the run's key. hyperparameters: name -> value. Floats are traced, and members that differ only in
    floats share one compiled program; any other value (an int, a string, a tuple of widths) is static, and each
    combination of static values is a program of its own. split: rows of the training data to learn from and to be
    tested on; None: all rows, and the common validation data.
    """

    seed: int = 0
    hyperparameters: Mapping[str, Any] = {}
    split: Split | None = None


def members_of(
    hyperparameters: Iterable[Mapping[str, Any]] = ({},),
    *,
    seeds: Iterable[int] = (0,),
    splits: Iterable[Split | None] = (None,),
) -> list[Member]:
    """Makes a member for every combination: settings slowest, then splits, then seeds.

    Raises:
      ValueError: no combination at all, or settings that differ in the names that they set.

    >>> [(m.seed, m.hyperparameters["learning_rate"]) for m in members_of(grid(learning_rate=[0.1, 0.2]), seeds=[7, 8])]
    [(7, 0.1), (8, 0.1), (7, 0.2), (8, 0.2)]
    """
    if not np.iterable(seeds) or isinstance(seeds, str):
        raise ValueError(f"`seeds` must be a sequence of integers; received {seeds!r}. So many: range({seeds}).")
    product = itertools.product(hyperparameters, splits, seeds)
    members = [Member(int(seed), dict(setting), split) for setting, split, seed in product]
    return check_members(members)


def grid(**values: Any) -> list[dict[str, Any]]:
    """Returns all combinations of the values, the last name fastest.

    Raises:
      ValueError: a name with no values, or values that are no sequence.

    >>> grid(learning_rate=[0.1, 0.01], momentum=[0.9])
    [{'learning_rate': 0.1, 'momentum': 0.9}, {'learning_rate': 0.01, 'momentum': 0.9}]
    """
    for name, given in values.items():
        if isinstance(given, str) or not np.iterable(given) or not len(given):
            raise ValueError(
                f"`{name}` must be a sequence of one value at least; received {given!r}. One value: [value]."
            )
    points = itertools.product(*([as_plain(name, value) for value in given] for name, given in values.items()))
    return [dict(zip(values, point, strict=True)) for point in points]


def as_plain(name: str, value):
    """Converts a hyperparameter to a value with a hash: NumPy and JAX numbers to Python's, sequences to tuples.

    Raises:
      ValueError: a value that still has no hash.

    >>> as_plain("features", [8, np.int64(4)]), as_plain("learning_rate", np.float64(0.5))
    ((8, 4), 0.5)
    """
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        value = value.tolist()
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(as_plain(name, part) for part in value)
    if not is_hashable(value):
        raise ValueError(
            f"`{name}` must be numbers, words or tuples of these, which can be compared; received {value!r}."
        )
    return value


def check_members(members: Sequence[Member]) -> list[Member]:
    """Returns the members with plain hyperparameters, see `as_plain`.

    Raises:
      ValueError: no members, members that set different names, a float that is not finite, or a `batch_size` that is
        not an integer.
    """
    plain = lambda setting: {name: as_plain(name, value) for name, value in setting.items()}
    members = [member._replace(hyperparameters=plain(member.hyperparameters)) for member in members]
    if not members:
        raise ValueError("a population must have at least one member; received none. Was the grid, or a range, empty?")
    names = set(members[0].hyperparameters)
    for i, member in enumerate(members):
        if set(member.hyperparameters) != names:
            received = sorted(member.hyperparameters)
            raise ValueError(
                f"all members must set the same hyperparameters, {sorted(names)}; member {i} sets {received}."
            )
        for name, value in member.hyperparameters.items():
            if is_traced(value) and not math.isfinite(value):
                raise ValueError(f"`{name}` must be finite; member {i} has {value}.")
            if name == "batch_size" and not isinstance(value, int | np.integer):
                raise ValueError(f"`batch_size` must be an integer; member {i} has {value!r}.")
    return members


def is_traced(value) -> bool:
    """Returns whether a hyperparameter is traced, that is, an input of the compiled program: floats are."""
    return isinstance(value, float | np.floating)


def groups_of(members: Sequence[Member]) -> list[tuple[dict[str, Any], list[int]]]:
    """Returns, for each program that is needed, its static hyperparameters and the positions of its members."""
    groups: dict[tuple, list[int]] = {}
    for i, member in enumerate(members):
        static = {name: value for name, value in member.hyperparameters.items() if not is_traced(value)}
        size = None if member.split is None else len(member.split.train)
        groups.setdefault((tuple(sorted(static.items())), size), []).append(i)
    return [(dict(static), positions) for (static, _), positions in groups.items()]
