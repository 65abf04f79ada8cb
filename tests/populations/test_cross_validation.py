from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn import populations, training
from jaxnn.optimizers import sgd
from jaxnn.populations import Population, grid, k_fold, stratified_k_fold
from jaxnn.populations.cross_validation import CrossValidation, cross_validate

LINEAR = (
    lambda key, x: {"w": jax.random.normal(key, (x.shape[-1], 3)) / 10, "b": jnp.zeros(3)},
    lambda params, x: x @ params["w"] + params["b"][None],
)


def blobs(n=120, *, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=n).astype(np.int32)
    return {"image": (np.eye(3, 4)[label] + rng.normal(size=(n, 4)) / 2).astype(np.float32), "label": label}


def trainer_of(score, *, diverged=lambda member: False, name="validation/accuracy"):
    """A trainer that trains nothing: a member's score is a function of it; `calls` are the members of each call."""
    calls = []

    def train(members, *, epochs):
        calls.append(members)
        last = np.array([float(score(member)) for member in members])
        history = {name: np.stack([last + 100] * (epochs - 1) + [last])}
        stopped = np.array([diverged(member) for member in members])
        return Population(members, [None] * len(last), history, np.full(len(last), epochs), stopped, [None] * len(last))

    return train, calls


# ---------------------------------------------------------------------------------------------- the table


HAND_MADE = CrossValidation(
    [{"width": 8}, {"width": 4}, {"width": 2}, {"width": 16}],
    np.array([[0.80, 0.90, 1.00], [0.84, 0.85, 0.86], [0.82, 0.83, 0.84], [0.86, 0.87, 0.88]]),
    "validation/accuracy",
    3,
)


def test_mean_and_standard_error():
    np.testing.assert_allclose(HAND_MADE.mean, [0.90, 0.85, 0.83, 0.87])
    np.testing.assert_allclose(HAND_MADE.standard_error, np.array([0.1, 0.01, 0.01, 0.01]) / np.sqrt(3))
    assert HAND_MADE.best() == 0


def test_the_simplest_within_one_standard_error_of_the_best():
    """0.9 - 0.0577 = 0.842: width 2 is worse than that; of the others width 4 is the simplest."""
    widths = [8, 4, 2, 16]
    assert HAND_MADE.one_standard_error(widths) == 1
    assert HAND_MADE.one_standard_error(lambda setting: setting["width"]) == 1
    assert HAND_MADE.one_standard_error([1, 2, 3, 4]) == 0
    assert HAND_MADE.one_standard_error([5, 5, 5, 1]) == 3
    assert HAND_MADE.one_standard_error([5, 5, 0, 5]) == 0  # of equally simple ones the better


def test_of_losses_and_errors_less_is_better():
    losses = HAND_MADE._replace(scores=1 - HAND_MADE.scores, metric="validation/loss")
    assert losses.best() == 0
    assert losses.one_standard_error([8, 4, 2, 16]) == 1
    assert HAND_MADE._replace(metric="validation/loss").best() == 2


def test_the_standard_error_is_of_the_folds_not_of_the_seeds():
    """Seeds that scatter about the same folds do not make the data larger."""
    of_folds, of_seeds = np.array([0.7, 0.8, 0.9]), np.array([[-0.05, 0.05], [0.02, -0.02], [-0.01, 0.01]])
    scores = (of_folds[:, None] + of_seeds).reshape(1, -1)
    study = CrossValidation([{}], scores, "validation/accuracy", 3)
    np.testing.assert_allclose(study.standard_error, [0.1 / np.sqrt(3)])


def test_rows_of_the_table_are_sorted():
    rows = HAND_MADE.table()
    assert [row["width"] for row in rows] == [8, 16, 4, 2]
    assert rows[0] == {
        "width": 8,
        "validation/accuracy": pytest.approx(0.9),
        "standard_error": pytest.approx(0.1 / 3**0.5),
    }
    diverged = HAND_MADE._replace(scores=np.where(np.arange(4)[:, None] == 0, np.nan, HAND_MADE.scores))
    assert [row["width"] for row in diverged.table()] == [16, 4, 2, 8]


# ------------------------------------------------------------------------------------------- the trainings


def test_every_setting_meets_every_fold_and_seed_once():
    labels = blobs(40)["label"]
    splits = stratified_k_fold(labels, 4, seed=5)
    number = {split.test.tobytes(): i for i, split in enumerate(splits)}
    train, calls = trainer_of(lambda m: 100 * m.hyperparameters["a"] + 10 * number[m.split.test.tobytes()] + m.seed)
    settings = [{"a": 1.0}, {"a": 2.0}]
    study = cross_validate(train, settings, labels, folds=4, seeds=(7, 8), epochs=3, fold_seed=5)
    expected = [[100 * a + 10 * fold + seed for fold in range(4) for seed in (7, 8)] for a in (1, 2)]
    np.testing.assert_array_equal(study.scores, expected)
    assert (study.settings, study.metric, study.folds) == (settings, "validation/accuracy", 4)
    assert [len(members) for members in calls] == [16]  # one population


