"""Boundary plots show the prediction of a classifier at every point of the plane, with points of its data."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxnn.plots.figure_style import in_light_style, new_figure
from jaxnn.plots.line_plots import COLOURS, MARKERS

SIDE = 200  # points of the grid along the longer axis
PANEL = 3.3  # inches
BORDER = 0.08  # share of the range of the points that is added around them


class Regions(NamedTuple):
    """Holds the data of one panel of `plot_decision_boundaries`.

    predict: (m, 2) float32 -> (m,) labels, or (m, classes) probabilities. points: (n, 2). labels: (n,) integers.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    points: np.ndarray
    labels: np.ndarray


@in_light_style
def plot_decision_boundary(predict, points, labels, *, classes: Sequence[str] | None = None, title: str = ""):
    """Plots the regions of a classifier of the plane, and points by their true classes.

    Points that are classified wrongly have a dark edge.

    Args:
      predict: (m, 2) float32 -> (m,) integer labels, or (m, classes) probabilities; higher probabilities have a deeper
        colour.
      points: (n, 2).
      labels: (n,) integers from 0, at most seven classes.
      classes: the names of the classes, for the legend; None leaves them out.
      title: is put before the share of the points that are right.

    Raises:
      ValueError: if the shapes do not match, the labels are not in this range, or the predictions have another shape.
    """
    figure = new_figure(6.4, 5.6)
    ax = figure.subplots()
    share = draw_decision_boundary(ax, predict, points, labels)
    ax.set(xlabel="first coordinate", ylabel="second coordinate")
    ax.set_title(f"{title}{': ' * bool(title)}{100 * share:.1f} % right", loc="left")
    _explain(figure, classes)
    return figure


@in_light_style
def plot_decision_boundaries(
    panels: Mapping[str, Mapping[str, Regions]], *, classes: Sequence[str] | None = None, title: str = ""
):
    """Plots a grid of decision boundaries, with rows and columns by name; each panel shows its share of right points.

    Args:
      panels: row -> column -> `Regions`; each row has the columns of the first.
      classes: as for `plot_decision_boundary`.
      title: the title of the whole figure.

    Raises:
      ValueError: if there are no panels, a row has other columns, or `plot_decision_boundary` would raise it.
    """
    columns = [list(row) for row in panels.values()]
    if not columns or not columns[0] or any(row != columns[0] for row in columns):
        raise ValueError(
            f"`panels` must be rows of the same columns; received {dict(zip(panels, columns, strict=True))}."
        )
    figure = new_figure(PANEL * len(columns[0]) + 0.4, PANEL * len(panels) + 0.8)
    axes = figure.subplots(len(panels), len(columns[0]), squeeze=False)
    for i, (row, panel_of) in enumerate(panels.items()):
        for j, (column, panel) in enumerate(panel_of.items()):
            share = draw_decision_boundary(axes[i, j], *panel)
            above = f"{column}\n" if i == 0 else ""
            axes[i, j].set_title(f"{above}{100 * share:.1f} %", fontsize=14)
        axes[i, 0].set_ylabel(f"{row}\nsecond coordinate", fontsize=13)
    for ax in axes[-1]:
        ax.set_xlabel("first coordinate", fontsize=13)
    figure.suptitle(title, x=0.01, ha="left", fontsize=15)
    _explain(figure, classes)
    return figure


def draw_decision_boundary(ax, predict, points, labels) -> float:
    """Draws regions and points into existing axes; returns the share of the points that are classified correctly."""
    points, labels = np.asarray(points, np.float32), np.asarray(labels)
    _check(points, labels)
    (left, bottom), (right, top) = _corners(points)
    x, y = np.linspace(left, right, SIDE, dtype=np.float32), np.linspace(bottom, top, SIDE, dtype=np.float32)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    shares = _probabilities(predict, grid.reshape(-1, 2), max(2, labels.max() + 1))
    said = _probabilities(predict, points, shares.shape[1]).argmax(axis=1)
    colours = _rgb(shares.shape[1])
    depth = 0.15 + 0.4 * (shares.max(axis=1) * shares.shape[1] - 1) / (shares.shape[1] - 1)
    picture = 1 - depth[:, None] * (1 - colours[shares.argmax(axis=1)])
    ax.imshow(picture.reshape(SIDE, SIDE, 3), extent=(left, right, bottom, top), origin="lower", aspect="equal")
    _draw_borders(ax, x, y, shares.reshape(SIDE, SIDE, -1))
    _draw_points(ax, points, labels, said != labels)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.locator_params(nbins=4)
    return float(np.mean(said == labels))


def _draw_borders(ax, x, y, shares) -> None:
    """Draws a line where the probability of a class equals that of the best other class."""
    for k in range(shares.shape[-1]):
        lead = shares[..., k] - np.delete(shares, k, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            ax.contour(x, y, lead, levels=[0], colors="black", linewidths=1.5)


def _draw_points(ax, points, labels, wrong) -> None:
    size = float(np.clip(6 - len(points) / 200, 3, 6))
    for k in np.unique(labels):
        look = {"marker": MARKERS[k], "linestyle": "", "color": COLOURS[k], "markersize": size}
        ax.plot(*points[(labels == k) & ~wrong].T, **look, markeredgecolor="white", markeredgewidth=0.5)
        ax.plot(*points[(labels == k) & wrong].T, **look, markeredgecolor="black", markeredgewidth=1.2)


def _explain(figure, classes) -> None:
    """Draws a legend below all panels."""
    from matplotlib.lines import Line2D

    named = [
        Line2D([], [], marker=MARKERS[k], linestyle="", color=COLOURS[k], markersize=8, label=name)
        for k, name in enumerate(classes or ())
    ]
    ring = Line2D([], [], marker="o", linestyle="", color="white", markeredgecolor="black", label="wrong (dark edge)")
    border = Line2D([], [], color="black", linewidth=1.5, label="boundary")
    columns = max(2, int(figure.get_figwidth() / 2.1))
    figure.legend(handles=[*named, ring, border], loc="outside lower center", ncols=columns, fontsize=12)


def _probabilities(predict, points, classes) -> np.ndarray:
    """Returns probabilities (n, classes), which are 0 and 1 if `predict` returns labels."""
    said = np.asarray(predict(points))
    if said.shape == (len(points),):
        said = np.eye(max(classes, int(said.max()) + 1))[said.astype(int)]
    if said.ndim != 2 or len(said) != len(points) or not classes <= said.shape[1] <= len(COLOURS):
        raise ValueError(
            f"`predict` must return labels (n,) or probabilities (n, {classes}), of at most {len(COLOURS)} classes; "
            f"received {said.shape} of {len(points)} points. Logits want a softmax, and a single column a label: "
            "(y[:, 0] > 0).astype(int)."
        )
    return said.astype(float)


def _rgb(classes) -> np.ndarray:
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(colour) for colour in COLOURS[:classes]])


def _corners(points):
    """Returns the corners of a square around the points."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = (0.5 + BORDER) * max((high - low).max(), 1e-6)
    return (low + high) / 2 - half, (low + high) / 2 + half


def _check(points, labels) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or labels.shape != points.shape[:1]:
        raise ValueError(f"`points` must be (n, 2) and `labels` (n,); received {points.shape} and {labels.shape}.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(COLOURS):
        raise ValueError(
            f"`labels` must be integers from 0 to {len(COLOURS) - 1}; received {labels.dtype}, {labels.min()} to "
            f"{labels.max()}. Of -1 and +1: (labels + 1) // 2."
        )
