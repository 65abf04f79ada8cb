"""Twins of the activations."""

import numpy as np

from jaxnn import activations
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, exact

ACTIVATIONS = [
    FunctionRow(
        "scaled_tanh",
        activations.scaled_tanh,
        activations.scaled_tanh,
        lambda x: 1.7159 * np.tanh(exact(x) * 2 / 3),
        "NumPy",
        normal(3, 5),
        (True,),
    ),
]
