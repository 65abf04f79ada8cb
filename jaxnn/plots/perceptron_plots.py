"""These plots show, from arrays, the line that a perceptron learns, and its mistakes below Novikoff's bound."""

import numpy as np

from jaxnn.plots.figure_style import BLUE, GREY, VERMILION, in_light_style, new_figure


@in_light_style
def plot_separation(points, labels, learnt, *, separator, margin: float, title: str = ""):
    """Plots points of two classes in the plane, the learnt line, and the true line with its empty margin.

    Args:
      points: (n, 2).
      labels: (n,) of -1 and +1.
      learnt, separator: (3,) each, (b, u, v) of the lines b + u x + v y = 0, v not 0.
      margin: half the width of the margin.
      title: the title of the picture.

    Raises:
      ValueError: if the arrays have other shapes, or a line is vertical.
    """
    points, labels, lines = np.asarray(points), np.asarray(labels), np.asarray([separator, learnt], float)
    if points.shape != (len(labels), 2) or lines.shape != (2, 3) or not lines[:, 2].all():
        raise ValueError(
            "`points` must be (n, 2), `labels` (n,), `separator` and `learnt` (3,) with a last coordinate that is not "
            f"0; received {points.shape}, {labels.shape} and {lines.tolist()}."
        )
    figure = new_figure(6.4, 5.8)
    ax = figure.subplots()
    for label, colour, marker in ((-1, BLUE, "o"), (1, VERMILION, "^")):
        ax.plot(*points[labels == label].T, marker, color=colour, markersize=6, label=f"class {label:+d}")
    reach = 1.1 * np.abs(points).max(initial=1e-9)
    at = np.array([-reach, reach])
    away = margin * np.linalg.norm(lines[0, 1:]) / lines[0, 2]
    (true, found) = (-(line[0] + line[1] * at) / line[2] for line in lines)
    ax.fill_between(at, true - away, true + away, color="#EEEEEE", zorder=0, label="margin")
    ax.plot(at, true, color=GREY, linestyle="--", label="true line")
    ax.plot(at, found, color="black", label="learnt line")
    ax.set(xlim=at, ylim=at, aspect="equal", xlabel="x", ylabel="y")
    ax.locator_params(nbins=5)
    ax.set_title(title, loc="left")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@in_light_style
def plot_mistakes_below_bound(bounds, mistakes):
    """Plots the mistakes against the bound, a point for each data set, and the diagonal where both are equal.

    Args:
      bounds, mistakes: (data sets,); 0 mistakes are drawn as 1, because the axes are logarithmic.

    Raises:
      ValueError: if the arrays have other shapes, or are empty.
    """
    bounds, mistakes = np.asarray(bounds, float), np.asarray(mistakes, float)
    if bounds.ndim != 1 or bounds.shape != mistakes.shape or not bounds.size:
        raise ValueError(
            f"`bounds` and `mistakes` must be (data sets,), at least one; received {bounds.shape} and {mistakes.shape}."
        )
    figure = new_figure(7, 5)
    ax = figure.subplots()
    mistakes = np.maximum(mistakes, 1)
    ends = np.array([min(bounds.min(), mistakes.min()), bounds.max()])
    ax.plot(ends, ends, color=GREY, linestyle="--", label="Novikoff's bound (R / γ)²")
    ax.plot(bounds, mistakes, "o", color=BLUE, markersize=4, alpha=0.4, label="one data set")
    ax.set(xscale="log", yscale="log", xlabel="bound (R / γ)²", ylabel="mistakes until there are none")
    ax.set_title("Never more mistakes than the bound", loc="left")
    ax.grid(True, which="major")
    ax.legend(loc="upper left")
    return figure
