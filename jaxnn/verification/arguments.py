"""Arguments that many rows share: `(rng, batch) -> tuple of NumPy arrays`."""

import numpy as np


def normal(*shape):
    """One array (batch, *shape) of standard normal numbers."""
    return lambda rng, batch: (rng.normal(size=(batch, *shape)),)


def logits_and_labels(rng, batch, classes=7):
    """Logits of some size and integer labels."""
    return rng.normal(size=(batch, classes)) * 3, rng.integers(classes, size=batch)


def logits_and_probabilities(rng, batch, classes=7):
    """Logits and soft labels."""
    return rng.normal(size=(batch, classes)), rng.dirichlet(np.ones(classes), size=batch)


def normals(count, *shape):
    """`count` arrays (batch, *shape) of standard normal numbers."""
    return lambda rng, batch: tuple(rng.normal(size=(count, batch, *shape)))


def zeros_and_ones(*shape):
    """Logits of some size and binary labels, (batch, *shape)."""
    return lambda rng, batch: (3 * rng.normal(size=(batch, *shape)), rng.integers(2, size=(batch, *shape)))


def scores_and_signs(rng, batch):
    """Margins away from 0 and 1, where the losses bend."""
    margin, t = (
        rng.integers(-1, 2, size=(batch, 3)) + rng.uniform(0.1, 0.9, size=(batch, 3)),
        rng.integers(2, size=(batch, 3)),
    )
    return margin * (2 * t - 1), 2 * t - 1


def pairs(rng, batch):
    """Two near embeddings, and whether they are of one class."""
    return *rng.normal(size=(2, batch, 4)) / 4, np.arange(batch) % 2 == 0
