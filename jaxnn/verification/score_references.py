"""These rows compare the scores of whole data sets with their references."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxnn import metrics
from jaxnn.verification.metric_references import confusion_counts, of_examples, precision_of, recall_of
from jaxnn.verification.rows import FunctionRow, exact

_BINS = 10


def _f2(true, predicted):
    p, r = precision_of(true, predicted), recall_of(true, predicted)
    return 5 * p * r / (4 * p + r) if p + r else 0.0


def _overlap(true, predicted):
    return (true & predicted).sum() / (true | predicted).sum() if (true | predicted).any() else 0.0


def _good_counts(rng, batch):
    """A confusion matrix of predictions that are better than a guess, whose scores would be near 0."""
    (matrix,) = confusion_counts(rng, batch)
    matrix[[0, 2, 4], [0, 2, 4]] += 40
    return (matrix,)


def _examples(matrix):
    """The true and the predicted class of each example."""
    return np.repeat(np.stack(np.indices(matrix.shape), -1).reshape(-1, 2), np.ravel(matrix), axis=0).T


def _correlation_of_one_hot(matrix):
    """Gorodkin's definition: the covariance of the indicators, summed over the classes, over its roots."""
    true, predicted = (np.eye(len(matrix))[x] for x in _examples(matrix))
    covariance = lambda a, b: np.mean((a - a.mean(axis=0)) * (b - b.mean(axis=0)), axis=0).sum()
    return covariance(true, predicted) / np.sqrt(covariance(true, true) * covariance(predicted, predicted))


def _kappa_of_pairs(matrix, distance):
    """Observed over expected disagreement: of the pairs of each example, and of all pairs of examples."""
    true, predicted = _examples(matrix)
    return 1 - distance(true, predicted).mean() / distance(true[:, None], predicted[None]).mean()


def _recalls_of_classes(matrix):
    true, predicted = _examples(matrix)
    return np.mean([np.mean(predicted[true == k] == k) for k in np.unique(true)])


def _scores_and_labels(rng, batch):
    """Scores in the middle of one of ten bins, so that many are equal, and both classes."""
    labels = rng.integers(2, size=batch)
    labels[:2] = 0, 1
    return (rng.integers(_BINS, size=batch) + 0.5) / _BINS, labels


def _scipy_auc(scores, labels):
    s, y = exact(scores), np.asarray(labels) == 1
    return scipy.stats.mannwhitneyu(s[y], s[~y]).statistic / (y.sum() * (~y).sum())


def _area_of_steps(scores, labels):
    s, y = exact(scores), np.asarray(labels) == 1
    found = [s >= threshold for threshold in np.unique(s)[::-1]]
    recalls = np.array([0, *(y[f].sum() / y.sum() for f in found)])
    return np.sum(np.diff(recalls) * [y[f].mean() for f in found])


def _numpy_histogram(scores, labels):
    return np.stack([np.histogram(exact(scores)[np.asarray(labels) == k], _BINS, (0, 1))[0] for k in (1, 0)])


def _area_and_ties(scores, labels):
    s, y = exact(scores), np.asarray(labels) == 1
    return np.array([_scipy_auc(scores, labels), np.mean(s[y][:, None] == s[~y][None]) / 2])


def _confidences_and_hits(rng, batch):
    return rng.uniform(size=batch), rng.integers(2, size=batch)


def _numpy_bins(confidences, hits):
    c, h = exact(confidences), exact(hits)
    inside = [(c > low / _BINS) & (c <= (low + 1) / _BINS) for low in range(_BINS)]
    return np.array([[x[i].sum() for i in inside] for x in (c, h, np.ones(len(c)))])


def _gaps(confidences, hits):
    confidence, right, count = _numpy_bins(confidences, hits)
    return np.abs(right - confidence)[count > 0], count[count > 0]


def _expected_gap(confidences, hits):
    gaps, count = _gaps(confidences, hits)
    return np.average(gaps / count, weights=count)


