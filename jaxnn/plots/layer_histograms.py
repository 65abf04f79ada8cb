"""Layer histograms show the signals in networks: a panel for each network, with a histogram for each layer.

The layers are below one another on one axis, the first at the top. So the reader sees how a distribution shrinks,
spreads or piles up at its ends from one layer to the next. The functions take arrays; `layer_statistics` measures them.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from jaxnn.plots.figure_style import GREY, in_light_style, new_figure
from jaxnn.plots.line_plots import COLOURS

BINS = 81
PANEL, ROW = 2.75, 0.5  # inches: the width of a panel, the height of a layer
FILL = 0.86  # share of the height of a row that the peak of its histogram has
OUTSIDE = 1e-3  # share of the values on a logarithmic axis that may lie beyond its left end


@in_light_style
def plot_layer_histograms(
    panels: Mapping[str, Sequence],
    *,
    xlabel: str,
    scale: str = "linear",
    ranges: Mapping[str, tuple[float, float]] | None = None,
    title: str = "",
):
    """Plots a panel for each network and a histogram for each of its layers, with its standard deviation.

    Every histogram is scaled to its own peak. Values that are exactly 0 (half of all values after a rectifier) are left
    out of it, and their share is written beside it. A logarithmic axis shows the magnitudes of all other values.

    Args:
      panels: name -> arrays of any shape, the first layer first; names may have several lines.
      xlabel: what the values are, with their unit.
      scale: "linear" or "log".
      ranges: name -> the ends of the panel's axis; by default the axis is symmetric about 0 and as wide as the panel's
        values, and a "log" axis is as wide as the values of all panels.
      title: what the picture shows, in a sentence.

    Raises:
      ValueError: if there are no panels, a panel has no layers, the scale is another, or values are not finite.
    """
    panels = {name: [np.ravel(np.asarray(h, float)) for h in layers] for name, layers in panels.items()}
    _check(panels, scale)
    most = max(map(len, panels.values()))
    figure = new_figure(PANEL * len(panels) + 0.6, ROW * most + 1.9)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for i, (ax, (name, layers)) in enumerate(zip(axes, panels.items(), strict=True)):
        shown = layers if scale == "linear" else itertools.chain(*panels.values())
        ends = (ranges or {}).get(name) or _ends(list(shown), scale)
        _draw_panel(ax, layers, ends, scale, COLOURS[i % len(COLOURS)])
        ax.set_title(name, loc="left")
        ax.text(1.03, 1.0, "sd", transform=ax.transAxes, ha="left", va="center", color=GREY, fontsize=11)
        ax.set_xlabel(xlabel)
        ax.set_yticks(range(len(layers)), [str(n + 1) for n in range(len(layers))] if i == 0 else [])
    axes[0].set_ylabel("layer")
    figure.suptitle(title, x=0.01, ha="left", fontsize=15)
    return figure


def _draw_panel(ax, layers, ends, scale, colour) -> None:
    edges = np.linspace(*ends, BINS + 1) if scale == "linear" else np.geomspace(*ends, BINS + 1)
    for row, values in enumerate(layers):
        shown = values[values != 0] if scale == "linear" else np.abs(values[values != 0])
        counts = np.histogram(shown, edges)[0]
        height = FILL * counts / max(counts.max(), 1)
        ax.stairs(row + 0.5 - height, edges, baseline=row + 0.5, fill=True, color=colour, alpha=0.85, linewidth=0)
        ax.axhline(row + 0.5, color=GREY, linewidth=0.6)
        ax.text(1.03, row + 0.5, _told(values), transform=ax.get_yaxis_transform(), ha="left", va="bottom", fontsize=11)
    ax.set(xlim=ends, ylim=(len(layers) - 0.45, -0.6), xscale=scale)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if scale == "linear":
        ax.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    else:
        _mark_decades(ax, ends)


def _mark_decades(ax, ends) -> None:
    """Sets ticks at no more than five powers of ten, evenly apart."""
    low, high = np.log10(ends)
    step = max(1, int(np.ceil((high - low) / 4.5)))
    ax.set_xticks([10.0**power for power in range(int(np.ceil(low)), int(high) + 1) if power % step == 0])
    ax.minorticks_off()
    ax.grid(True, axis="x")
    ax.set_axisbelow(True)


def _told(values) -> str:
    """Returns the text beside a histogram: the share of zeros, if there are some, above the standard deviation."""
    zeros = np.mean(values == 0)
    share = f"{100 * zeros:.0f} % zero\n" if zeros > 0.005 else ""
    return share + _number(values.std())


def _number(size: float) -> str:
    """Formats a number with two digits, and a power of ten if they would be far from the decimal point."""
    if size == 0:
        return "0"
    if 1e-3 <= size < 999.5:
        return f"{size:#.2g}" if size < 9.95 else f"{size:.0f}"
    digits, power = f"{size:.1e}".split("e")
    return rf"{digits}$\times$10$^{{{int(power)}}}$"


def _ends(layers, scale) -> tuple[float, float]:
    """Returns the range of all values, symmetric about 0, or on a "log" axis the range of their magnitudes.

    A "log" axis begins at the smallest of the layers' quantiles at `OUTSIDE`.
    """
    if scale == "linear":
        largest = max(np.abs(values).max() for values in layers) or 1.0
        return -largest, largest
    sizes = [np.abs(values[values != 0]) for values in layers if values.any()]
    if not sizes:
        return 0.1, 10.0
    low, high = min(np.quantile(size, OUTSIDE) for size in sizes), max(size.max() for size in sizes)
    return (low, high) if low < high else (low / 2, high * 2)


def _check(panels, scale) -> None:
    lengths = {name: len(layers) for name, layers in panels.items()}
    if not panels or not all(lengths.values()):
        raise ValueError(f"`panels` must have a network, and each of them a layer; received {lengths}.")
    if scale not in ("linear", "log"):
        raise ValueError(f'`scale` must be "linear" or "log"; received {scale!r}.')
    bad = [name for name, layers in panels.items() if not all(h.size and np.isfinite(h).all() for h in layers)]
    if bad:
        raise ValueError(f"`panels` must hold finite numbers; received others, or none, in {bad}.")
