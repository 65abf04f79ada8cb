"""These rows compare the metrics with their references."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxnn import metrics
from jaxnn.verification.arguments import logits_and_labels
from jaxnn.verification.rows import FunctionRow, exact


def _numpy_top_k(logits, labels, k):
    return (np.argsort(-exact(logits), axis=1)[:, :k] == np.asarray(labels)[:, None]).any(axis=1)


def confusion_counts(rng, batch, classes=5):
    """A confusion matrix in which one class was never predicted and one never occurs."""
    matrix = rng.integers(20, size=(classes, classes))
    matrix[:, 1] = matrix[3, :] = 0
    return (matrix,)


def of_examples(measure):
    """The measure's oracle: the matrix spread out into examples, each class against the others."""

    def scores(matrix, average=None):
        true, predicted = np.repeat(np.stack(np.indices(matrix.shape), -1).reshape(-1, 2), np.ravel(matrix), axis=0).T
        classes = range(len(matrix))
        if average == "micro":  # all pairs (example, class) in one pool
            one_hot = np.eye(len(matrix), dtype=bool)
            return measure(one_hot[true].ravel(), one_hot[predicted].ravel())
        each = np.array([measure(true == k, predicted == k) for k in classes])
        weights = [np.mean(true == k) for k in classes] if average == "weighted" else [1 / len(classes)] * len(classes)
        return np.dot(weights, each) if average else each

    return scores


def precision_of(true, predicted):
    """Computes the share of the predictions that are true; 0 of none."""
    return true[predicted].mean() if predicted.any() else 0.0


def recall_of(true, predicted):
    """Computes the share of the true that is predicted; 0 of none."""
    return precision_of(predicted, true)


def _f1(true, predicted):
    p, r = precision_of(true, predicted), recall_of(true, predicted)
    return 2 * p * r / (p + r) if p + r else 0.0


def _successes_and_counts(rng, batch):
    count = rng.integers(1, 1000, size=batch)
    return rng.integers(count + 1), count


def _scipy_wilson(successes, counts, confidence=0.95):
    tests = [scipy.stats.binomtest(int(s), int(n)) for s, n in zip(successes, counts, strict=True)]
    return np.array([test.proportion_ci(confidence, method="wilson") for test in tests])


def _scipy_interval(values, confidence, student):
    x = exact(values)
    distribution = scipy.stats.t(len(x) - 1) if student else scipy.stats.norm()
    return np.mean(x) + scipy.stats.sem(x) * np.array(distribution.interval(confidence))


def _all(values):
    return jnp.ones(len(values), bool)


def _embeddings(rng, batch):
    return rng.normal(size=(batch + 6, 4)), rng.integers(3, size=batch + 6)


def _embeddings_and_gallery(rng, batch):
    return rng.normal(size=(batch, 4)), rng.integers(3, size=batch), rng.normal(size=(11, 4)), rng.integers(4, size=11)


def _numpy_ranks(queries, labels, gallery=None, gallery_labels=None, similarity="cosine"):
    """For each query, which items are right, best first."""
    alone = gallery is None
    items, names = (queries, labels) if alone else (gallery, gallery_labels)
    q, g = exact(queries), exact(items)
    if similarity == "cosine":
        q, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g))
    others = [set(range(len(g))) - ({i} if alone else set()) for i in range(len(q))]
    orders = [sorted(found, key=lambda j, i=i: -(q[i] @ g[j])) for i, found in enumerate(others)]
    return [np.asarray(names)[order] == np.asarray(labels)[i] for i, order in enumerate(orders)]


def _numpy_recall_at_k(*arguments, k, **options):
    return np.array([right[:k].any() for right in _numpy_ranks(*arguments, **options)])


def _numpy_average_precision(*arguments, **options):
    hits = [np.flatnonzero(right) for right in _numpy_ranks(*arguments, **options)]
    return np.array([np.mean(np.arange(1, len(h) + 1) / (h + 1)) if len(h) else 0.0 for h in hits])


def _with_gallery(metric, **options):
    return lambda q, l, g, m: metric(q, l, gallery=g, gallery_labels=m, **options)


METRICS = [
    FunctionRow(
        "accuracy",
        metrics.accuracy,
        metrics.accuracy,
        partial(_numpy_top_k, k=1),
        "NumPy",
        logits_and_labels,
    ),
    *(
        FunctionRow(
            f"top_k, k = {k}",
            metrics.top_k,
            metrics.top_k(k),
            partial(_numpy_top_k, k=k),
            "NumPy",
            logits_and_labels,
        )
        for k in (1, 3, 7)
    ),
    *(
        FunctionRow(
            f"{public.__name__}, {average or 'per class'}",
            public,
            partial(public, average=average),
            partial(of_examples(measure), average=average),
            "NumPy",
            confusion_counts,
        )
        for public, measure in ((metrics.precision, precision_of), (metrics.recall, recall_of), (metrics.f1, _f1))
        for average in (None, "macro", "micro", "weighted")
    ),
    FunctionRow(
        "perplexity",
        metrics.perplexity,
        lambda losses: metrics.perplexity(metrics.masked_mean(losses, _all(losses))),
        lambda losses: scipy.stats.gmean(np.exp(exact(losses))),
        "scipy.stats.gmean",
        lambda rng, batch: (rng.uniform(0, 5, size=batch),),
    ),
    FunctionRow(
        "wilson_interval",
        metrics.wilson_interval,
        lambda s, n: jnp.stack(metrics.wilson_interval(s, n), axis=-1),
        _scipy_wilson,
        "scipy.stats.binomtest",
        _successes_and_counts,
    ),
    *(
        FunctionRow(
            f"{public.__name__}, {confidence:.0%}",
            public,
            lambda x, public=public, c=confidence: jnp.stack(public(metrics.masked_moments(x, _all(x)), confidence=c)),
            partial(_scipy_interval, confidence=confidence, student=public is metrics.student_interval),
            "scipy.stats",
            lambda rng, batch: (rng.normal(size=batch) + 1,),
        )
        for public in (metrics.normal_interval, metrics.student_interval)
        for confidence in (0.95, 0.5)
    ),
    FunctionRow(
        "recall_at_k",
        metrics.recall_at_k,
        partial(metrics.recall_at_k, k=2),
        partial(_numpy_recall_at_k, k=2),
        "NumPy",
        _embeddings,
    ),
    *(
        FunctionRow(
            f"recall_at_k, gallery, {similarity}",
            metrics.recall_at_k,
            _with_gallery(metrics.recall_at_k, k=3, similarity=similarity),
            partial(_numpy_recall_at_k, k=3, similarity=similarity),
            "NumPy",
            _embeddings_and_gallery,
        )
        for similarity in ("cosine", "dot")
    ),
    FunctionRow(
        "average_precision",
        metrics.average_precision,
        metrics.average_precision,
        _numpy_average_precision,
        "NumPy",
        _embeddings,
    ),
    FunctionRow(
        "average_precision, gallery",
        metrics.average_precision,
        _with_gallery(metrics.average_precision),
        _numpy_average_precision,
        "NumPy",
        _embeddings_and_gallery,
    ),
]