def _largest_gap(confidences, hits):
    gaps, count = _gaps(confidences, hits)
    return (gaps / count).max()


def _of_bins(error):
    return lambda confidences, hits: error(metrics.calibration_bins(confidences, hits, bins=_BINS))


def _outputs_and_targets(rng, batch):
    targets = rng.normal(size=(batch, 3)) + 2
    return targets + rng.normal(size=(batch, 3)) / 2, targets


def _numpy_sums(outputs, targets):
    y, t = exact(outputs), exact(targets)
    return np.stack([((t - y) ** 2).sum(axis=0), (t - 1).sum(axis=0), ((t - 1) ** 2).sum(axis=0)])


def _share_of_variance(outputs, targets):
    y, t = exact(outputs), exact(targets)
    return 1 - np.mean((t - y) ** 2, axis=0) / np.var(t, axis=0)


def _row(name, ours, oracle, against, arguments):
    public = getattr(metrics, name.partition(",")[0])
    return FunctionRow(name, public, ours, oracle, against, arguments)


SCORES = [
    *(
        _row(
            f"{name}, {average or 'per class'}",
            partial(metric, average=average),
            partial(of_examples(measure), average=average),
            "NumPy",
            confusion_counts,
        )
        for name, metric, measure in (
            ("f_beta", partial(metrics.f_beta, beta=2.0), _f2),
            ("intersection_over_union", metrics.intersection_over_union, _overlap),
        )
        for average in (None, "macro", "micro", "weighted")
    ),
    _row("matthews_correlation", metrics.matthews_correlation, _correlation_of_one_hot, "NumPy", _good_counts),
    *(
        _row(
            f"cohen_kappa, {weights or 'no weights'}",
            partial(metrics.cohen_kappa, weights=weights),
            partial(_kappa_of_pairs, distance=distance),
            "NumPy",
            _good_counts,
        )
        for weights, distance in (
            (None, np.not_equal),
            ("linear", lambda a, b: np.abs(a - b)),
            ("quadratic", lambda a, b: (a - b) ** 2),
        )
    ),
    _row("balanced_accuracy", metrics.balanced_accuracy, _recalls_of_classes, "NumPy", confusion_counts),
    _row("roc_auc", metrics.roc_auc, _scipy_auc, "scipy.stats.mannwhitneyu", _scores_and_labels),
    _row("binary_average_precision", metrics.binary_average_precision, _area_of_steps, "NumPy", _scores_and_labels),
    _row(
        "score_histogram",
        lambda s, y: jnp.stack(metrics.score_histogram(s, y, bins=_BINS)).astype(jnp.float32),
        _numpy_histogram,
        "numpy.histogram",
        _scores_and_labels,
    ),
    _row(
        "binned_roc_auc",
        lambda s, y: jnp.stack(metrics.binned_roc_auc(metrics.score_histogram(s, y, bins=_BINS))),
        _area_and_ties,
        "scipy.stats.mannwhitneyu",
        _scores_and_labels,
    ),
    _row("calibration_bins", _of_bins(jnp.stack), _numpy_bins, "NumPy", _confidences_and_hits),
    _row(
        "expected_calibration_error",
        _of_bins(metrics.expected_calibration_error),
        _expected_gap,
        "NumPy",
        _confidences_and_hits,
    ),
    _row(
        "maximum_calibration_error",
        _of_bins(metrics.maximum_calibration_error),
        _largest_gap,
        "NumPy",
        _confidences_and_hits,
    ),
    _row(
        "regression_sums",
        lambda y, t: jnp.stack(metrics.regression_sums(y, t, centre=1.0)[:3]),
        _numpy_sums,
        "NumPy",
        _outputs_and_targets,
    ),
    _row(
        "r_squared",
        lambda y, t: metrics.r_squared(metrics.regression_sums(y, t)),
        _share_of_variance,
        "NumPy",
        _outputs_and_targets,
    ),
]
