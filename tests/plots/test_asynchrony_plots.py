"""Pictures of asynchronous training: what stands in them, not how they look."""

import numpy as np
import pytest

from jaxnn.plots.asynchrony_plots import (
    plot_accuracy_against_staleness,
    plot_accuracy_over_time,
    plot_rate_against_workers,
    plot_staleness,
)

NAN = float("nan")


def test_a_histogram_for_each_run_on_one_axis():
    figure = plot_staleness({"equal": np.array([7] * 9 + [0]), "straggler": np.array([5, 5, 30, 40])})
    first, second = figure.axes
    assert [bar.get_height() for bar in first.patches][:8] == [10, 0, 0, 0, 0, 0, 0, 90]
    assert second.patches[5].get_height() == 50
    assert first.get_title(loc="left") == "equal: mean 6.3, 95 % up to 7, most 7"
    assert first.get_xlim() == second.get_xlim()
    assert "staleness" in second.get_xlabel()
    assert figure.get_supylabel() == "share of updates"


def test_lines_are_in_percent_and_told_apart_without_colour():
    lines = {f"run {i}": np.array([0.9, 0.8, NAN]) for i in range(4)}
    for figure in (plot_accuracy_against_staleness([0, 1, 7], lines), plot_rate_against_workers([0.01, 0.1, 1], lines)):
        (ax,) = figure.axes
        drawn = [line for line in ax.lines if line.get_label().startswith("run")]
        np.testing.assert_allclose(drawn[0].get_ydata(), [90, 80, NAN])
        assert len({line.get_marker() for line in drawn}) == len({line.get_color() for line in drawn}) == 4
        assert "%" in ax.get_ylabel()
        assert [text.get_text() for text in ax.get_legend().get_texts()] == list(lines)
    assert figure.axes[0].get_xscale() == "log"


def test_curves_over_time_may_have_times_of_their_own():
    curves = {
        "synchronous": (np.array([5.0, 10.0]), np.array([0.5, 0.9])),
        "Downpour": (np.array([1.0]), np.array([0.4])),
    }
    (ax,) = plot_accuracy_over_time(curves, target=0.9).axes
    first, second, target = ax.lines
    assert first.get_ydata().tolist() == [50, 90]
    assert second.get_xdata().tolist() == [1]
    assert target.get_ydata()[0] == 90
    assert "time (s)" in ax.get_xlabel()
    assert len(plot_accuracy_over_time(curves).axes[0].lines) == 2


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda: plot_staleness({}), "must have updates in every run"),
        (lambda: plot_staleness({"a": np.array([], int)}), r"received \{'a': \(0,\)\}"),
        (lambda: plot_accuracy_against_staleness([0, 1], {"a": np.ones(1)}), "`lines` must be"),
        (lambda: plot_rate_against_workers([0.1], {}), "`lines` must be"),
        (lambda: plot_accuracy_over_time({}), "must be pairs"),
        (lambda: plot_accuracy_over_time({"a": (np.ones(2), np.ones(3))}), r"received \{'a': \(\(2,\), \(3,\)\)\}"),
    ],
)
def test_arrays_of_other_shapes_are_refused(plot, message):
    with pytest.raises(ValueError, match=message):
        plot()
