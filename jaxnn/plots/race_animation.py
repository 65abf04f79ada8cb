"""An animated GIF shows the race on one surface."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from jaxnn.diagnostics.surfaces import Surface
from jaxnn.plots.figure_style import in_light_style, new_figure
from jaxnn.plots.race_plots import checked_paths, cut_off, draw_contours, draw_marks, line_style, literal

MOST_FRAMES = 100
MILLISECONDS = 60  # per frame
HELD = 40  # number of frames for which the last picture stays


@in_light_style
def write_race_gif(path: str | os.PathLike, surface: Surface, names: Sequence[str], paths) -> Path:
    """Writes one race as an animated GIF that repeats forever; with many steps, a frame adds several.

    The contours are drawn once, and only the lines are drawn again in every frame. This takes far less time than
    drawing whole pictures.

    Args:
      path: the path of the file, which is replaced as a whole, or stays as it is.
      surface: the surface of the race.
      names: the names of the optimizers.
      paths: (optimizer, steps + 1, 2), as `run_races` returns them.

    Raises:
      ValueError: if there is not one path for each name.
    """
    paths = checked_paths(names, paths)
    figure = new_figure(8.6, 4.6)
    figure.set_dpi(90)
    ax = figure.subplots()
    draw_contours(ax, surface)
    lines = _moving_lines(ax, names)
    draw_marks(ax, surface)
    counter = ax.text(0.98, 0.97, "", transform=ax.transAxes, ha="right", va="top", weight="bold", animated=True)
    ax.set_title(f"{surface.name}:  f = {surface.formula}", loc="left", fontsize=12)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center", handlelength=3.2)
    frames = _frames(figure, ax, lines, counter, [cut_off(surface, one) for one in paths], _shown_steps(paths.shape[1]))
    gif = BytesIO()
    durations = [MILLISECONDS] * (len(frames) - 1) + [MILLISECONDS * HELD]
    frames[0].save(gif, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return write_whole(Path(path), gif.getvalue())


def _moving_lines(ax, names):
    end = {"marker": "o", "markevery": [-1], "markersize": 8, "markeredgecolor": "white", "animated": True}
    return [ax.plot([], [], **line_style(i), **end, label=literal(name))[0] for i, name in enumerate(names)]


def _shown_steps(points: int) -> list[int]:
    """Returns the last step of each frame: all steps, or at most `MOST_FRAMES` of them; the last step is always there.

    >>> _shown_steps(4), _shown_steps(402)[:3], _shown_steps(402)[-1]
    ([0, 1, 2, 3], [0, 5, 10], 401)
    """
    stride = -(-(points - 1) // (MOST_FRAMES - 1)) or 1
    return [*range(0, points - 1, stride), points - 1]


def _frames(figure, ax, lines, counter, paths, steps):
    """Returns the pictures in one palette; each is the background with the lines up to its step."""
    from PIL import Image

    canvas, pictures, palette = figure.canvas, [], None
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for step in reversed(steps):  # the last picture has all colours, so its palette serves the others
        canvas.restore_region(background)
        for line, path in zip(lines, paths, strict=True):
            line.set_data(*path[: step + 1].T)
            ax.draw_artist(line)
        counter.set_text(f"step {step}")
        ax.draw_artist(counter)
        picture = Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB")
        palette = palette or _palette(picture, [line.get_color() for line in lines])
        pictures.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    return pictures[::-1]


def _palette(picture, colours):
    """Returns a palette of 256 colours for the picture.

    Patches in the colours of the lines are put beside the picture, so that these colours are not mixed with others.
    """
    from PIL import Image

    patch = picture.height // len(colours)
    sample = Image.new("RGB", (picture.width + picture.width // 2, picture.height), "white")
    sample.paste(picture, (0, 0))
    for i, colour in enumerate(colours):
        sample.paste(colour, (picture.width, i * patch, sample.width, (i + 1) * patch))
    return sample.quantize(256)


def write_whole(path: Path, content: bytes) -> Path:
    """Writes the content under a temporary name and renames it: a reader of `path` sees a whole file."""
    temporary = path.with_name(path.name + ".jaxnn-tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
