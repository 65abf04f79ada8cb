"""Twins of the losses."""

from functools import partial

import jax
import numpy as np
import optax

from jaxnn import losses
from jaxnn.verification.arguments import BAD_LABELS, logits_and_labels, logits_and_probabilities
from jaxnn.verification.rows import FunctionRow, exact


def _optax_smoothed(logits, labels, smoothing):
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing))


def _numpy_rejection(logits, labels, rejection_logit=-1.0):
    z = exact(logits)
    return np.log(np.exp(rejection_logit) + np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]


LOSSES = [
    FunctionRow(
        "cross_entropy",
        losses.cross_entropy,
        losses.cross_entropy,
        optax.softmax_cross_entropy_with_integer_labels,
        "optax.softmax_cross_entropy_with_integer_labels",
        logits_and_labels,
        (True, True),
        twin_gradient=True,
        rejects=BAD_LABELS,
    ),
    FunctionRow(
        "cross_entropy, probabilities",
        losses.cross_entropy,
        losses.cross_entropy,
        optax.softmax_cross_entropy,
        "optax.softmax_cross_entropy",
        logits_and_probabilities,
        (True, True),
        twin_gradient=True,
        rejects=((np.zeros((4, 7)), np.zeros((4, 6))), "labels"),
    ),
    FunctionRow(
        "cross_entropy, smoothed",
        losses.cross_entropy,
        partial(losses.cross_entropy, label_smoothing=0.1),
        partial(_optax_smoothed, smoothing=0.1),
        "optax.smooth_labels",
        logits_and_labels,
        (True, True),
        twin_gradient=True,
        rejects=BAD_LABELS,
    ),
    FunctionRow(
        "cross_entropy_with_rejection",
        losses.cross_entropy_with_rejection,
        losses.cross_entropy_with_rejection,
        _numpy_rejection,
        "NumPy",
        logits_and_labels,
        (True, True),
        rejects=BAD_LABELS,
    ),
]
