"""Pictures of a race: every path on the contours of its surface with the losses beside it; training losses by step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnn.diagnostics.surfaces import Surface
from jaxnn.diagnostics.trajectories import judge, losses_along, values
from jaxnn.plots.figure_style import in_light_style, new_figure

GRID = 160  # points along each axis
LEVELS = 18
FAR = 50  # frame sizes: what lies beyond is drawn there, outside the picture
WINDOW = 5  # steps over which the greatest loss is drawn
SMOOTHING = 0.95  # of training losses, whose batches differ


class Look(NamedTuple):
    """How one optimizer is drawn: on white, on black, and its dashes (on, off, ... in line widths; none is solid)."""

    colour: str
    on_dark: str
    dashes: tuple[float, ...]


_COLOURS = (  # Okabe and Ito 2008 in the order in which neighbours differ most; yellow is too pale for lines
    ("#D55E00", "#FF8A3D"),
    ("#0072B2", "#4DA6E8"),
    ("#009E73", "#2CC79C"),
    ("#CC79A7", "#E39CC3"),
    ("#000000", "#F2F2F2"),
    ("#E69F00", "#F5BC3A"),
    ("#56B4E9", "#A5DAF8"),
    ("#6A3D9A", "#B497E0"),  # not theirs: an eighth, told from the blue by its dashes
)
_DASHES = ((), (4.0, 1.5), (1.2, 1.2), (6.0, 1.5, 1.2, 1.5))


def look(i: int) -> Look:
    """The look of the i-th optimizer: colours repeat after eight, and then with other dashes than before.

    >>> look(0).colour == look(8).colour, look(0).dashes == look(8).dashes
    (True, False)
    """
    return Look(*_COLOURS[i % len(_COLOURS)], _DASHES[(i + i // len(_COLOURS)) % len(_DASHES)])


class Contours(NamedTuple):
    """A surface on a grid, and the levels of its contour lines."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    levels: np.ndarray


def contours(surface: Surface) -> Contours:
    """The surface in its frame; levels in equal ratios above the minimum, in equal steps where there is none."""
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
    """The paths on the surface's contours, the losses by step beside them, and what became of each in the legend.

    Args:
      surface: what they ran on.
      names: of the optimizers.
      paths: (optimizer, steps + 1, 2), as `run_races` returns them; what leaves the frame is cut off.

    Raises:
      ValueError: not a path for each name.
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
    """Contour lines, and between them shades that stay paler than every path."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    grid = contours(surface)
    bounds = np.concatenate([[grid.z.min() - 1], grid.levels, [grid.z.max() + 1]])
    shade = np.linspace(0.80, 0.99, len(bounds) - 1)[:, None]
    shades = ListedColormap(np.clip(shade + np.array([-0.04, 0.0, 0.03])[None], 0, 1))
    ax.contourf(grid.x, grid.y, grid.z, bounds, cmap=shades, norm=BoundaryNorm(bounds, shades.N))
    ax.contour(grid.x, grid.y, grid.z, grid.levels, colors="#8C98A6", linewidths=0.6, linestyles="solid")
    ax.set(xlim=surface.x_limits, ylim=surface.y_limits)


def draw_marks(ax, surface: Surface) -> None:
    """A circle where all begin, and a star on the minimum."""
    mark = {"linestyle": "", "color": "black", "markeredgecolor": "white", "zorder": 5, "clip_on": False}
    ax.plot(*surface.start, marker="o", markersize=9, **mark, label="start")
    if surface.minimum is not None:
        ax.plot(*surface.minimum, marker="*", markersize=17, **mark, label="minimum")


def line_style(i: int) -> dict:
    """Matplotlib's words for `look(i)`."""
    colour, _, dashes = look(i)
    return {"color": colour, "linestyle": (0, dashes) if dashes else "-", "linewidth": 2.2, "alpha": 0.95}


def cut_off(surface: Surface, path) -> np.ndarray:
    """The path as it can be drawn: up to where it is no longer finite, and never more than `FAR` frames away."""
    limits = np.array([surface.x_limits, surface.y_limits], float)
    low, high = limits.T
    ended = np.flatnonzero(~np.isfinite(path).all(axis=1))
    path = np.asarray(path, float)[: ended[0] if ended.size else None]
    return np.clip(path, low - FAR * (high - low), high + FAR * (high - low))


@in_light_style
def plot_training_race(names: Sequence[str], losses, *, title: str):
    """Training losses by step on a logarithmic axis: each batch faintly, and their moving average.

    Args:
      names: of the optimizers.
      losses: (optimizer, steps), as `race_training` returns them.
      title: over the picture.

    Raises:
      ValueError: not a row of losses for each name.
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
    """The exponential moving average, corrected for its beginning; NaN from the first loss that is not finite.

    >>> moving_average([2.0, 2.0, 2.0]).round(6).tolist()
    [2.0, 2.0, 2.0]
    """
    total, averages = 0.0, []
    for step, value in enumerate(losses, start=1):
        total = SMOOTHING * total + (1 - SMOOTHING) * (value if np.isfinite(value) else np.nan)
        averages.append(total / (1 - SMOOTHING**step))
    return np.array(averages)


def checked_paths(names, paths) -> np.ndarray:
    """The paths as an array, one for each name; else ValueError."""
    paths = np.asarray(paths)
    if paths.ndim != 3 or paths.shape[0] != len(names) or paths.shape[2] != 2:
        raise ValueError(
            f"`paths` must have shape ({len(names)}, steps + 1, 2), one for each name; received {paths.shape}."
        )
    return paths


def training_verdict(losses) -> str:
    """The moving average at the end, or that it is above the first loss or not finite.

    >>> training_verdict([2.0, 1.0, 1.0]), training_verdict([2.0, float("nan"), 1.0])
    ('loss 1.32', 'diverged')
    """
    last = moving_average(losses)[-1]
    return f"loss {last:.3g}" if last <= losses[0] else "diverged"


def _losses_to_draw(surface, path):
    """f, or above a minimum the greatest of the last steps: who leaps to and fro over it hits it now and then."""
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
    """A logarithmic axis from the least loss, or `floor`, to the greatest, or ten times the first."""
    finite = losses[np.isfinite(losses) & (losses > 0)]
    if finite.size:
        first = np.fmax.reduce(losses[:, 0], initial=finite.min())
        ax.set(yscale="log", ylim=(max(finite.min() / 2, min(floor, first)), min(2 * finite.max(), 10 * first)))


def literal(text: str) -> str:
    """The text without a meaning for matplotlib, which sets what stands between dollar signs as mathematics."""
    return text.replace("$", r"\$")
