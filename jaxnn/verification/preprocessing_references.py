"""These rows compare the preprocessing with its references."""

import numpy as np

from jaxnn import preprocessing
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, exact

PREPROCESSING = [
    FunctionRow(
        "Standardize",
        preprocessing.Standardize,
        preprocessing.Standardize((0.3, 0.4, 0.5), (0.1, 0.2, 0.3)),
        lambda x: (exact(x) - [0.3, 0.4, 0.5]) / [0.1, 0.2, 0.3],
        "NumPy",
        normal(4, 5, 3),
    ),
    FunctionRow(
        "Standardize, bytes",
        preprocessing.Standardize,
        preprocessing.Standardize((0.3, 0.4, 0.5), (0.1, 0.2, 0.3)),
        lambda x: (exact(x) / 255.0 - [0.3, 0.4, 0.5]) / [0.1, 0.2, 0.3],
        "NumPy",
        lambda rng, batch: (rng.integers(256, size=(batch, 4, 5, 3)).astype(np.uint8),),
    ),
    FunctionRow("as_float", preprocessing.as_float, preprocessing.as_float, exact, "NumPy", normal(4, 5, 3)),
    FunctionRow("identity, inputs", preprocessing.identity, preprocessing.identity, exact, "NumPy", normal(4, 5, 3)),
    FunctionRow(
        "as_float, bytes",
        preprocessing.as_float,
        preprocessing.as_float,
        lambda x: exact(x) / 255.0,
        "NumPy",
        lambda rng, batch: (rng.integers(256, size=(batch, 4, 5, 3)).astype(np.uint8),),
    ),
    FunctionRow(
        "PaddedRange",
        preprocessing.PaddedRange,
        preprocessing.PaddedRange(2, -0.1, 1.175),
        lambda x: np.pad(-0.1 + 1.275 * exact(x), ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-0.1),
        "NumPy",
        normal(4, 5, 3),
    ),
]
