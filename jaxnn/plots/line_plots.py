"""Lines over a common axis, each told from the others by colour, dash and marker, with the spread over seeds."""

from collections.abc import Mapping

import numpy as np

from jaxnn.plots.figure_style import in_light_style, new_figure

# Okabe and Ito 2008; a dash and a marker each, too, so that lines are told apart without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MOST_MARKED = 30  # points that are marked on a line


@in_light_style
def plot_lines(x, lines: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str, title: str = "", **axes):
    """A figure with one line for each name.

    Args:
      x: (points,).
      lines: name -> (points,), or (seeds, points) for the mean with a band of one standard deviation; NaN is a gap.
      xlabel, ylabel: with their units.
      title: what the picture shows, in a sentence.
      **axes: passed on to matplotlib's `Axes.set`, such as `xscale="log"` or `ylim`.

    Raises:
      ValueError: lines of other lengths, or none.
    """
    figure = new_figure(8, 5)
    ax = figure.subplots()
    draw_lines(ax, x, lines)
    ax.set(xlabel=xlabel, ylabel=ylabel, **axes)
    ax.set_title(title, loc="left")
    if {"xticks", "yticks"} & {*axes}:
        ax.minorticks_off()  # whose labels would stand among one's own on a logarithmic axis
    if len(lines) > 1:
        ax.legend(frameon=True, framealpha=0.85, edgecolor="none")  # readable where it must lie over a line
    return figure


def draw_lines(ax, x, lines: Mapping[str, np.ndarray]) -> None:
    """The lines of `plot_lines` into axes of your own; the legend is left to you."""
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
    """matplotlib's keywords of the i-th line: colour, dashes, on a short one a marker; hollow from the eighth on."""
    again, i = divmod(i, len(COLOURS))
    look = {"color": COLOURS[i], "linestyle": DASHES[(i + 2 * again) % len(DASHES)]}
    if points > MOST_MARKED:
        return look
    hollow = {"markerfacecolor": "white"} if again else {}
    return look | {"marker": MARKERS[(i + 3 * again) % len(MARKERS)], "markersize": 6} | hollow
