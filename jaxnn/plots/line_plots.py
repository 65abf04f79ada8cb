"""Line plots show lines over one axis, each with its own colour, dash and marker, with the spread over seeds."""

from collections.abc import Mapping

import numpy as np

from jaxnn.plots.figure_style import in_light_style, new_figure

# Okabe and Ito 2008; each line also has a dash and a marker, so that lines can be told apart without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MOST_MARKED = 30  # a line with more points than this has no markers


@in_light_style
def plot_lines(x, lines: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str, title: str = "", **axes):
    """Plots one line for each name.

    Args:
      x: (points,).
      lines: name -> (points,), or (seeds, points) for the mean with a band of one standard deviation; NaN is a gap.
      xlabel, ylabel: with their units.
      title: what the picture shows, in a sentence.
      **axes: passed to matplotlib's `Axes.set`, such as `xscale="log"` or `ylim`.

    Raises:
      ValueError: if there are no lines, or lines of other lengths.
    """
    figure = new_figure(8, 5)
    ax = figure.subplots()
    draw_lines(ax, x, lines)
    ax.set(xlabel=xlabel, ylabel=ylabel, **axes)
    ax.set_title(title, loc="left")
    if {"xticks", "yticks"} & {*axes}:
        ax.minorticks_off()  # on a logarithmic axis their labels would mix with the caller's
    if len(lines) > 1:
        ax.legend(frameon=True, framealpha=0.85, edgecolor="none")  # readable where it lies over a line
    return figure


def draw_lines(ax, x, lines: Mapping[str, np.ndarray]) -> None:
    """Draws the lines of `plot_lines` into existing axes; the caller adds the legend."""
    x = np.asarray(x, float)
    shapes = {name: np.shape(y) for name, y in lines.items()}
    if not lines or x.ndim != 1 or any(shape[-1:] != x.shape or len(shape) > 2 for shape in shapes.values()):
        raise ValueError(f"`lines` must be (points,) or (seeds, points), `x` (points,); received {shapes}, {x.shape}.")
    for i, (name, y) in enumerate(lines.items()):
        y = np.atleast_2d(np.asarray(y, float))
        ax.plot(x, y.mean(axis=0), label=name, **line_look(i, len(x)))
        if len(y) > 1:
            mean, sd = y.mean(axis=0), y.std(axis=0, ddof=1)
            ax.fill_between(x, mean - sd, mean + sd, color=COLOURS[i % len(COLOURS)], alpha=0.18, linewidth=0)
    ax.grid(True)


def line_look(i: int, points: int = 0) -> dict:
    """Returns matplotlib's keywords for the i-th line: colour, dashes, and a marker if it has few points.

    Markers are hollow from the eighth line on.
    """
    again, i = divmod(i, len(COLOURS))
    look = {"color": COLOURS[i], "linestyle": DASHES[(i + 2 * again) % len(DASHES)]}
    if points > MOST_MARKED:
        return look
    hollow = {"markerfacecolor": "white"} if again else {}
    return look | {"marker": MARKERS[(i + 3 * again) % len(MARKERS)], "markersize": 6} | hollow
