"""Pictures of asynchronous training, from arrays: how late updates are, what that costs, and what it gains in time.

Each function returns a matplotlib `Figure`. Accuracies are shares in [0, 1], drawn in percent.
"""

from collections.abc import Mapping

import numpy as np

from jaxnn.plots.figure_style import GREY, in_light_style, new_figure
from jaxnn.plots.line_plots import COLOURS, line_look, plot_lines


@in_light_style
def plot_staleness(staleness: Mapping[str, np.ndarray]):
    """How many updates came between a gradient's read and its own: a histogram for each run, below one another.

    Args:
      staleness: name -> (updates,) integers.

    Raises:
      ValueError: no runs, or one without updates.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if not staleness or not all(len(late) for late in staleness.values()):
        raise ValueError(f"`staleness` must have updates in every run; received {_shapes(staleness)}.")
    figure = new_figure(7.6, 1.1 + 1.5 * len(staleness))
    axes = figure.subplots(len(staleness), 1, sharex=True, squeeze=False)[:, 0]
    most = max(int(np.max(late)) for late in staleness.values())
    for i, (ax, (name, late)) in enumerate(zip(axes, staleness.items(), strict=True)):
        share = np.bincount(np.asarray(late), minlength=most + 1) / len(late)
        ax.bar(np.arange(most + 1), 100 * share, width=0.9, color=COLOURS[i % len(COLOURS)])
        ax.axvline(np.mean(late), color=GREY, linestyle="--", linewidth=1.5)
        told = f"{name}: mean {np.mean(late):.1f}, 95 % up to {np.percentile(late, 95):.0f}, most {np.max(late)}"
        ax.set_title(told, loc="left", fontsize=12)
        ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        ax.yaxis.set_major_locator(MaxNLocator(3))
    axes[-1].set_xlabel("staleness (updates between read and apply); dashed: mean")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supylabel("share of updates", fontsize=12)
    return figure


def plot_accuracy_against_staleness(staleness, accuracy: Mapping[str, np.ndarray]):
    """What staleness costs at equal numbers of examples: a line for each optimizer.

    Args:
      staleness: (runs,) means, from 0 on.
      accuracy: name -> (runs,) or (seeds, runs), in [0, 1].

    Raises:
      ValueError: arrays of other shapes.
    """
    figure = _plot_accuracies(staleness, accuracy, xlabel="mean staleness (updates)")
    (ax,) = figure.axes
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=-0.15)
    ax.set_xticks(staleness, [f"{tau:.2g}" for tau in staleness])
    ax.minorticks_off()
    return figure


def plot_rate_against_workers(rates, accuracy: Mapping[str, np.ndarray]):
    """Which learning rates still work with so many workers: a line for each number of them.

    Args:
      rates: (rates,), positive.
      accuracy: name -> (rates,) or (seeds, rates), in [0, 1].

    Raises:
      ValueError: arrays of other shapes.
    """
    figure = _plot_accuracies(rates, accuracy, xlabel="learning rate", xscale="log")
    figure.axes[0].set_xticks(rates, [f"{rate:g}" for rate in rates])
    figure.axes[0].minorticks_off()
    return figure


def _plot_accuracies(x, accuracy, **axes):
    lines = {name: 100 * np.asarray(values) for name, values in accuracy.items()}
    return plot_lines(x, lines, ylabel="test accuracy (%)", ylim=(0, 100), **axes)


@in_light_style
def plot_accuracy_over_time(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, target: float | None = None):
    """The accuracy over simulated time, a line for each way of working together.

    Args:
      curves: name -> (time, accuracy), both (points,): seconds, and shares in [0, 1].
      target: an accuracy to be reached, drawn across; None for none.

    Raises:
      ValueError: no curves, or arrays of other shapes.
    """
    if not curves or any(np.ndim(time) != 1 or np.shape(time) != np.shape(share) for time, share in curves.values()):
        shapes = {name: tuple(map(np.shape, pair)) for name, pair in curves.items()}
        raise ValueError(f"`curves` must be pairs of (points,); received {shapes}.")
    figure = new_figure(8.6, 5.2)
    ax = figure.subplots()
    for i, (name, (time, values)) in enumerate(curves.items()):
        ax.plot(time, 100 * np.asarray(values), label=name, **line_look(i))
    if target is not None:
        ax.axhline(100 * target, color=GREY, linewidth=1, zorder=0)
    ax.set(xlabel="simulated time (s)", ylabel="test accuracy (%)", xscale="log")
    ax.grid(True)
    ax.legend(loc="lower right", fontsize=10)
    return figure


def _shapes(named):
    return {name: np.shape(values) for name, values in named.items()}
