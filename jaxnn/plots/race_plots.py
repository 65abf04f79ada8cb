"""Race plots show every path on the contours of its surface beside the losses, or training losses by step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnn.diagnostics.surfaces import Surface
from jaxnn.diagnostics.trajectories import judge, losses_along, values
from jaxnn.plots.figure_style import in_light_style, new_figure

GRID = 160  # points along each axis
LEVELS = 18
FAR = 50  # frame sizes; points farther away are drawn at this distance, outside the picture
WINDOW = 5  # number of steps of which the greatest loss is drawn
SMOOTHING = 0.95  # decay of the average of training losses, which vary with the batch


class Look(NamedTuple):
    """Describes how one optimizer is drawn: its colours on white and on black, and its dashes.

    The dashes are lengths on, off, ... in line widths; an empty tuple is a solid line.
    """

    colour: str
    on_dark: str
    dashes: tuple[float, ...]


_COLOURS = (  # Okabe and Ito 2008, ordered so that neighbours differ most; their yellow is too pale for lines
    ("#D55E00", "#FF8A3D"),
    ("#0072B2", "#4DA6E8"),
    ("#009E73", "#2CC79C"),
    ("#CC79A7", "#E39CC3"),
    ("#000000", "#F2F2F2"),
    ("#E69F00", "#F5BC3A"),
    ("#56B4E9", "#A5DAF8"),
    ("#6A3D9A", "#B497E0"),  # not theirs: an eighth colour, which differs from the blue by its dashes
)
_DASHES = ((), (4.0, 1.5), (1.2, 1.2), (6.0, 1.5, 1.2, 1.5))


def look(i: int) -> Look:
    """Returns the look of the i-th optimizer: colours repeat after eight, and then have other dashes than before.

    >>> look(0).colour == look(8).colour, look(0).dashes == look(8).dashes
    (True, False)
    """
    return Look(*_COLOURS[i % len(_COLOURS)], _DASHES[(i + i // len(_COLOURS)) % len(_DASHES)])


class Contours(NamedTuple):
    """Holds a surface on a grid, and the levels of its contour lines."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    levels: np.ndarray


def contours(surface: Surface) -> Contours:
    """Computes the surface in its frame, and the levels of its contour lines.

    The heights of the levels above the minimum have equal ratios; without a minimum, the levels have equal steps.
    """
    x, y = (np.linspace(*limits, GRID, dtype=np.float32) for limits in (surface.x_limits, surface.y_limits))
    points = np.stack(np.meshgrid(x, y), axis=-1)
    z = values(surface.f, points.reshape(-1, 2)).reshape(GRID, GRID)
    if surface.minimum is None:
        return Contours(x, y, z, np.linspace(z.min(), z.max(), LEVELS + 2)[1:-1])
    least = _least(surface)
    low = max(np.quantile(z, 0.01) - least, 1e-4 * (z.max() - least))
    return Contours(x, y, z, least + np.geomspace(low, 0.9 * (z.max() - least), LEVELS))


def _least(surface) -> float:
    return float(values(surface.f, [surface.minimum])[0])


