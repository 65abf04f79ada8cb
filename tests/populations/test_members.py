import numpy as np
import pytest

from jaxnn.populations import Member, bootstraps, grid, hold_out, k_fold, members_of, nested_parts, stratified_k_fold
from jaxnn.populations.members import groups_of


def test_grid_is_every_combination():
    settings = grid(a=[1.0, 2.0], b=["x", "y", "z"])
    assert len(settings) == 6
    assert settings[0] == {"a": 1.0, "b": "x"}
    assert {tuple(setting.values()) for setting in settings} == {(a, b) for a in (1.0, 2.0) for b in "xyz"}


@pytest.mark.parametrize("values", [[], "abc", 0.1], ids=str)
def test_a_grid_without_values_is_refused(values):
    with pytest.raises(ValueError, match="must be a sequence of one value at least"):
        grid(learning_rate=values)


def test_members_are_grouped_by_what_is_no_float():
    members = members_of(grid(width=[8, 16], rate=[0.1, 0.2]), seeds=[0, 1])
    assert groups_of(members) == [({"width": 8}, [0, 1, 2, 3]), ({"width": 16}, [4, 5, 6, 7])]
    assert groups_of([Member(0, {"rate": 0.1}), Member(1, {"rate": 0.3})]) == [({}, [0, 1])]


@pytest.mark.parametrize(("examples", "folds"), [(10, 2), (11, 3), (7, 7)])
def test_folds_partition_the_examples(examples, folds):
    splits = k_fold(examples, folds, seed=1)
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(examples))
    for split in splits:
        assert sorted([*split.train, *split.test]) == list(range(examples))
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 1


def test_stratified_folds_have_each_class_equally_often():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 23, 11]))
    splits = stratified_k_fold(labels, 5, seed=2)
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(84))
    counts = np.array([np.bincount(labels[split.test], minlength=3) for split in splits])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    with pytest.raises(ValueError, match="at least 12 examples, one a fold; class 2 has 11"):
        stratified_k_fold(labels, 12)


@pytest.mark.parametrize("folds", [1, 11])
def test_impossible_folds_are_refused(folds):
    with pytest.raises(ValueError, match=f"between 2 and the number of examples, 10; received {folds}"):
        k_fold(10, folds)


def test_bootstraps_draw_with_replacement_and_test_on_the_rest():
    splits = bootstraps(500, 20)
    for split in splits:
        assert len(split.train) == 500
        assert not set(split.train) & set(split.test)
        assert len(set(split.train)) + len(split.test) == 500
    left_out = np.mean([len(split.test) for split in splits]) / 500
    assert abs(left_out - np.exp(-1)) < 0.02


def test_holding_out_and_nested_parts():
    split = hold_out(100, 0.25, seed=3)
    assert sorted([*split.train, *split.test]) == list(range(100))
    parts = nested_parts(split, [5, 20])
    assert set(parts[0].train) < set(parts[1].train)
    with pytest.raises(ValueError, match="between 1 and 75; received 76"):
        nested_parts(split, [76])
    with pytest.raises(ValueError, match=r"on both sides of 100; received 1\.0"):
        hold_out(100, 1.0)
