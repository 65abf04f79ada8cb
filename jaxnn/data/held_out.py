"""Examples that are held out of the training data, for what chooses: early stopping, the best checkpoint, a search."""

import numpy as np
from numpy.random import default_rng  # NumPy itself would import it as late as at the first draw

Split = dict[str, np.ndarray]


def hold_out(split: Split, amount: float, *, seed: int = 0, by: str = "label") -> tuple[Split, Split]:
    """Divides a split into the part to learn from and the part that is held out, each class in its proportion.

    Args:
        split: dict of arrays of one length.
        amount: how much is held out: a share below 1, or a whole number of examples.
        seed: of the draw.
        by: the field of labels whose proportions are kept; where there is none of integers, the draw is plain.

    Returns:
        The rows to learn from and those held out, each in the order in which they were.

    Raises:
        ValueError: nothing is held out, or nothing is left to learn from.

    >>> kept, held = hold_out({"label": np.repeat([0, 1], [80, 20])}, 0.1)
    >>> np.bincount(kept["label"]).tolist(), np.bincount(held["label"]).tolist()
    ([72, 18], [8, 2])
    """
    examples = len(next(iter(split.values())))
    count = round(amount * examples) if amount < 1 else int(amount)
    if not 1 <= count < examples:
        raise ValueError(f"`amount` must hold out 1 to {examples - 1} of {examples} examples; received {amount:g}.")
    order = default_rng(seed).permutation(examples)
    held = np.zeros(examples, bool)
    held[_spread(order, split.get(by), count)] = True
    return {name: array[~held] for name, array in split.items()}, {name: array[held] for name, array in split.items()}


def _spread(order, labels, count):
    """`count` rows of a random order, evenly over the classes."""
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return order[:count]
    by_class = order[np.argsort(labels[order], kind="stable")]
    places = (np.arange(count) + 0.5) * len(order) / count  # one in each of as many equal parts of the sorted rows
    return by_class[places.astype(int)]
