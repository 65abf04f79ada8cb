"""Scores of whole data sets give scikit-learn's numbers (1.9), merge, and say what they do where they are undefined."""

import inspect
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnn import metrics

COVERS = {"metrics.Area", "metrics.CalibrationBins", "metrics.RegressionSums", "metrics.ScoreHistogram"}

full = pytest.mark.full

MATRIX = np.array([[8, 2, 0, 0], [4, 6, 1, 0], [3, 0, 0, 0], [0, 0, 0, 0]])  # class 3 is nowhere
K = np.arange(40)
SCORES = np.round((np.sin(1.3 * K) + 1) / 2, 1)  # 11 different ones
LABELS = (np.sin(1.3 * K + 1.0) + np.cos(7 * K) > 0.3).astype(int)
TARGETS = np.stack([np.sin(K), 1000 + np.cos(K), 0.1 * K], axis=1)
OUTPUTS = TARGETS + 0.3 * np.sin(np.stack([3 * K, 5 * K, 7 * K], axis=1))

OF_MATRIX = {  # sklearn.metrics of the examples of MATRIX, labels=[0, 1, 2, 3]
    "precision, macro": (0.3208333, 0.5708333, 0.4277778),  # precision_score, zero_division=0, 1 and nan
    "recall, macro": (0.3363636, 0.5863636, 0.4484848),
    "f2, macro": (0.3260490, 0.5760490, 0.4347319),  # fbeta_score(beta=2)
    "f2, weighted": (0.5674534, 0.5674534, 0.5674534),
    "f2, micro": (0.5833333, 0.5833333, 0.5833333),
}
AGREEMENT = {
    "matthews_corrcoef": (metrics.matthews_correlation, 0.3019969),
    "cohen_kappa_score": (metrics.cohen_kappa, 0.2835821),
    "cohen_kappa_score, linear": (partial(metrics.cohen_kappa, weights="linear"), 0.2),
    "cohen_kappa_score, quadratic": (partial(metrics.cohen_kappa, weights="quadratic"), 0.088),
    "balanced_accuracy_score": (metrics.balanced_accuracy, 0.4484848),
    "balanced_accuracy_score, adjusted": (partial(metrics.balanced_accuracy, adjusted=True), 0.1727273),
    "jaccard_score, macro": (partial(metrics.intersection_over_union, average="macro"), 0.2330317),
    "jaccard_score, micro": (partial(metrics.intersection_over_union, average="micro"), 0.4117647),
    # Keras' MeanIoU: the mean over the classes that are somewhere
    "MeanIoU": (partial(metrics.intersection_over_union, average="macro", zero_division=math.nan), 0.3107089),
}


def test_scores_of_a_matrix_are_those_of_scikit_learn():
    scores = {"precision": metrics.precision, "recall": metrics.recall, "f2": partial(metrics.f_beta, beta=2.0)}

    @jax.jit
    def compute(matrix):
        of = lambda name, average, zero: scores[name](matrix, average=average, zero_division=zero)
        averaged = {key: [of(*key.split(", "), zero) for zero in (0.0, 1.0, math.nan)] for key in OF_MATRIX}
        per_class = metrics.precision(matrix, zero_division=math.nan)
        return averaged, {name: score(matrix) for name, (score, _) in AGREEMENT.items()}, per_class

    averaged, agreement, per_class = compute(jnp.asarray(MATRIX))
    for name, numbers in OF_MATRIX.items():
        np.testing.assert_allclose(averaged[name], numbers, atol=1e-7, err_msg=name)
    for name, (_, number) in AGREEMENT.items():
        np.testing.assert_allclose(agreement[name], number, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(per_class, [0.5333333, 0.75, 0.0, np.nan], atol=1e-7)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[5, 0], [0, 0]], (0, 0, 1, 0)),  # all are of one class
        ([[0, 0], [0, 0]], (0, 0, np.nan, 0)),  # nothing was counted
        ([[0, 4], [3, 0]], (-1, -0.96, 0, -1)),  # all are wrong; by chance 24 of 49 were right: kappa is -24/25
        ([[3, 0], [0, 4]], (1, 1, 1, 1)),
    ],
)
@full
def test_agreement_where_it_is_certain_or_undefined(matrix, expected):
    matrix = jnp.array(matrix)
    found = (metrics.matthews_correlation(matrix), metrics.cohen_kappa(matrix), metrics.balanced_accuracy(matrix))
    np.testing.assert_allclose(found, expected[:3], atol=1e-6)
    assert metrics.balanced_accuracy(matrix, adjusted=True) == expected[3]


