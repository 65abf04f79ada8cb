"""A picture of a training whose processes are killed: how far its servers were, and when which kind of process died."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxnn.plots.figure_style import GREY, in_light_style, new_figure
from jaxnn.plots.line_plots import line_look

_LOOKS = (("#B8B8B8", "-", 1.2), ("#E69F00", "-", 3.0), (GREY, ":", 1.4))  # colours that the first lines leave free


@in_light_style
def plot_recoveries(seconds, versions: Mapping[str, np.ndarray], kills: Mapping[str, Sequence[float]]):
    """Every server's version over time, and a vertical line wherever a process was killed.

    A version that falls is a server's that was restored from its last checkpoint; NaN, while it does not answer, is a
    gap.

    Args:
      seconds: (points,) since the run began.
      versions: name of a server -> (points,) updates applied.
      kills: kind of process, at most three -> (kills,) seconds.

    Raises:
      ValueError: no servers, or versions of another length than `seconds`.
    """
    seconds = np.asarray(seconds, float)
    shapes = {name: np.shape(values) for name, values in versions.items()}
    if not versions or any(shape != seconds.shape for shape in shapes.values()):
        raise ValueError(f"`versions` must be (points,) like `seconds`; received {shapes} and {seconds.shape}.")
    figure = new_figure(8.6, 5)
    ax = figure.subplots()
    for (kind, when), (colour, dashes, width) in zip(kills.items(), _LOOKS, strict=False):
        look = {"color": colour, "linestyle": dashes, "linewidth": width, "zorder": 0}
        ax.vlines(when, 0, 1, transform=ax.get_xaxis_transform(), label=f"a {kind} killed ({len(when)})", **look)
    for i, (name, values) in enumerate(versions.items()):
        ax.plot(seconds, np.asarray(values, float), label=name, **line_look(i, len(seconds)))
    ax.set(xlabel="time (s)", ylabel="updates applied", xlim=(0, None), ylim=(0, None))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # above: lines may cross everything else
    return figure