@in_light_style
def plot_race(surface: Surface, names: Sequence[str], paths):
    """Plots the paths on the surface's contours, the losses by step beside them, and each outcome in the legend.

    Args:
      surface: the surface of the race.
      names: the names of the optimizers.
      paths: (optimizer, steps + 1, 2), as `run_races` returns them; parts outside the frame are cut off.

    Raises:
      ValueError: if there is not one path for each name.
    """
    paths = checked_paths(names, paths)
    figure = new_figure(14.5, 5.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    draw_contours(left, surface)
    for i, (name, path) in enumerate(zip(names, paths, strict=True)):
        style = line_style(i)
        end = {"marker": "o", "markevery": [-1], "markersize": 7, "markeredgecolor": "white"}
        left.plot(*cut_off(surface, path).T, **style, **end, label=literal(f"{name}: {judge(surface, path).said}"))
        right.plot(_losses_to_draw(surface, path), **style)
    draw_marks(left, surface)
    left.set(xlabel="x", ylabel="y")
    left.set_title(f"{surface.name}:  f = {surface.formula}", loc="left", fontsize=12)
    _finish_losses(right, surface, paths)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", handlelength=3.2)
    return figure


def draw_contours(ax, surface: Surface) -> None:
    """Draws contour lines, and between them shades that are paler than every path."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    grid = contours(surface)
    bounds = np.concatenate([[grid.z.min() - 1], grid.levels, [grid.z.max() + 1]])
    shade = np.linspace(0.80, 0.99, len(bounds) - 1)[:, None]
    shades = ListedColormap(np.clip(shade + np.array([-0.04, 0.0, 0.03])[None], 0, 1))
    ax.contourf(grid.x, grid.y, grid.z, bounds, cmap=shades, norm=BoundaryNorm(bounds, shades.N))
    ax.contour(grid.x, grid.y, grid.z, grid.levels, colors="#8C98A6", linewidths=0.6, linestyles="solid")
    ax.set(xlim=surface.x_limits, ylim=surface.y_limits)


def draw_marks(ax, surface: Surface) -> None:
    """Draws a circle at the start of all paths, and a star on the minimum, if there is one."""
    mark = {"linestyle": "", "color": "black", "markeredgecolor": "white", "zorder": 5, "clip_on": False}
    ax.plot(*surface.start, marker="o", markersize=9, **mark, label="start")
    if surface.minimum is not None:
        ax.plot(*surface.minimum, marker="*", markersize=17, **mark, label="minimum")


def line_style(i: int) -> dict:
    """Returns matplotlib's keywords for `look(i)`."""
    colour, _, dashes = look(i)
    return {"color": colour, "linestyle": (0, dashes) if dashes else "-", "linewidth": 2.2, "alpha": 0.95}


def cut_off(surface: Surface, path) -> np.ndarray:
    """Returns the part of the path that can be drawn: all points before the first that is not finite.

    Points farther than `FAR` frame sizes from the frame are moved to this distance.
    """
    limits = np.array([surface.x_limits, surface.y_limits], float)
    low, high = limits.T
    ended = np.flatnonzero(~np.isfinite(path).all(axis=1))
    path = np.asarray(path, float)[: ended[0] if ended.size else None]
    return np.clip(path, low - FAR * (high - low), high + FAR * (high - low))


@in_light_style
def plot_training_race(names: Sequence[str], losses, *, title: str):
    """Plots training losses by step on a logarithmic axis: each batch with a faint line, and their moving average.

    Args:
      names: the names of the optimizers.
      losses: (optimizer, steps), as `race_training` returns them.
      title: the title of the picture.

    Raises:
      ValueError: if there is not one row of losses for each name.
    """
    losses = np.asarray(losses, float)
    if losses.ndim != 2 or len(losses) != len(names):
        raise ValueError(
            f"`losses` must have shape ({len(names)}, steps), a row for each name; received {losses.shape}."
        )
    figure = new_figure(10.5, 5.2)
    ax = figure.subplots()
    for i, (name, row) in enumerate(zip(names, losses, strict=True)):
        style = line_style(i)
        ax.plot(np.where(row > 0, row, np.nan), color=style["color"], linewidth=0.6, alpha=0.2)
        ax.plot(moving_average(row), **style, label=literal(f"{name}: {training_verdict(row)}"))
    ax.set(title=literal(title), xlabel="step", ylabel="training loss of the batch")
    _limit(ax, np.stack([moving_average(row) for row in losses]), floor=1e-6)
    ax.grid(True)
    figure.legend(loc="outside right center", handlelength=3.2)
    return figure


def moving_average(losses) -> np.ndarray:
    """Computes the exponential moving average with bias correction; it is NaN from the first loss that is not finite.

    >>> moving_average([2.0, 2.0, 2.0]).round(6).tolist()
    [2.0, 2.0, 2.0]
    """
    total, averages = 0.0, []
    for step, value in enumerate(losses, start=1):
        total = SMOOTHING * total + (1 - SMOOTHING) * (value if np.isfinite(value) else np.nan)
        averages.append(total / (1 - SMOOTHING**step))
    return np.array(averages)


def checked_paths(names, paths) -> np.ndarray:
    """Returns the paths as an array with one path for each name; raises a ValueError for another shape."""
    paths = np.asarray(paths)
    if paths.ndim != 3 or paths.shape[0] != len(names) or paths.shape[2] != 2:
        raise ValueError(
            f"`paths` must have shape ({len(names)}, steps + 1, 2), one for each name; received {paths.shape}."
        )
    return paths


def training_verdict(losses) -> str:
    """Returns the last moving average as text, or "diverged" if it is above the first loss or not finite.

    >>> training_verdict([2.0, 1.0, 1.0]), training_verdict([2.0, float("nan"), 1.0])
    ('loss 1.32', 'diverged')
    """
    last = moving_average(losses)[-1]
    return f"loss {last:.3g}" if last <= losses[0] else "diverged"


def _losses_to_draw(surface, path):
    """Returns f at each step; if there is a minimum, the greatest f above it over the last `WINDOW` steps.

    A path that jumps back and forth over the minimum comes near it now and then; the greatest value hides this.
    """
    losses = losses_along(surface, path)
    if surface.minimum is None:
        return losses
    above = losses - _least(surface)
    padded = np.concatenate([np.repeat(above[:1], WINDOW - 1), above])
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW).max(axis=1)


def _finish_losses(ax, surface, paths) -> None:
    ax.set(xlabel="step")
    ax.grid(True)
    if surface.minimum is None:
        z = contours(surface).z
        ax.set(ylim=(z.min(), z.max() / 2), ylabel="f")
        return
    _limit(ax, np.stack([_losses_to_draw(surface, path) for path in paths]), floor=1e-9)
    ax.set_ylabel(f"f above its minimum, greatest of {WINDOW} steps")


def _limit(ax, losses, *, floor) -> None:
    """Sets a logarithmic axis from about the least loss, or `floor`, to the greatest, or ten times the first."""
    finite = losses[np.isfinite(losses) & (losses > 0)]
    if finite.size:
        first = np.fmax.reduce(losses[:, 0], initial=finite.min())
        ax.set(yscale="log", ylim=(max(finite.min() / 2, min(floor, first)), min(2 * finite.max(), 10 * first)))


def literal(text: str) -> str:
    """Returns the text with its dollar signs escaped, because matplotlib sets text between them as mathematics."""
    return text.replace("$", r"\$")