@full
def test_the_correlation_of_rare_classes_does_not_cancel():
    """(TP TN - FP FN) / sqrt(...) in Python's integers; int32 would overflow, and shares in float32 cancel."""
    tn, fp, fn, tp = 2_000_000_000, 30, 20, 50
    exact = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert float(metrics.matthews_correlation(jnp.array([[tn, fp], [fn, tp]]))) == pytest.approx(exact, rel=1e-5)


def test_areas_are_those_of_scikit_learn_and_the_binned_one_says_its_error():
    @jax.jit
    def areas(scores, labels, mask):
        exact = metrics.roc_auc(scores, labels, mask=mask), metrics.binary_average_precision(scores, labels, mask=mask)
        parts = [
            metrics.score_histogram(scores[a:b], labels[a:b], bins=4, mask=mask[a:b]) for a, b in ((0, 13), (13, 43))
        ]
        return exact, metrics.binned_roc_auc(metrics.merge(*parts))

    padded = np.append(SCORES, [0.0, 1.0, np.nan]), np.append(LABELS, [1, 0, 1])  # a mask hides what it may
    (auc, precision), binned = areas(*map(jnp.asarray, padded), jnp.arange(43) < 40)
    assert float(auc) == pytest.approx(0.752, abs=1e-6)  # sklearn.metrics.roc_auc_score(LABELS, SCORES)
    assert float(precision) == pytest.approx(0.5898590, abs=1e-6)  # average_precision_score
    assert abs(float(binned.value) - 0.752) <= float(binned.error) < 0.2
    (auc, precision), _ = areas(*map(jnp.asarray, padded), jnp.ones(43, bool))
    assert np.isnan(auc)
    assert np.isnan(precision)


@jax.jit
def exact_and_binned(scores, labels):
    histograms = [metrics.score_histogram(scores, labels, bins=bins) for bins in (1, 2, 5, 21)]
    return metrics.roc_auc(scores, labels), [metrics.binned_roc_auc(histogram) for histogram in histograms]


@full
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=12, max_size=12))
def test_the_exact_area_lies_within_the_error(pairs):
    scores, labels = np.array([s / 20 for s, _ in pairs], np.float32), np.array([y for _, y in pairs])
    exact, binned = exact_and_binned(scores, labels)
    if labels.any() and not labels.all():
        assert all(abs(float(exact - area.value)) <= float(area.error) + 1e-6 for area in binned)
    else:
        assert np.isnan([exact, *(area.value for area in binned)]).all()


@full
def test_labels_of_any_two_names_and_an_increasing_map_of_scores_change_nothing():
    scores = jnp.asarray(SCORES)
    assert metrics.roc_auc(scores, LABELS) == metrics.roc_auc(jnp.exp(3 * scores), 2 * LABELS - 1)
    flipped = metrics.roc_auc(-scores, jnp.asarray(LABELS == 1))
    assert float(flipped) == pytest.approx(1 - 0.752, abs=1e-6)
    one_hot = jnp.stack([1 - LABELS, LABELS], axis=1)
    each = jax.vmap(metrics.roc_auc, in_axes=(1, 1))(jnp.stack([-scores, scores], axis=1), one_hot)
    np.testing.assert_allclose(each, [0.752, 0.752], atol=1e-6)
    assert float(metrics.roc_auc(jnp.array([jnp.inf, -jnp.inf]), jnp.array([1, 0]))) == 1


@full
def test_an_area_of_a_million_scores_is_exact():
    rng = np.random.default_rng(0)
    labels = rng.random(1_000_000) < 0.01
    scores = np.round(rng.normal(size=1_000_000) + labels, 3).astype(np.float32)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    p = labels.sum()
    exact = (ranks[labels].sum() - p * (p + 1) / 2) / (p * (len(labels) - p))
    assert float(metrics.roc_auc(jnp.asarray(scores), labels)) == pytest.approx(exact, abs=2e-6)


