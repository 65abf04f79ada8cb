"""Ensembles turn the answers of many members into one: probabilities are averaged, never accuracies.

The ensemble predicts `p(k | x) = 1/M sum_m softmax(z_m(x))_k`. Its error is the error of this mean, and by Jensen's
inequality its cross-entropy is at most the mean of the members' cross-entropies. The mean of the members' accuracies is
not the accuracy of any predictor.
"""

from typing import NamedTuple

import numpy as np


def average_probabilities(logits) -> np.ndarray:
    """Returns the mean of the members' softmax probabilities, (n, K).

    Args:
      logits: (members, n, K), such as `predict_members` or `monte_carlo_dropout` returns.

    Raises:
      ValueError: another number of axes, no logits, or members with NaN or infinite logits.

    Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using deep ensembles,
    arXiv 1612.01474.

    >>> average_probabilities(np.log([[[0.9, 0.1]], [[0.4, 0.6]]])).round(3).tolist()
    [[0.65, 0.35]]
    """
    return _softmax(_checked(logits)).mean(axis=0)


def vote(logits) -> np.ndarray:
    """Returns the fraction of the votes for each class, (n, K); tied largest logits of a member share its vote equally.

    Args:
      logits: (members, n, K).

    Raises:
      ValueError: as `average_probabilities`.

    Hansen and Salamon 1990, Neural network ensembles.

    >>> vote(np.array([[[3.0, 1.0]], [[5.0, 2.0]], [[0.0, 1.0]], [[1.0, 1.0]]])).tolist()
    [[0.625, 0.375]]
    """
    return _shared_first(_checked(logits)).mean(axis=0)


class EnsembleErrors(NamedTuple):
    """Holds the error rates of random subsets of M members.

    members: (M,) the sizes of the subsets, 1 to M. averaged, voted: (M, draws) the error rates of the mean probability
    and of the majority vote. single: (M,) the error rate of each member alone.
    """

    members: np.ndarray
    averaged: np.ndarray
    voted: np.ndarray
    single: np.ndarray


def ensemble_errors(logits, labels, *, draws: int = 50, seed: int = 0) -> EnsembleErrors:
    """Measures how the test error falls with the number of members, on `draws` random subsets of each size.

    A draw is a random order of the members (without replacement), whose first s are its subset of size s; at size M all
    draws agree. Where t classes tie for the first place, the error is `1 - 1/t` if the label is among them: the
    expectation of a random choice. So the order of the classes does not help two members that disagree.

    Args:
      logits: (members, n, K).
      labels: (n,) integers.
      draws: number of random orders.
      seed: seed of the random orders.

    Raises:
      ValueError: as `average_probabilities`; labels that are not n integers in [0, K), or no draws.

    >>> errors = ensemble_errors(np.log([[[0.9, 0.1]], [[0.4, 0.6]]]), np.array([0]), draws=1)
    >>> errors.single.tolist(), errors.averaged[1].tolist(), errors.voted[1].tolist()
    ([0.0, 1.0], [0.0], [0.5])
    """
    logits = _checked(logits)
    labels = _checked_labels(labels, logits.shape)
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1; received {draws}. Fifty give smooth curves.")
    rng, votes = np.random.default_rng(seed), _shared_first(logits)
    orders = [rng.permutation(len(logits)) for _ in range(draws)]
    averaged, voted = (
        np.stack([_errors_along(order, answers, labels) for order in orders], axis=1)
        for answers in (_softmax(logits), votes)
    )
    single = np.array([_error(own, labels) for own in votes])
    return EnsembleErrors(np.arange(1, len(logits) + 1), averaged, voted, single)


def _checked(logits):
    logits = np.asarray(logits)
    if logits.ndim != 3 or not logits.size:
        raise ValueError(
            f"`logits` must have shape (members, n, classes); received {logits.shape}. One member's are logits[None]."
        )
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    lost = np.flatnonzero(np.isnan(logits.max(axis=(1, 2))) | np.isposinf(logits.max(axis=(1, 2))))
    if len(lost):
        raise ValueError(
            f"`logits` must be finite; members {lost.tolist()} have NaN or infinite ones. Leave out who diverged: "
            "population.select(np.flatnonzero(~population.diverged))."
        )
    return logits


def _checked_labels(labels, shape):
    labels = np.asarray(labels)
    _, n, classes = shape
    whole = labels.shape == (n,) and np.issubdtype(labels.dtype, np.integer)
    if not whole or not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"`labels` must be {n} integers in [0, {classes}), one for each of the logits' examples; received "
            f"{labels.dtype} of shape {labels.shape}. One-hot labels: labels.argmax(-1)."
        )
    return labels


def _softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _shared_first(scores):
    """Returns 1/t at the t largest scores of the last axis, else 0."""
    first = scores == scores.max(axis=-1, keepdims=True)
    return first / first.sum(axis=-1, keepdims=True)


def _errors_along(order, answers, labels):
    """Returns the errors of the first one, two, ... members in this order, (members,)."""
    total, errors = np.zeros(answers.shape[1:]), []
    for member in order:
        total += answers[member]
        errors.append(_error(total, labels))
    return errors


def _error(scores, labels):
    """Returns the error rate of choosing the class with the largest score, at random among equals."""
    top = scores.max(axis=-1, keepdims=True)
    right = np.take_along_axis(scores, labels[:, None], axis=-1) == top
    return 1 - (right[:, 0] / (scores == top).sum(axis=-1)).mean()
