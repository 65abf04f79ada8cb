"""These plots show asynchronous training: how late updates are, what that costs, and what it gains in time.

Each function takes arrays and returns a matplotlib `Figure`. Accuracies are shares in [0, 1] and are drawn in percent.
"""

from collections.abc import Mapping

import numpy as np

from jaxnn.plots.figure_style import GREY, in_light_style, new_figure
from jaxnn.plots.line_plots import COLOURS, line_look, plot_lines


@in_light_style
def plot_staleness(staleness: Mapping[str, np.ndarray]):
    """Plots the staleness of updates: a histogram for each run, one below the other.

    The staleness of an update is the number of updates between the read of the parameters for its gradient and the
    update itself.

    Args:
      staleness: name -> (updates,) integers.

    Raises:
      ValueError: if there are no runs, or one has no updates.
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
    """Plots the test accuracy against the mean staleness at equal numbers of examples: a line for each optimizer.

    Args:
      staleness: (runs,) means, at least 0.
      accuracy: name -> (runs,) or (seeds, runs), in [0, 1].

    Raises:
      ValueError: if the arrays have other shapes.
    """
    figure = _plot_accuracies(staleness, accuracy, xlabel="mean staleness (updates)")
    (ax,) = figure.axes
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=-0.15)
    ax.set_xticks(staleness, [f"{tau:.2g}" for tau in staleness])
    ax.minorticks_off()
    return figure


def plot_rate_against_workers(rates, accuracy: Mapping[str, np.ndarray]):
    """Plots the test accuracy against the learning rate: a line for each number of workers.

    The picture shows which learning rates still work with many workers.

    Args:
      rates: (rates,) learning rates, positive.
      accuracy: name -> (rates,) or (seeds, rates), in [0, 1].

    Raises:
      ValueError: if the arrays have other shapes.
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
    """Plots the test accuracy over simulated time: a line for each way in which the workers cooperate.

    Args:
      curves: name -> (time, accuracy), both (points,): seconds, and shares in [0, 1].
      target: an accuracy to reach, drawn as a horizontal line; None draws no line.

    Raises:
      ValueError: if there are no curves, or the arrays have other shapes.
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
