"""Twins of the metrics."""

from functools import partial

import numpy as np

from jaxnn import metrics
from jaxnn.verification.arguments import BAD_LABELS, logits_and_labels
from jaxnn.verification.rows import FunctionRow, exact


def _numpy_top_k(logits, labels, k):
    return (np.argsort(-exact(logits), axis=1)[:, :k] == np.asarray(labels)[:, None]).any(axis=1)


METRICS = [
    FunctionRow(
        "accuracy",
        metrics.accuracy,
        metrics.accuracy,
        partial(_numpy_top_k, k=1),
        "NumPy",
        logits_and_labels,
        (True, True),
        keeps_dtype=False,
        smooth=False,
        rejects=BAD_LABELS,
    ),
    *(
        FunctionRow(
            f"top_k, k = {k}",
            metrics.top_k,
            metrics.top_k(k),
            partial(_numpy_top_k, k=k),
            "NumPy",
            logits_and_labels,
            (True, True),
            keeps_dtype=False,
            smooth=False,
            rejects=BAD_LABELS,
        )
        for k in (1, 3, 7)
    ),
]
