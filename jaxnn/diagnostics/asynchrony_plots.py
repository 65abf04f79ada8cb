"""Pictures of asynchronous training, from arrays: how late updates are, what that costs, and what it gains in time.

Each function returns a matplotlib `Figure`. Accuracies are shares in [0, 1], drawn in percent.
"""

from collections.abc import Mapping

import numpy as np

from jaxnn.diagnostics.figure_style import GREY, in_light_style, new_figure

# Okabe and Ito 2008; a dash and a marker each, too, so that lines are told apart without colour
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


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
        ax.bar(np.arange(most + 1), 100 * share, width=0.9, color=_COLOURS[i % len(_COLOURS)])
        ax.axvline(np.mean(late), color=GREY, linestyle="--", linewidth=1.5)
        told = f"{name}: mean {np.mean(late):.1f}, 95 % up to {np.percentile(late, 95):.0f}, most {np.max(late)}"
        ax.set_title(told, loc="left", fontsize=12)
        ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        ax.yaxis.set_major_locator(MaxNLocator(3))
    axes[-1].set_xlabel("staleness (updates between read and apply); dashed: mean")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supylabel("share of updates", fontsize=12)
    return figure


@in_light_style
def plot_accuracy_against_staleness(staleness, accuracy: Mapping[str, np.ndarray]):
    """What staleness costs at equal numbers of examples: a line for each optimizer.

    Args:
      staleness: (runs,) means, from 0 on.
      accuracy: name -> (runs,) in [0, 1].

    Raises:
      ValueError: arrays of other shapes.
    """
    staleness = np.asarray(staleness, float)
    _check_lines("staleness", staleness, accuracy)
    figure = new_figure(8, 5)
    ax = figure.subplots()
    for i, (name, values) in enumerate(accuracy.items()):
        ax.plot(staleness, 100 * np.asarray(values), label=name, **_look(i))
    ax.set(xlabel="mean staleness (updates)", ylabel="test accuracy (%)", ylim=(0, 100))
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=-0.15)
    ax.set_xticks(staleness, [f"{tau:.2g}" for tau in staleness])
    ax.minorticks_off()
    ax.grid(True)
    ax.legend(loc="lower left")
    return figure


@in_light_style
def plot_rate_against_workers(rates, accuracy: Mapping[str, np.ndarray]):
    """Which learning rates still work with so many workers: a line for each number of them.

    Args:
      rates: (rates,), positive.
      accuracy: name -> (rates,) in [0, 1].

    Raises:
      ValueError: arrays of other shapes.
    """
    rates = np.asarray(rates, float)
    _check_lines("rates", rates, accuracy)
    figure = new_figure(8, 5)
    ax = figure.subplots()
    for i, (name, values) in enumerate(accuracy.items()):
        ax.plot(rates, 100 * np.asarray(values), label=name, **_look(i))
    ax.set(xscale="log", xlabel="learning rate", ylabel="test accuracy (%)", ylim=(0, 100))
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.grid(True)
    ax.legend()
    return figure


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
        ax.plot(time, 100 * np.asarray(values), label=name, **_look(i))
    if target is not None:
        ax.axhline(100 * target, color=GREY, linewidth=1, zorder=0)
    ax.set(xlabel="simulated time (s)", ylabel="test accuracy (%)", xscale="log")
    ax.grid(True)
    ax.legend(loc="lower right", fontsize=10)
    return figure


def _look(i: int) -> dict:
    """Of the i-th line; from the eighth on markers are hollow."""
    again, i = divmod(i, len(_COLOURS))
    at = lambda looks, shift: looks[(i + shift * again) % len(looks)]  # noqa: E731
    face = {"markerfacecolor": "white"} if again else {}
    return {"color": _COLOURS[i], "linestyle": at(_DASHES, 2), "marker": at(_MARKERS, 3), "markersize": 6, **face}


def _shapes(named):
    return {name: np.shape(values) for name, values in named.items()}


def _check_lines(name, x, lines):
    if x.ndim != 1 or not lines or any(np.shape(values) != x.shape for values in lines.values()):
        raise ValueError(f"`{name}` must be (points,) and every line as long; received {x.shape} and {_shapes(lines)}.")
