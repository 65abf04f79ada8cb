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
