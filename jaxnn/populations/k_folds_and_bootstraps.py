"""A split decides which examples a member sees: folds, bootstraps, and nested parts of growing size.

Rows are NumPy integers.
"""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Holds the rows of the training data to learn from, (n,) integers, and to be tested on, (m,) integers."""

    train: np.ndarray
    test: np.ndarray


def k_fold(examples: int, folds: int = 5, *, seed: int = 0) -> list[Split]:
    """Makes `folds` splits: the examples are shuffled and cut into disjoint parts, and each part is tested on once.

    The sizes of the parts differ by at most one example if `folds` does not divide the number of examples.

    Raises:
      ValueError: fewer than two folds, or more than there are examples.

    >>> [len(split.train) for split in k_fold(10, 5)]
    [8, 8, 8, 8, 8]
    """
    _check_folds(folds, examples)
    order = np.random.default_rng(seed).permutation(examples)
    return _left_out([order[i::folds] for i in range(folds)])


def stratified_k_fold(labels, folds: int = 5, *, seed: int = 0) -> list[Split]:
    """Makes `folds` splits like `k_fold`, in which the count of each class differs by at most one between folds.

    Args:
      labels: (n,) integers.
      folds: number of parts.
      seed: seed of the shuffle.

    Raises:
      ValueError: fewer than two folds; a class with fewer examples than there are folds.

    >>> labels = np.repeat([0, 1], [20, 10])
    >>> [np.bincount(labels[split.test]).tolist() for split in stratified_k_fold(labels, 5)]
    [[4, 2], [4, 2], [4, 2], [4, 2], [4, 2]]
    """
    labels = np.asarray(labels)
    _check_folds(folds, len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        rare = classes[counts.argmin()]
        raise ValueError(
            f"every class must have at least {folds} examples, one a fold; class {rare} has {counts.min()}."
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]  # dealt out to the folds in turn, like cards
    return _left_out([by_class[i::folds] for i in range(folds)])


def bootstraps(examples: int, samples: int, *, seed: int = 0) -> list[Split]:
    """Draws bagging's samples (Breiman 1996): n rows with replacement; the rows not drawn (36.8 %) are for testing.

    Raises:
      ValueError: no examples or no samples.

    >>> split = bootstraps(1000, 1)[0]
    >>> len(split.train), 0.33 < len(split.test) / 1000 < 0.41
    (1000, True)
    """
    if examples < 1 or samples < 1:
        raise ValueError(f"`examples` and `samples` must be at least 1; received {examples} and {samples}.")
    rng = np.random.default_rng(seed)
    draws = [rng.integers(examples, size=examples) for _ in range(samples)]
    return [Split(_int32(drawn), _int32(np.setdiff1d(np.arange(examples), drawn))) for drawn in draws]


def hold_out(examples: int, fraction: float = 0.1, *, seed: int = 0) -> Split:
    """Makes one split, in which a random `fraction` of the examples is for testing.

    Raises:
      ValueError: a fraction that leaves nothing to learn from or nothing to test on.

    >>> [len(rows) for rows in hold_out(50, 0.2)]
    [40, 10]
    """
    tested = round(fraction * examples)
    if not 0 < tested < examples:
        raise ValueError(f"`fraction` must leave examples on both sides of {examples}; received {fraction}.")
    order = np.random.default_rng(seed).permutation(examples)
    return Split(_int32(order[tested:]), _int32(order[:tested]))


def nested_parts(split: Split, sizes) -> list[Split]:
    """Takes the first `size` training rows of a split for each size, for a learning curve; parts contain smaller ones.

    Raises:
      ValueError: a size below 1 or beyond the split.

    >>> [len(part.train) for part in nested_parts(hold_out(50, 0.2), [10, 40])]
    [10, 40]
    """
    for size in sizes:
        if not 1 <= size <= len(split.train):
            raise ValueError(f"each size must be between 1 and {len(split.train)}; received {size}.")
    return [Split(split.train[:size], split.test) for size in sizes]


def _left_out(parts):
    others = lambda i: np.concatenate([part for j, part in enumerate(parts) if j != i])
    return [Split(_int32(others(i)), _int32(part)) for i, part in enumerate(parts)]


def _check_folds(folds, examples):
    if not 2 <= folds <= examples:
        raise ValueError(
            f"`folds` must be between 2 and the number of examples, {examples}; received {folds}. Ten folds are usual."
        )


def _int32(rows):
    return np.asarray(rows, np.int32)
