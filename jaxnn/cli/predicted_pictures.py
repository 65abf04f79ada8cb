"""The pictures that `jaxnn predict` is given, by names, folders and patterns; and a picture of what the network saw."""

import glob
import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from jaxnn.data.picture_files import first_bytes, is_picture
from jaxnn.runs.atomic_files import write

MOST_PICTURES, MOST_SHOWN = 100_000, 400
_MARK = ("Software", "jaxnn predict --show")
_SIDE, _LINE = 1120, 96  # pixels of a sheet, the grey level of the lines on it


def find_pictures(words: Sequence[str], tell: Callable[[str], object]) -> list[str]:
    """Returns the names of the files that the words mean.

    A folder means the pictures in it, in the order of their names, but not those in its folders. A word with *, ? or []
    that is no file is a pattern, for a shell that does not expand patterns.

    Args:
        words: names of files and folders, and patterns.
        tell: is called with a sentence about what was skipped.

    Raises:
        FileNotFoundError: nothing matches a pattern.
        ValueError: a folder holds no picture, or there are more than 100 000 of them.
    """
    found = []
    for word in words:
        if os.path.isdir(word):
            found += _pictures_in(word, tell)
        elif glob.has_magic(word) and not os.path.exists(word):
            found += _matches(word)
        else:
            found.append(word)
    if len(found) > MOST_PICTURES:
        raise ValueError(f"expected at most {MOST_PICTURES} pictures; received {len(found)}. Take them in parts.")
    return found


def write_sheet(path: str, images: np.ndarray) -> None:
    """Writes the images, enlarged, row by row as one PNG file, so that a person sees what the network saw.

    Args:
        path: the file to write, NAME.png. A file that is there is replaced only if an earlier call wrote it.
        images: uint8 (examples, height, width, channels); the first 400 are shown.

    Raises:
        ValueError: `path` has another ending, or is the name of a file that is not a sheet.
        OSError: the file cannot be written.
    """
    check_sheet(path)
    images = images[:MOST_SHOWN]
    columns = math.ceil(math.sqrt(len(images)))
    factor = max(1, min(10, _SIDE // (columns * images.shape[2])))
    tiles = np.repeat(np.repeat(images, factor, axis=1), factor, axis=2)
    tiles = np.pad(tiles, ((0, -len(tiles) % columns), (1, 1), (1, 1), (0, 0)), constant_values=_LINE)
    count, height, width, channels = tiles.shape
    sheet = tiles.reshape(count // columns, columns, height, width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(count // columns * height, columns * width, channels)
    mark, file = PngImagePlugin.PngInfo(), io.BytesIO()
    mark.add_text(*_MARK)
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(file, "PNG", pnginfo=mark)
    write(Path(path), file.getvalue())


def check_sheet(path: str) -> None:
    """Raises ValueError if a sheet may not be written there."""
    if not path.lower().endswith(".png"):
        raise ValueError(f"--show must be the name of a PNG file to write; received {path[:60]!r}. Let it end in .png.")
    if os.path.lexists(path) and "\0".join(_MARK).encode() not in first_bytes(path, 200):
        raise ValueError(f"--show would replace {path}, which is another file. Take a new name, such as prepared.png.")


def _matches(pattern: str) -> list[str]:
    found = sorted(name for name in glob.glob(pattern, recursive=True) if not os.path.isdir(name))
    if not found:
        raise FileNotFoundError(f"no file matches {pattern}. Check the pattern and the folder.")
    return found


def _pictures_in(folder: str, tell) -> list[str]:
    with os.scandir(folder) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    pictures = [entry.path for entry in entries if entry.is_file() and is_picture(entry.path)]
    skipped = sorted({entry.name for entry in entries} - {os.path.basename(name) for name in pictures})
    if not pictures:
        raise ValueError(f"{folder} is a folder without a picture in it. Name another, or the pictures themselves.")
    if skipped:
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        tell(f"{folder}: skipped what is no picture, {', '.join(skipped[:3])}{more}.")
    return pictures
