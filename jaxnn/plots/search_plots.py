"""Search plots show the scores of a search: a heat map of two hyperparameters, and parallel coordinates of all.

Each function takes settings as dicts and a score for each (see `score_scales`), and returns a matplotlib `Figure`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.plots.figure_style import GREY, VERMILION, in_light_style, new_figure
from jaxnn.plots.hyperparameter_axes import HyperparameterAxis
from jaxnn.plots.score_scales import (
    best_of,
    checked_scores,
    colour_limits,
    colour_map,
    colour_norm,
    distinct,
    is_less_better,
    is_share,
    ranked,
    score_told,
    spoken,
    value_told,
    with_unit,
)

MOST_CELLS = 12  # along an axis; each cell has a number in it


@in_light_style
def plot_heat_map(settings: Sequence[Mapping[str, Any]], scores, x: str, y: str, *, metric: str):
    """Plots the score over two hyperparameters, with a star on the best.

    If the settings make a grid, the picture has cells with numbers, else points. If other hyperparameters were varied
    too, a cell shows the best score among them.

    Args:
      settings: the settings of all trials.
      scores: (settings,).
      x, y: the names of two hyperparameters.
      metric: the name of the score.

    Raises:
      ValueError: if there is not one score for each setting, or a setting lacks these names.
    """
    scores = checked_scores(settings, scores, names=(x, y))
    columns, rows = (distinct(setting[name] for setting in settings) for name in (x, y))
    is_grid = len(columns) * len(rows) <= len(settings) and max(len(columns), len(rows)) <= MOST_CELLS
    figure = new_figure(max(6, 2.6 + 0.9 * len(columns)), 2 + 0.8 * len(rows)) if is_grid else new_figure(8.2, 6)
    ax = figure.subplots()
    draw = _draw_cells if is_grid else _draw_points
    picture = draw(ax, settings, scores, x, y, metric)
    ax.set(xlabel=spoken(x), ylabel=spoken(y))
    _draw_colour_bar(figure, ax, picture, scores, metric)
    ax.set_title(f"{len(settings)} settings, {_best_told(scores, metric)}", loc="left", fontsize=13)
    return figure


@in_light_style
def plot_parallel_coordinates(settings: Sequence[Mapping[str, Any]], scores, *, metric: str):
    """Plots a vertical axis for each hyperparameter and one for the score; each setting is a line, the best one red.

    The axis of the score is on the right.

    Args:
      settings: the settings of all trials.
      scores: (settings,).
      metric: the name of the score.

    Raises:
      ValueError: if there is not one score for each setting, no settings, or settings with different names.
    """
    scores = checked_scores(settings, scores)
    axes = [HyperparameterAxis(name, [setting[name] for setting in settings]) for name in settings[0]]
    figure = new_figure(max(6, 2.3 * len(axes) + 2), 5.4)
    ax = figure.subplots()
    _draw_lines(ax, axes, scores, metric)
    for place, axis in enumerate(axes):
        _draw_axis(ax, place, [(height, value_told(value)) for height, value in axis.ticks()], on_left=not place)
    _draw_axis(ax, len(axes), _score_ticks(scores, metric), on_left=False)
    ax.set(xlim=(-0.45, len(axes) + 0.5), ylim=(-0.05, 1.05), yticks=[])
    names = [spoken(name).replace(" ", "\n", 1) for name in (*settings[0], metric)]
    ax.set_xticks(range(len(axes) + 1), names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    lost = f", {np.isnan(scores).sum()} diverged and not drawn" if np.isnan(scores).any() else ""
    ax.set_title(
        f"{len(settings)} settings{lost}\n{_best_told(scores, metric, colour=' (red)')}", loc="left", fontsize=13
    )
    return figure


def _best_told(scores, metric, colour="") -> str:
    best = best_of(scores, metric)
    return "every run diverged" if best is None else f"best{colour}: {score_told(scores[best], metric)}"


def _draw_cells(ax, settings, scores, x, y, metric):
    columns, rows = (distinct(setting[name] for setting in settings) for name in (x, y))
    cells = [(rows.index(setting[y]), columns.index(setting[x])) for setting in settings]
    table = np.full((len(rows), len(columns)), np.nan)
    for i in ranked(scores, metric)[::-1]:  # the best score is written last, so it stays
        table[cells[i]] = scores[i]
    picture = ax.imshow(table, cmap=colour_map(metric), norm=colour_norm(scores, metric), aspect="auto", origin="lower")
    for (i, j), value in np.ndenumerate(table):
        _write_cell(ax, i, j, value, picture.norm, metric)
    ax.set_xticks(range(len(columns)), [value_told(value) for value in columns])
    ax.set_yticks(range(len(rows)), [value_told(value) for value in rows])
    ax.tick_params(length=0)
    if np.isfinite(scores).any():
        row, column = cells[best_of(scores, metric)]
        ax.plot(column, row + 0.3, "*", color=VERMILION, markersize=15, markeredgecolor="white")
    return picture


def _write_cell(ax, i, j, value, norm, metric) -> None:
    is_dark = math.isfinite(value) and (norm(value) < 0.5) != is_less_better(metric)
    text = score_told(value, metric).removesuffix(" %") if math.isfinite(value) else "diverged"
    ax.text(j, i, text, ha="center", va="center", color="white" if is_dark else "black", fontsize=11)


def _draw_points(ax, settings, scores, x, y, metric):
    axes = [HyperparameterAxis(name, [setting[name] for setting in settings]) for name in (x, y)]
    xs, ys = (axis.numbers for axis in axes)
    lost, order = np.isnan(scores), ranked(scores, metric)[::-1]
    ax.plot(xs[lost], ys[lost], "x", color=GREY, markersize=8, label="diverged" if lost.any() else None)
    order = order[~lost[order]]
    ax.grid(True)
    ax.set_axisbelow(True)
    look = {"s": 110, "edgecolors": GREY, "linewidths": 0.8}
    colours = {"cmap": colour_map(metric), "norm": colour_norm(scores, metric)}
    picture = ax.scatter(xs[order], ys[order], c=scores[order], **colours, **look)
    mark = {"color": VERMILION, "markersize": 20, "markeredgecolor": "white", "linestyle": ""}
    ax.plot(xs[order[-1:]], ys[order[-1:]], marker="*", label="best", **mark)
    for axis, drawn in zip(axes, (ax.xaxis, ax.yaxis), strict=True):
        axis.put_on(drawn)
    ax.legend(loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=2, borderaxespad=0)
    return picture


def _draw_colour_bar(figure, ax, picture, scores, metric) -> None:
    (low, high), scale = colour_limits(scores, metric), 100 if is_share(metric) else 1
    beyond = bool((scores < low).any()), bool((scores > high).any())
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}[beyond]
    bar = figure.colorbar(picture, ax=ax, extend=extend, label=with_unit(metric))
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{scale * value:.4g}")


def _draw_lines(ax, axes, scores, metric) -> None:
    from matplotlib import colormaps

    norm, colours = colour_norm(scores, metric), colormaps[colour_map(metric)]
    heights = np.stack([*(axis.heights for axis in axes), norm(scores)])
    order = [i for i in ranked(scores, metric)[::-1] if math.isfinite(scores[i])]
    for i in order[:-1]:
        ax.plot(heights[:, i], color=colours(norm(scores[i])), linewidth=1.6, alpha=0.8)
    for i in order[-1:]:
        ax.plot(heights[:, i], color=VERMILION, linewidth=3.2, marker="o", markersize=7)


def _score_ticks(scores, metric):
    """Returns heights and texts of the ticks; an end with scores beyond it is marked with a sign."""
    low, high = colour_limits(scores, metric)
    inside = [low + share * (high - low) for share in ((0, 0.25, 0.5, 0.75, 1) if high > low else (0,))]
    words = [score_told(value, metric) for value in inside]
    if (scores < low).any():
        words[0] = f"≤ {words[0]}"
    if (scores > high).any():
        words[-1] = f"≥ {words[-1]}"
    return [(float(colour_norm(scores, metric)(value)), text) for value, text in zip(inside, words, strict=True)]


def _draw_axis(ax, place, ticks, *, on_left: bool) -> None:
    ax.plot([place, place], [0, 1], color="black", linewidth=1, zorder=3)
    side, align = (-0.05, "right") if on_left else (0.05, "left")
    box = {"facecolor": "white", "alpha": 0.9, "edgecolor": "none", "pad": 1}
    for height, text in ticks:
        ax.plot([place - 0.02, place + 0.02], [height, height], color="black", linewidth=1, zorder=3)
        ax.text(place + side, height, text, va="center", ha=align, fontsize=11, zorder=4, bbox=box)
