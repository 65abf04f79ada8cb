"""This module styles and saves every picture of jaxnn, whatever the user's matplotlib settings are."""

import os
from collections.abc import Callable
from functools import partial, wraps
from io import BytesIO
from pathlib import Path

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#6E6E6E"
SHOWN = 80  # CSS pixels per inch in a notebook

_STYLE = {
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": False,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "lines.linewidth": 2,
}


def in_light_style(plot: Callable) -> Callable:
    """Makes `plot` run with matplotlib's defaults and the style above, whatever the user has set."""

    @wraps(plot)
    def styled(*args, **keywords):
        from matplotlib import style

        with style.context(["default", _STYLE]):
            return plot(*args, **keywords)

    return styled


def new_figure(width: float, height: float, layout: str | None = "constrained"):
    """Makes an empty figure, in inches, without pyplot and its global state; notebooks show it as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    if layout is not None:
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    FigureCanvasAgg(figure)
    figure._repr_png_ = partial(_shown, figure)  # without this, IPython shows only pyplot's figures
    return figure


def _shown(figure):
    width, height = figure.get_size_inches()
    return png_of(figure), {"width": round(SHOWN * width), "height": round(SHOWN * height)}


def png_of(figure) -> bytes:
    """Returns the figure as PNG, with 144 dots per inch, on white."""
    png = BytesIO()
    figure.savefig(png, format="png", dpi=144, facecolor="white", pil_kwargs={"compress_level": 3})
    return png.getvalue()


def save_figure(figure, path: str | os.PathLike) -> Path:
    """Writes a figure as PNG under a temporary name and renames it: a reader of `path` sees a whole picture.

    >>> import tempfile
    >>> save_figure(new_figure(1, 1), Path(tempfile.mkdtemp()) / "curves.png").read_bytes()[:4]
    b'\\x89PNG'
    """
    path, png = Path(path), png_of(figure)
    temporary = path.with_name(path.name + ".jaxnn-tmp")
    try:
        temporary.write_bytes(png)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
