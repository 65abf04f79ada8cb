"""Ties, top-k, and the measures of a confusion matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnn.metrics import accuracy, confusion_matrix, f1, precision, recall, top_k

COVERS = {"metrics.confusion_matrix"}

full = pytest.mark.full  # ring 1 has the rows of the catalog


@pytest.mark.parametrize("logits", [jnp.array([2.0, -1.0, 0.5]), jnp.array([[2.0], [-1.0], [0.5]])], ids=["n", "n, 1"])
@pytest.mark.parametrize(
    "labels", [[1, 0, 0], [[1], [0], [0]], [True, False, False], [1.0, 0.0, 0.0], [1, -1, -1]], ids=str
)
def test_one_logit_is_above_0_for_the_class_1(logits, labels):
    for array in (np.array, jnp.array):
        assert accuracy(logits, array(labels)).tolist() == [1, 1, 0]


def test_one_hot_labels_mean_the_largest():
    logits, labels = jnp.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1])
    for one_hot in (np.eye(2, dtype=np.float32)[labels], jnp.eye(2)[labels], np.array([[0.2, 0.8], [0.3, 0.7]])):
        assert accuracy(logits, one_hot).tolist() == accuracy(logits, labels).tolist() == [1, 0]


def test_accuracy_of_sequences_has_a_number_for_each_token():
    assert accuracy(jnp.eye(3)[None], np.array([[0, 1, 1]])).tolist() == [[1, 1, 0]]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (jnp.ones((2, 3)), np.array([1, 3]), r"`labels` must lie in \[0, 2\]; received 1 to 3"),
        (jnp.ones((2, 3)), np.array([-1, 0]), "received -1 to 0"),
        (jnp.ones((2, 3)), np.array([[1], [0]]), r"Then pass labels\[:, 0\]"),
        (jnp.ones((2, 3)), np.array([1.0, 0.0]), "must be integers; received float64"),
        (jnp.ones((2, 3)), np.full((2, 3), 0.7), "must be probabilities.* Is it a regression"),
        (jnp.ones((2, 1)), np.array([[0.5], [1.0]]), "must be 0 or 1 beside one logit.* Is it a regression"),
        (jnp.ones((2, 1)), np.array([1, 2]), "received numbers from 1 to 2"),
        (jnp.ones((2, 1)), np.eye(2), r"`labels` must have shape \(2,\) beside one logit"),
    ],
)
def test_accuracy_refuses_labels_that_it_cannot_compare(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        accuracy(logits, labels)


def test_top_k_finds_no_label_that_names_no_class():
    assert top_k(2)(jnp.zeros((2, 3)), jnp.array([7, -1])).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 2\]; received -1 to 7"):
        top_k(2)(jnp.zeros((2, 3)), np.array([7, -1]))
    with pytest.raises(ValueError, match="`k` must be at most 3, the number of classes; received 5"):
        top_k(5)(jnp.zeros((2, 3)), jnp.array([0, 1]))


@pytest.mark.parametrize(
    ("predicted", "labels", "message"),
    [
        ([0, 1], [-1, 1], r"`labels` must lie in \[0, 1\]; received -1 to 1. There are 2 classes"),
        ([0, 1], [2, 1], "received 1 to 2"),
        ([0, 5], [0, 1], r"`predicted` must lie in \[0, 1\]; received 0 to 5"),
        ([0, 1], [[0], [1]], r"must be integers of shape \(n,\); received int\d+\[2, 1\].* the entry \[:, 0\]"),
        ([0, 1, 1], [0, 1], r"of one length; received \(3,\) and \(2,\)"),
    ],
)
def test_a_confusion_matrix_refuses_what_it_cannot_count(predicted, labels, message):
    for array in (np.array, jnp.array):
        with pytest.raises(ValueError, match=message):
            confusion_matrix(array(predicted), array(labels), classes=2)


def test_traced_labels_that_name_no_class_are_not_counted():
    count = jax.jit(lambda predicted, labels: confusion_matrix(predicted, labels, classes=2))
    assert count(jnp.array([0, 1, 1, 5]), jnp.array([-1, 1, 2, 0])).tolist() == [[0, 0], [0, 1]]


@full
def test_ties():
    logits = jnp.array([[1.0, 1.0, 0.0]])
    first, second = jnp.array([0]), jnp.array([1])
    assert (accuracy(logits, first)[0], accuracy(logits, second)[0]) == (1, 0)  # to the lowest class
    assert (top_k(1)(logits, first)[0], top_k(1)(logits, second)[0]) == (1, 1)  # with the k-th counts as within


@full
def test_top_k_is_one_value_for_one_k_and_refuses_none():
    assert top_k(5) is top_k(5)  # equal steps share what is compiled
    with pytest.raises(ValueError, match="`k` must be at least 1; received 0"):
        top_k(0)


@full
def test_confusion_matrix_counts_true_classes_down_and_predicted_across():
    predicted, labels = jnp.array([1, 1, 1, 2, 0]), jnp.array([0, 0, 1, 2, 2])
    assert confusion_matrix(predicted, labels, classes=3).tolist() == [[0, 2, 0], [0, 1, 0], [1, 0, 1]]


@full
def test_what_was_never_predicted_or_never_occurs_scores_zero():
    matrix = jnp.array([[3, 0, 1], [2, 0, 0], [0, 0, 0]])  # class 1 never predicted, class 2 never there
    np.testing.assert_allclose(precision(matrix), [0.6, 0, 0])
    np.testing.assert_allclose(recall(matrix), [0.75, 0, 0])
    np.testing.assert_allclose(f1(matrix), [2 / 3, 0, 0])
    np.testing.assert_allclose(precision(matrix, average="macro"), 0.2)  # zeros count
    empty = jnp.zeros((3, 3), jnp.int32)
    for measure in (precision, recall, f1):
        assert measure(empty).tolist() == [0, 0, 0]
        for average in ("macro", "micro", "weighted"):
            assert measure(empty, average=average) == 0


@full
@given(seed=st.integers(0, 999))
def test_averages_that_are_the_accuracy_and_what_macro_f1_is_not(seed):
    matrix = np.random.default_rng(seed).integers(1, 30, size=(4, 4))
    M, right = jnp.asarray(matrix), np.trace(matrix) / matrix.sum()
    for measure in (precision, recall, f1):
        np.testing.assert_allclose(measure(M, average="micro"), right, rtol=1e-6)
    np.testing.assert_allclose(recall(M, average="weighted"), right, rtol=1e-6)
    p, r = (float(measure(M, average="macro")) for measure in (precision, recall))
    assert f1(M, average="macro") <= 2 * p * r / (p + r) + 1e-6  # Opitz and Burst
    np.testing.assert_allclose(f1(M), 2 / (1 / precision(M) + 1 / recall(M)), rtol=1e-5)  # the harmonic mean


@full
@pytest.mark.parametrize("measure", [precision, recall, f1])
def test_refuses_an_unknown_average(measure):
    with pytest.raises(ValueError, match="unknown average 'makro'; did you mean 'macro'"):
        measure(jnp.ones((2, 2), jnp.int32), average="makro")
