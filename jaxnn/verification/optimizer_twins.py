"""Twins of the optimizers, and the problems on which both walk."""

import optax

from jaxnn import optimizers
from jaxnn.verification.rows import OptimizerRow

OPTIMIZERS = [
    OptimizerRow("sgd", optimizers.sgd, optax.sgd, "optax.sgd", {"learning_rate": 1e-3}),
    OptimizerRow("sgd, momentum", optimizers.sgd, optax.sgd, "optax.sgd", {"learning_rate": 2e-4, "momentum": 0.9}),
    OptimizerRow(
        "sgd, nesterov",
        optimizers.sgd,
        optax.sgd,
        "optax.sgd",
        {"learning_rate": 2e-4, "momentum": 0.8},
        {"nesterov": True},
    ),
    OptimizerRow(
        "adam", optimizers.adam, optax.adam, "optax.adam", {"learning_rate": 1e-2, "b1": 0.85, "b2": 0.995, "eps": 1e-7}
    ),
]
