"""Decision boundaries: the regions, the points and what is told of them."""

import numpy as np
import pytest

from jaxnn.data import sample_xor
from jaxnn.plots import Regions, plot_decision_boundaries, plot_decision_boundary, save_figure

XOR = sample_xor(40)


def by_sign(points):
    """Right everywhere."""
    return (points.prod(axis=1) < 0).astype(int)


def by_side(points):
    """Probabilities of two classes that a logistic unit gives."""
    second = 1 / (1 + np.exp(-3 * points[:, 0]))
    return np.stack([1 - second, second], axis=1)


def test_regions_points_and_the_share_that_is_right(tmp_path):
    figure = plot_decision_boundary(by_side, XOR["point"], XOR["label"], classes=("same", "other"), title="by side")
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "by side: 50.0 % right"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("first coordinate", "second coordinate")
    assert sum(len(line.get_xdata()) for line in ax.lines) == 40
    wrong = [line for line in ax.lines if line.get_markeredgecolor() == "black"]
    assert sum(len(line.get_xdata()) for line in wrong) == 20
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["same", "other", "wrong (dark edge)", "boundary"]
    picture = ax.images[0].get_array()  # blue on the left, vermilion on the right, paler towards the boundary
    left, middle, right = picture[100, 2], picture[100, 104], picture[100, -2]
    assert left[2] > left[0]
    assert right[0] > right[2]
    assert middle.min() > max(left.min(), right.min())
    assert [len(c.get_paths()) for c in ax.collections] == [1, 1]
    save_figure(figure, tmp_path / "boundary.png")


def test_labels_will_do_and_all_points_lie_inside():
    (ax,) = plot_decision_boundary(by_sign, XOR["point"], XOR["label"]).axes
    assert ax.get_title(loc="left") == "100.0 % right"
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert (XOR["point"] > [left, bottom]).all()
    assert (XOR["point"] < [right, top]).all()
    assert right - left == pytest.approx(top - bottom)


def test_a_class_that_has_no_point_here_is_drawn_and_one_region_has_no_boundary():
    points, labels = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 0])
    three = lambda x: np.tile([0.2, 0.3, 0.5], (len(x), 1))
    (ax,) = plot_decision_boundary(three, points, labels).axes
    assert ax.get_title(loc="left") == "0.0 % right"
    assert not ax.collections


def test_one_class_alone_is_a_region():
    points, labels = np.random.default_rng(0).normal(size=(9, 2)), np.zeros(9, int)
    figure = plot_decision_boundary(lambda points: np.zeros(len(points), int), points, labels)
    assert figure.axes


def test_a_grid_has_rows_and_columns(tmp_path):
    panel, other = (Regions(predict, XOR["point"], XOR["label"]) for predict in (by_side, by_sign))
    figure = plot_decision_boundaries({"a": {"x": panel, "y": panel}, "b": {"x": other, "y": panel}}, title="both")
    assert [ax.get_title() for ax in figure.axes] == ["x\n50.0 %", "y\n50.0 %", "100.0 %", "50.0 %"]
    assert figure.axes[2].get_ylabel() == "b\nsecond coordinate"
    save_figure(figure, tmp_path / "boundaries.png")
    for panels in ({}, {"a": {}}, {"a": {"x": panel}, "b": {"y": panel}}):
        with pytest.raises(ValueError, match="rows of the same columns"):
            plot_decision_boundaries(panels)


@pytest.mark.parametrize(
    ("predict", "points", "labels", "message"),
    [
        (by_sign, np.ones((4, 3)), np.zeros(4, int), r"received \(4, 3\) and \(4,\)"),
        (by_sign, XOR["point"], XOR["label"][:5], r"received \(40, 2\) and \(5,\)"),
        (by_sign, XOR["point"], 2 * XOR["label"] - 1, r"integers from 0 to 6; received int32, -1 to 1.*labels \+ 1"),
        (by_sign, XOR["point"], XOR["label"] / 1, "received float64"),
        (lambda x: x[:, :1], XOR["point"], XOR["label"], r"`predict` must return .* received \(40000, 1\)"),
        (lambda x: np.ones((len(x), 8)), XOR["point"], XOR["label"], r"at most 7 classes; received \(40000, 8\)"),
    ],
)
def test_what_does_not_fit_is_refused(predict, points, labels, message):
    with pytest.raises(ValueError, match=message):
        plot_decision_boundary(predict, points, labels)
