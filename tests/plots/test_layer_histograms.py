"""Histograms by layer: what stands in them, not how they look."""

import numpy as np
import pytest

from jaxnn.plots import plot_layer_histograms, save_figure


def layers(count, shrink=0.5, seed=0):
    generator = np.random.default_rng(seed)
    return [shrink**i * generator.normal(size=(30, 20)) for i in range(count)]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def heights(patch):
    return patch.get_data().values - patch.get_data().baseline


def test_a_panel_has_a_histogram_for_each_layer_scaled_to_its_peak(tmp_path):
    panels = {"halved": layers(3), "kept": layers(2, shrink=1.0)}
    figure = plot_layer_histograms(panels, xlabel="activation", title="two networks")
    left, right = figure.axes
    assert (left.get_title(loc="left"), left.get_xlabel(), left.get_ylabel()) == ("halved", "activation", "layer")
    assert [label.get_text() for label in left.get_yticklabels()] == ["1", "2", "3"]
    assert len(right.patches) == 2
    assert [round(-heights(patch).min(), 6) for patch in left.patches] == [0.86] * 3
    widths = [np.count_nonzero(heights(patch)) for patch in left.patches]
    assert widths == sorted(widths, reverse=True)
    largest = max(np.abs(h).max() for h in panels["halved"])
    assert left.get_xlim() == (-largest, largest)
    assert texts(left) == [*(f"{h.std():#.2g}" for h in panels["halved"]), "sd"]
    save_figure(figure, tmp_path / "histograms.png")


def test_zeros_stand_beside_the_histogram():
    values = np.array([0.0, 0.0, 0.0, 1.0])
    (ax,) = plot_layer_histograms({"": [values]}, xlabel="", ranges={"": (-2, 2)}).axes
    assert ax.get_xlim() == (-2, 2)
    assert texts(ax)[0] == "75 % zero\n0.43"
    assert np.count_nonzero(heights(ax.patches[0])) == 1


def test_magnitudes_share_a_logarithmic_axis_and_far_numbers_have_powers(tmp_path):
    panels = {"small": [1e-6 * h for h in layers(2)], "large": [1e4 * h for h in layers(2)], "none": [np.zeros(3)]}
    figure = plot_layer_histograms(panels, xlabel="|gradient|", scale="log")
    ends = {ax.get_xlim() for ax in figure.axes}
    assert len(ends) == 1
    assert all(ax.get_xscale() == "log" for ax in figure.axes)
    assert 2 <= len(figure.axes[0].get_xticks()) <= 5
    assert texts(figure.axes[1])[0].endswith("$\\times$10$^{4}$")
    assert texts(figure.axes[2])[0] == "100 % zero\n0"
    save_figure(figure, tmp_path / "histograms.png")


@pytest.mark.parametrize("values", [np.zeros(3), np.full(3, 2.0)])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_single_value_is_drawn(values, scale, tmp_path):
    save_figure(plot_layer_histograms({"": [values]}, xlabel="", scale=scale), tmp_path / "histograms.png")


@pytest.mark.parametrize(
    ("panels", "scale", "message"),
    [
        ({}, "linear", "must have a network"),
        ({"a": []}, "linear", "received {'a': 0}"),
        ({"a": [np.ones(2)]}, "loglog", "`scale` must be"),
        ({"a": [np.ones(2)], "b": [np.array([1.0, np.nan])]}, "linear", r"finite numbers; received others.*\['b'\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(panels, scale, message):
    with pytest.raises(ValueError, match=message):
        plot_layer_histograms(panels, xlabel="", scale=scale)
