"""Pictures of the perceptron: what stands in them, not how they look."""

import numpy as np
import pytest

from jaxnn.plots.perceptron_plots import plot_mistakes_below_bound, plot_separation

POINTS, LABELS = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 2.0]]), np.array([-1, 1, 1])


def test_lines_run_where_their_equations_say():
    figure = plot_separation(POINTS, LABELS, [1.0, 1.0, -2.0], separator=[0.0, 0.6, -0.8], margin=0.4, title="told")
    (ax,) = figure.axes
    below, above, true, learnt = ax.lines
    np.testing.assert_array_equal(below.get_xydata(), POINTS[:1])
    np.testing.assert_array_equal(above.get_xydata(), POINTS[1:])
    x, y = true.get_data()
    np.testing.assert_allclose(0.6 * x - 0.8 * y, 0, atol=1e-12)
    x, y = learnt.get_data()
    np.testing.assert_allclose(1 + x - 2 * y, 0, atol=1e-12)
    corners = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(np.abs(0.6 * corners[:, 0] - 0.8 * corners[:, 1]), 0.4)  # at the margin's distance
    assert ax.get_title(loc="left") == "told"


def test_a_point_for_each_data_set_and_the_bound_itself():
    (ax,) = plot_mistakes_below_bound([10.0, 100.0], [0, 30]).axes
    bound, sets = ax.lines
    np.testing.assert_array_equal(*bound.get_data())
    assert sets.get_xydata().tolist() == [[10, 1], [100, 30]]
    assert ax.get_xscale() == ax.get_yscale() == "log"


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda: plot_separation(POINTS, LABELS, [1, 1, 0], separator=[1, 1, 1], margin=0.1), "is not 0"),
        (lambda: plot_separation(POINTS, LABELS[:2], [1, 1, 1], separator=[1, 1, 1], margin=0.1), r"received \(3, 2\)"),
        (lambda: plot_mistakes_below_bound([], []), "at least one"),
        (lambda: plot_mistakes_below_bound([1.0, 2.0], [1.0]), r"\(2,\) and \(1,\)"),
    ],
)
def test_arrays_of_other_shapes_are_refused(plot, message):
    with pytest.raises(ValueError, match=message):
        plot()