def test_calibration_merges_and_r_squared_is_that_of_scikit_learn():
    @jax.jit
    def compute(outputs, targets, mask):
        sums = partial(metrics.regression_sums, centre=jnp.array([0.0, 1000.0, 2.0]))
        parts = [sums(outputs[a:b], targets[a:b], mask=mask[a:b]) for a, b in ((0, 13), (13, 41))]
        constant = metrics.regression_sums(jnp.array([[1.0, 1.0], [1.0, 2.0]]), jnp.ones((2, 2)))
        confidences, hits = jnp.array([0.0, 0.5, 0.51, 1.0, jnp.nan]), jnp.array([0, 1, 0, 1, 1])
        of_half = [
            metrics.calibration_bins(confidences[a:b], hits[a:b], bins=2, mask=mask[a:b]) for a, b in ((0, 2), (2, 4))
        ]
        bins = metrics.merge(*of_half)
        masked = metrics.calibration_bins(confidences, hits, bins=2, mask=jnp.arange(5) < 4)
        errors = [
            f(b)
            for b in (bins, masked)
            for f in (metrics.expected_calibration_error, metrics.maximum_calibration_error)
        ]
        empty = metrics.calibration_bins(confidences, hits, bins=2, mask=jnp.zeros(5, bool))
        none = metrics.expected_calibration_error(empty), metrics.maximum_calibration_error(empty)
        return metrics.r_squared(metrics.merge(*parts)), metrics.r_squared(constant), errors, none

    padded = [jnp.asarray(np.concatenate([x, [[np.nan] * 3]]), "float32") for x in (OUTPUTS, TARGETS)]
    r, constant, errors, none = compute(*padded, jnp.arange(41) < 40)
    # sklearn.metrics.r2_score(TARGETS, OUTPUTS, multioutput="raw_values"); 1000 + cos has 4 digits after the point
    np.testing.assert_allclose(r, [0.9025598, 0.9122652, 0.9667022], atol=2e-5)
    assert constant.tolist() == [1, 0]
    # (0, 1/2]: confidences 0 and 0.5, one hit of two; (1/2, 1]: 0.51 and 1, one hit of two
    np.testing.assert_allclose(errors, [(0.5 + 0.51) / 4, 0.51 / 2] * 2, atol=1e-6)
    assert np.isnan(none).all()


@full
def test_what_cannot_be_is_refused():
    scores, labels = jnp.zeros(4), np.array([0, 1, 1, 0])
    refused = {
        r"`labels` must be 0 or 1 .* received numbers from 0 to 2.* labels == k": partial(
            metrics.roc_auc, scores, 2 * labels
        ),
        r"`scores` and `labels` must have one shape .* take scores\[:, 1\]": partial(
            inspect.unwrap(metrics.roc_auc), jnp.zeros((4, 2)), labels
        ),
        r"`mask` must be boolean, of shape \(4,\)": partial(
            inspect.unwrap(metrics.roc_auc), scores, labels, mask=np.ones(4)
        ),
        "`bins` must be at least 1, and `low` below `high`; received 0": partial(
            metrics.score_histogram, scores, labels, bins=0
        ),
        "received 10, 1.0 and 1.0": partial(metrics.score_histogram, scores, labels, bins=10, low=1.0),
        "`bins` must be at least 1; received 0": partial(metrics.calibration_bins, scores, jnp.asarray(labels), bins=0),
        r"`confidences` and `hits` must have one shape": partial(
            inspect.unwrap(metrics.calibration_bins), scores, jnp.zeros(3)
        ),
        r"`centre` must be a number or have shape \(\); received \(4,\)": partial(
            metrics.regression_sums, scores, scores, centre=jnp.zeros(4)
        ),
        r"`beta` must lie in \[0, inf\]": partial(metrics.f_beta, jnp.asarray(MATRIX), beta=-1.0),
        "unknown weights 'linaer'; did you mean 'linear'": partial(
            metrics.cohen_kappa, jnp.asarray(MATRIX), weights="linaer"
        ),
    }
    for message, call in refused.items():
        with pytest.raises(ValueError, match=message):
            call()
