"""Ties, top-k, and the measures of a confusion matrix."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnn.metrics import accuracy, confusion_matrix, f1, precision, recall, top_k

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def test_ties():
    logits = jnp.array([[1.0, 1.0, 0.0]])
    first, second = jnp.array([0]), jnp.array([1])
    assert (accuracy(logits, first)[0], accuracy(logits, second)[0]) == (1, 0)  # to the lowest class
    assert (top_k(1)(logits, first)[0], top_k(1)(logits, second)[0]) == (1, 1)  # with the k-th counts as within


def test_top_k_is_one_value_for_one_k_and_refuses_none():
    assert top_k(5) is top_k(5)  # equal steps share what is compiled
    with pytest.raises(ValueError, match="`k` must be at least 1; received 0"):
        top_k(0)


def test_confusion_matrix_counts_true_classes_down_and_predicted_across():
    predicted, labels = jnp.array([1, 1, 1, 2, 0]), jnp.array([0, 0, 1, 2, 2])
    assert confusion_matrix(predicted, labels, classes=3).tolist() == [[0, 2, 0], [0, 1, 0], [1, 0, 1]]


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


@pytest.mark.parametrize("measure", [precision, recall, f1])
def test_refuses_an_unknown_average(measure):
    with pytest.raises(ValueError, match="unknown average 'makro'; did you mean 'macro'"):
        measure(jnp.ones((2, 2), jnp.int32), average="makro")