def test_folds_of_a_number_of_examples_and_of_labels_that_are_no_classes():
    for data in (10, np.linspace(0, 1, 10)):
        train, calls = trainer_of(lambda member: 1.0)
        cross_validate(train, [{}], data, folds=5, stratified=False, epochs=1, fold_seed=2)
        for member, split in zip(calls[0], k_fold(10, 5, seed=2), strict=True):
            np.testing.assert_array_equal(member.split.train, split.train)
            np.testing.assert_array_equal(member.split.test, split.test)


def test_classes_may_have_names():
    train, calls = trainer_of(lambda member: 1.0)
    cross_validate(train, [{}], ["cat"] * 6 + ["dog"] * 9, folds=3, epochs=1)
    assert [sum(member.split.test < 6) for member in calls[0]] == [2, 2, 2]


def test_a_setting_with_a_diverged_run_is_never_the_best():
    train, _ = trainer_of(
        lambda member: member.hyperparameters["a"],
        diverged=lambda member: member.hyperparameters["a"] == 3 > member.seed,
    )
    study = cross_validate(train, grid(a=[1.0, 2.0, 3.0]), 8, stratified=False, folds=2, seeds=(2, 3), epochs=2)
    np.testing.assert_array_equal(study.scores[2], [np.nan, 3, np.nan, 3])
    assert study.best() == 1
    assert study.one_standard_error([2, 1, 0]) == 1
    hopeless = study._replace(scores=np.full((3, 4), np.nan))
    for choose in (hopeless.best, lambda: hopeless.one_standard_error([1, 2, 3])):
        with pytest.raises(ValueError, match="must have a finite validation/accuracy in every run; received none"):
            choose()


@pytest.mark.full
def test_scores_are_those_of_runs_alone():
    data = blobs()
    common = {"optimizer": sgd, "batch_size": 16}
    train = partial(populations.fit, LINEAR, data, **common)
    study = cross_validate(
        train, grid(learning_rate=[0.05, 0.5]), data["label"], folds=3, seeds=(1, 2), epochs=2, metric="validation/loss"
    )
    split = stratified_k_fold(data["label"], 3)[1]
    part, rest = ({name: array[rows] for name, array in data.items()} for rows in split)
    alone = training.fit(LINEAR, part, optimizer=sgd(0.5), epochs=2, batch_size=16, key=2, validation=rest)
    np.testing.assert_allclose(study.scores[1, 3], alone.history[-1]["validation/loss"], rtol=1e-4)
    assert study.scores.shape == (2, 6)
    assert study.best() == 1


class Counted:
    """`LINEAR` that counts how often it is traced."""

    def __init__(self):
        self.traces = 0

    def pair(self):
        def apply(params, x):
            self.traces += 1
            return LINEAR[1](params, x)

        return LINEAR[0], apply


def traces(examples, settings, folds, seeds):
    data, counted = blobs(examples), Counted()
    train = partial(populations.fit, counted.pair(), data, optimizer=sgd, batch_size=8)
    cross_validate(train, settings, examples, stratified=False, folds=folds, seeds=range(seeds), epochs=1)
    return counted.traces


@pytest.mark.full
def test_equal_folds_are_one_program_and_unequal_ones_are_not():
    one = traces(24, grid(learning_rate=[0.1]), 2, 1)
    assert traces(24, grid(learning_rate=[0.1, 0.3]), 4, 2) == one
    assert traces(25, grid(learning_rate=[0.1]), 4, 1) > one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": []}, "at least one member; received none"),
        ({"seeds": ()}, "at least one member; received none"),
        ({"settings": [{"a": 1.0}, {"b": 1.0}]}, "must set the same hyperparameters"),
        ({"labels_or_examples": 12}, r"must be \(n,\) classes for stratified folds; received the number 12. Pass the"),
        ({"labels_or_examples": np.zeros(12)}, r"received float64 of shape \(12,\)"),
        ({"labels_or_examples": np.zeros((12, 3), int)}, r"received int64 of shape \(12, 3\)"),
        ({"folds": 1}, "`folds` must be between 2 and the number of examples, 12; received 1"),
        ({"folds": 13}, "`folds` must be between 2 and the number of examples, 12; received 13"),
        ({"metric": "validation/f1"}, r"`metric` must be one of \['validation/accuracy'\]; received 'validation/f1'"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    train, _ = trainer_of(lambda member: 1.0)
    arguments = {"settings": [{"a": 1.0}], "labels_or_examples": np.arange(12) % 2, "folds": 3, "epochs": 1} | changes
    with pytest.raises(ValueError, match=message):
        cross_validate(train, **arguments)


def test_refuses_complexities_of_another_number():
    with pytest.raises(ValueError, match="`complexity` must be 4 numbers, one a setting; received 3"):
        HAND_MADE.one_standard_error([1, 2, 3])
