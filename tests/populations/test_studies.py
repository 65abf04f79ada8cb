from functools import partial

import jax
import numpy as np
import pytest
from rings import first_of
from scipy import stats

from jaxnn import populations, training
from jaxnn.models import MLP
from jaxnn.optimizers import adam, adamw
from jaxnn.populations import Population, hold_out
from jaxnn.populations.studies import Study, capacity_study, layers_of, learning_curve, seeds_study

RISING = {
    "validation/accuracy": np.array([[0.5, 0.6, 0.7], [0.7, 0.8, 0.9]]),
    "validation/loss": np.array([[1.0] * 3, [2.0] * 3]),
}


def blobs(n=100, *, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=n).astype(np.int32)
    return {"image": (2 * np.eye(3, 10)[label] + rng.normal(size=(n, 10))).astype(np.float32), "label": label}


def trainer_of(score, *, diverged=lambda member: False, shapes=((2, 3),)):
    """A trainer that trains nothing: the history is `score(member, epoch)`; `calls` are the members of each call."""
    calls = []

    def train(members, *, epochs):
        calls.append(members)
        values = np.array([[float(score(member, epoch)) for member in members] for epoch in range(1, epochs + 1)])
        history = {"validation/accuracy": values, "train/loss": -values}
        stopped = np.array([diverged(member) for member in members])
        states = [training.TrainState(0, [np.zeros(shape) for shape in shapes], {}, (), None, 0) for _ in members]
        return Population(members, states, history, np.full(len(members), epochs), stopped, [None] * len(members))

    return train, calls


# ------------------------------------------------------------------------------------------------- intervals


@pytest.mark.full
@first_of("repeats", [2, 5, 30])
def test_intervals_are_students(repeats):
    scores = np.random.default_rng(0).normal(0.9, 0.02, size=(2, repeats))
    study = Study(np.arange(2), {"validation/accuracy": scores}, "validation/accuracy")
    error = scores.std(axis=1, ddof=1) / np.sqrt(repeats)
    expected = stats.t.interval(0.95, repeats - 1, loc=scores.mean(axis=1), scale=error)
    np.testing.assert_allclose(study.mean, scores.mean(axis=1))
    np.testing.assert_allclose([study.interval.low, study.interval.high], expected, rtol=1e-6)


