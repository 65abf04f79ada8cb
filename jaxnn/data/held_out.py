"""`hold_out` divides the training data: the part held out is for early stopping, the best checkpoint or a search."""

import numpy as np
from numpy.random import default_rng  # NumPy itself would import it only at the first draw

Split = dict[str, np.ndarray]


def hold_out(split: Split, amount: float, *, seed: int = 0, by: str = "label") -> tuple[Split, Split]:
    """Divides a split into a part for training and a part that is held out; both keep the proportions of the classes.

    Args:
        split: a dict of arrays of one length.
        amount: how much is held out: a fraction below 1, or a number of examples.
        seed: the seed of the draw.
        by: the field of labels whose proportions are kept. If this field is missing or not a vector of integers, the
            examples are drawn without regard to classes.

    Returns:
        The rows for training and the rows held out, each in their original order.

    Raises:
        ValueError: no example is held out, or no example is left for training.

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
    """Returns `count` rows of a random order, evenly over the classes."""
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return order[:count]
    by_class = order[np.argsort(labels[order], kind="stable")]
    places = (np.arange(count) + 0.5) * len(order) / count  # the middles of `count` equal parts of the sorted rows
    return by_class[places.astype(int)]
