import numpy as np
import pytest

from jaxnn.data import hold_out

SPLIT = {"image": np.arange(100), "label": np.repeat([0, 1, 2], [70, 20, 10])}


def test_every_class_is_held_out_in_its_proportion_and_no_example_stands_on_both_sides():
    kept, held = hold_out(SPLIT, 0.2)
    assert np.bincount(held["label"]).tolist() == [14, 4, 2]
    assert sorted([*kept["image"], *held["image"]]) == list(range(100))
    assert all((SPLIT["label"][part["image"]] == part["label"]).all() for part in (kept, held))


def test_a_count_is_exact_and_a_seed_decides():
    held = [hold_out(SPLIT, 33, seed=seed)[1]["image"].tolist() for seed in (0, 0, 1)]
    assert [len(rows) for rows in held] == [33] * 3
    assert held[0] == held[1] != held[2]


@pytest.mark.parametrize("labels", [None, np.linspace(0, 1, 100), np.zeros((100, 3), int)])
def test_without_labels_the_draw_is_plain(labels):
    split = {"image": np.arange(100)} | ({} if labels is None else {"label": labels})
    kept, held = hold_out(split, 10)
    assert (len(kept["image"]), len(held["image"])) == (90, 10)


@pytest.mark.parametrize("amount", [0, 0.001, 100, 250, -3])
def test_something_is_held_out_and_something_left(amount):
    with pytest.raises(ValueError, match="`amount` must hold out 1 to 99 of 100 examples; received"):
        hold_out(SPLIT, amount)
