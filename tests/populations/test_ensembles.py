import itertools

import numpy as np
import pytest

from jaxnn import populations
from jaxnn.models import MLP
from jaxnn.optimizers import adam
from jaxnn.populations import bootstraps, members_of
from jaxnn.populations.ensembles import average_probabilities, ensemble_errors, vote
from jaxnn.populations.member_predictions import predict_members


def random_logits(members=5, n=30, classes=4, *, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return rng.normal(size=(members, n, classes)) * 2 + np.eye(classes)[labels], labels


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def cross_entropy(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def noisy_blobs(n, *, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=n).astype(np.int32)
    centres = np.eye(3, 10) * 2
    return {"image": (centres[label] + rng.normal(size=(n, 10))).astype(np.float32), "label": label}


# --------------------------------------------------------------------------------------------- of many one


def test_probabilities_are_averaged_not_logits():
    logits, _ = random_logits()
    averaged = average_probabilities(logits)
    np.testing.assert_allclose(averaged, np.mean([softmax(z) for z in logits], axis=0), rtol=1e-12)
    np.testing.assert_allclose(averaged.sum(axis=1), 1, rtol=1e-12)
    assert np.abs(averaged - softmax(logits.mean(axis=0))).max() > 0.05


def test_the_ensembles_cross_entropy_is_at_most_the_mean_of_the_members():
    logits, labels = random_logits()
    members = [cross_entropy(softmax(z), labels) for z in logits]
    assert cross_entropy(average_probabilities(logits), labels) < np.mean(members) - 0.1


def test_large_logits_do_not_overflow_and_halves_are_widened():
    logits = np.array([[[1e4, 0.0]], [[0.0, -1e4]]], np.float32)
    assert average_probabilities(logits).tolist() == [[1, 0]]
    assert average_probabilities(logits.astype(np.float16)).dtype == np.float32
    excluded = np.array([[[0.0, -np.inf, 0.0]]])  # a class that is ruled out
    assert average_probabilities(excluded).tolist() == [[0.5, 0, 0.5]]


def test_votes_are_counted():
    logits, _ = random_logits(members=7)
    choices = logits.argmax(axis=-1)
    expected = [np.bincount(column, minlength=4) / 7 for column in choices.T]
    np.testing.assert_allclose(vote(logits), expected, rtol=1e-12)


def test_a_member_who_wavers_shares_its_vote():
    assert vote(np.array([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])).tolist() == [[0.25, 0.25, 0.5]]


# ------------------------------------------------------------------------------------------ errors of subsets


def test_errors_are_those_of_subsets_without_replacement():
    logits, labels = random_logits(members=5)
    errors = ensemble_errors(logits, labels, draws=400, seed=3)
    probabilities = softmax(logits)
    assert errors.members.tolist() == [1, 2, 3, 4, 5]
    assert errors.averaged.shape == errors.voted.shape == (5, 400)
    for row, size in zip(errors.averaged, errors.members, strict=True):
        subsets = itertools.combinations(range(5), size)
        exact = [(probabilities[list(s)].mean(axis=0).argmax(-1) != labels).mean() for s in subsets]
        np.testing.assert_allclose(sorted(set(row.round(9))), sorted(set(np.round(exact, 9))))  # all subsets, no others
        np.testing.assert_allclose(row.mean(), np.mean(exact), atol=4 * np.std(exact) / 20 + 1e-12)
    np.testing.assert_allclose(errors.single, [(z.argmax(-1) != labels).mean() for z in logits])
    assert set(errors.averaged[0].round(9)) == set(errors.voted[0].round(9)) == set(errors.single.round(9))
    np.testing.assert_allclose(errors.averaged[-1], (average_probabilities(logits).argmax(-1) != labels).mean())


def test_tied_votes_are_worth_what_a_random_choice_expects():
    """Class 0 must not win because it comes first."""
    logits = np.log([[[0.9, 0.1]] * 2, [[0.2, 0.8]] * 2])
    errors = ensemble_errors(logits, np.array([0, 1]), draws=3)
    assert errors.voted[1].tolist() == [0.5] * 3
    assert (
        errors.averaged[1].tolist() == [0.5] * 3
    )  # 0.55 against 0.45: right of the first example, wrong of the second
    skewed = ensemble_errors(logits, np.array([1, 1]), draws=3)
    assert skewed.voted[1].tolist() == [0.5] * 3
    assert skewed.averaged[1].tolist() == [1.0] * 3


def test_the_seed_decides_the_draws():
    logits, labels = random_logits()
    same = [ensemble_errors(logits, labels, draws=20, seed=seed).averaged for seed in (1, 1, 2)]
    assert (same[0] == same[1]).all()
    assert (same[0] != same[2]).any()


@pytest.mark.full
def test_bagging_beats_its_members():
    data, test = noisy_blobs(100, seed=0), noisy_blobs(2000, seed=1)
    members = members_of(seeds=range(2), splits=bootstraps(100, 5))
    bagged = populations.fit(
        MLP(features=(16,), classes=3), data, members, optimizer=adam(0.02), epochs=20, batch_size=25
    )
    errors = ensemble_errors(predict_members(bagged, test["image"]), test["label"], draws=10)
    assert len(errors.single) == 10
    assert errors.averaged[-1, 0] < errors.single.min()
    assert errors.averaged[-1, 0] < errors.single.mean() - 0.02
    assert errors.voted[-1, 0] < errors.single.mean() - 0.01
    assert errors.averaged.mean(axis=1)[3] < errors.averaged.mean(axis=1)[0]


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("combine", [average_probabilities, vote])
def test_refuses_what_are_no_logits_of_members(combine):
    with pytest.raises(ValueError, match=r"shape \(members, n, classes\); received \(3, 2\).*logits\[None\]"):
        combine(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="shape"):
        combine(np.zeros((0, 3, 2)))
    logits, _ = random_logits()
    logits[2, 1, 0], logits[4, 0, 1] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"members \[2, 4\] have NaN or infinite ones. Leave out who diverged"):
        combine(logits)


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (np.zeros(29, int), r"int64 of shape \(29,\)"),
        (np.zeros(30), r"float64 of shape \(30,\)"),
        (np.full(30, 4), "int64"),
        (np.full(30, -1), "int64"),
        (np.zeros((30, 4), int), r"int64 of shape \(30, 4\). One-hot labels: labels.argmax"),
    ],
)
def test_refuses_labels_that_are_no_classes(labels, received):
    with pytest.raises(ValueError, match=rf"`labels` must be 30 integers in \[0, 4\).*received {received}"):
        ensemble_errors(random_logits()[0], labels)


def test_refuses_no_draws():
    with pytest.raises(ValueError, match="`draws` must be at least 1; received 0"):
        ensemble_errors(*random_logits(), draws=0)