@pytest.mark.full
def test_intervals_of_scores_that_hardly_differ():
    """The squares of 0.98 in float32 leave nothing of a deviation of 0.0001."""
    scores = 0.98 + 1e-4 * np.array([[-1, 0, 1, 2, -2], [0, 0, 1, 0, 0]])
    study = Study(np.arange(2), {"validation/accuracy": scores}, "validation/accuracy")
    half = stats.t.ppf(0.975, 4) * scores.std(axis=1, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(study.interval.high - study.interval.low, 2 * half, rtol=1e-4)


def test_one_run_has_a_mean_and_no_interval():
    study = Study(np.arange(2), {"validation/accuracy": np.array([[0.5], [0.6]])}, "validation/accuracy")
    assert study.mean.tolist() == [0.5, 0.6]
    assert np.isnan(study.interval).all()


def test_the_best_point_by_accuracy_and_by_loss():
    study = Study(np.array([10, 20]), RISING, "validation/accuracy")
    assert study.best() == 1
    assert study.of("validation/loss").best() == 0
    diverged = RISING | {"validation/accuracy": np.array([[0.5, 0.6, 0.7], [0.9, np.nan, 0.9]])}
    assert study._replace(measured=diverged).best() == 0
    with pytest.raises(ValueError, match="must have a finite validation/accuracy in every run; received none among 2"):
        study._replace(measured={"validation/accuracy": np.full((2, 3), np.nan)}).best()


def test_the_table_has_a_row_a_point():
    rows = Study(np.array([10, 20]), RISING, "validation/accuracy").table()
    assert [row["x"] for row in rows] == [10, 20]
    assert rows[1]["validation/accuracy"] == pytest.approx(0.8)
    assert (rows[1]["low"] + rows[1]["high"]) / 2 == pytest.approx(0.8)
    named = Study([{"width": 1}, {"width": 2}], RISING, "validation/loss").table()
    assert {name: named[0][name] for name in ("width", "validation/loss")} == {"width": 1, "validation/loss": 1.0}


def test_refuses_a_metric_that_was_not_measured():
    with pytest.raises(ValueError, match="unknown metric 'validation/acuracy'; did you mean 'validation/accuracy'"):
        Study(np.arange(2), RISING, "validation/accuracy").of("validation/acuracy")


# ----------------------------------------------------------------------------------------------------- seeds


def test_seeds_after_every_epoch():
    train, calls = trainer_of(lambda member, epoch: 10 * epoch + member.seed, diverged=lambda member: member.seed == 5)
    study = seeds_study(train, [3, 4, 5], epochs=2, setting={"a": 1.0})
    assert study.x.tolist() == [1, 2]
    np.testing.assert_array_equal(study.scores, [[13, 14, np.nan], [23, 24, np.nan]])
    assert [(member.seed, member.hyperparameters) for member in calls[0]] == [(s, {"a": 1.0}) for s in (3, 4, 5)]
    np.testing.assert_array_equal(study.of("train/loss").scores[:, 0], [-13, -23])


@pytest.mark.full
def test_seeds_are_those_of_runs_alone():
    model, data = MLP(features=(4,), classes=3), blobs()
    train = partial(populations.fit, model, data, optimizer=adam(0.01), batch_size=25)
    study = seeds_study(train, range(3), epochs=2, metric="train/loss")
    alone = training.fit(model, data, optimizer=adam(0.01), epochs=2, batch_size=25, key=2)
    np.testing.assert_allclose(study.scores[:, 2], [row["train/loss"] for row in alone.history], rtol=1e-4)


# -------------------------------------------------------------------------------------------- learning curve


def test_parts_are_nested_and_each_seed_has_its_own():
    train, calls = trainer_of(lambda member, epoch: 1000 * epoch + 10 * len(member.split.train) + member.seed)
    split = hold_out(50, 0.2)
    study = learning_curve(train, split, [10, 20, 40], seeds=(1, 2), epochs=3)
    assert study.x.tolist() == [10, 20, 40]
    assert study.scores.tolist() == [[3000 + 10 * n + seed for seed in (1, 2)] for n in (10, 20, 40)]
    (members,) = calls
    rows = {(len(member.split.train), member.seed): set(member.split.train.tolist()) for member in members}
    for seed in (1, 2):
        assert rows[10, seed] < rows[20, seed] < rows[40, seed] == set(split.train.tolist())
        assert len(rows[10, seed]) == 10
    assert rows[10, 1] != rows[10, 2]
    for member in members:
        np.testing.assert_array_equal(member.split.test, split.test)


def test_a_number_of_examples_is_held_out_in_part():
    train, calls = trainer_of(lambda member, epoch: 1)
    learning_curve(train, 50, [45], seeds=[0], epochs=1)
    assert sorted(calls[0][0].split.test) == sorted(hold_out(50).test)


@pytest.mark.full
def test_more_data_helps():
    data = blobs(330)
    train = partial(populations.fit, MLP(features=(8,), classes=3), data, optimizer=adam(0.02), batch_size=10)
    study = learning_curve(train, hold_out(330, 0.4), [10, 100], seeds=range(3), epochs=8)
    assert study.mean[1] > study.mean[0] + 0.1
    assert study.interval.low[1] > study.mean[0]
    assert study.of("validation/loss").best() == 1


@pytest.mark.parametrize(
    ("sizes", "seeds", "message"),
    [
        ([10, 41], [0], "each size must be between 1 and 40; received 41"),
        ([0], [0], "each size must be between 1 and 40; received 0"),
        ([], [0], "`sizes` and `seeds` must have one value each at least; received 0 and 1"),
        ([10], [], "`sizes` and `seeds` must have one value each at least; received 1 and 0"),
    ],
)
def test_a_learning_curve_refuses(sizes, seeds, message):
    train, _ = trainer_of(lambda member, epoch: 1)
    with pytest.raises(ValueError, match=message):
        learning_curve(train, hold_out(50, 0.2), sizes, seeds=seeds, epochs=1)


# -------------------------------------------------------------------------------------------------- capacity


def test_every_width_depth_and_regularization():
    train, calls = trainer_of(
        lambda m, epoch: sum(m.hyperparameters["features"]) + m.hyperparameters["weight_decay"] + 1000 * m.seed
    )
    study = capacity_study(
        train, widths=[4, 8], depths=[0, 2], regularization={"weight_decay": [0.0, 0.5]}, seeds=(0, 1), epochs=1
    )
    points = [(point["width"], point["depth"], point["weight_decay"]) for point in study.x]
    assert points == [(w, d, r) for w in (4, 8) for d in (0, 2) for r in (0.0, 0.5)]
    assert study.scores.tolist() == [[w * d + r + 1000 * seed for seed in (0, 1)] for w, d, r in points]
    assert {point["parameters"] for point in study.x} == {6}
    assert len(calls) == 1
    assert calls[0][-1].hyperparameters == {"features": (8, 8), "weight_decay": 0.5}


def test_another_architecture():
    train, calls = trainer_of(lambda member, epoch: 1)
    stages = lambda width, depth: {"stages": tuple(width * 2**i for i in range(depth))}
    capacity_study(train, widths=[4], depths=[3], architecture=stages, seeds=[0], epochs=1)
    assert calls[0][0].hyperparameters == {"stages": (4, 8, 16)}


@pytest.mark.full
def test_capacity_of_trained_networks():
    model, data, test = MLP(classes=3), blobs(60), blobs(300, seed=1)
    train = partial(
        populations.fit, model, data, optimizer=partial(adamw, learning_rate=0.02), validation=test, batch_size=20
    )
    study = capacity_study(
        train, widths=[1, 16], depths=[1], regularization={"weight_decay": [0.0, 20.0]}, seeds=range(2), epochs=10
    )
    assert [point["parameters"] for point in study.x] == [17, 17, 227, 227]
    fit = study.of("train/loss").mean
    assert fit[2] < fit[0] - 0.1  # wider fits better
    assert fit[2] < fit[3] - 0.1  # and worse when held to small weights
    alone = training.fit(
        model.clone(features=(16,)),
        data,
        optimizer=adamw(0.02, weight_decay=20.0),
        epochs=10,
        batch_size=20,
        key=1,
        validation=test,
    )
    np.testing.assert_allclose(
        study.of("validation/loss").scores[3, 1], alone.history[-1]["validation/loss"], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": []}, "`width` must be a sequence of one value at least"),
        ({"depths": []}, "`depth` must be a sequence of one value at least"),
        ({"regularization": {"weight_decay": []}}, "`weight_decay` must be a sequence of one value at least"),
        ({"seeds": []}, "at least one member; received none"),
        ({"metric": "validation/recall"}, "unknown metric 'validation/recall'"),
    ],
)
def test_a_capacity_study_refuses(changes, message):
    train, _ = trainer_of(lambda member, epoch: 1)
    with pytest.raises(ValueError, match=message):
        capacity_study(train, **({"widths": [4], "depths": [1], "epochs": 1} | changes))


def test_layers_of_a_network():
    x = np.ones((1, 10), np.float32)
    params = jax.eval_shape(MLP(**layers_of(7, 2)).init, jax.random.key(0), x)["params"]
    assert params["hidden2"]["kernel"].shape == (7, 7)
    assert set(params) == {"hidden1", "hidden2", "logits"}
