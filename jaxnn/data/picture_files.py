"""`open_picture` opens a picture file with the decoders of Pillow that only read; nothing in a file is ever run.

A picture is refused before its pixels are decoded if the file or the picture is too large. Of a file with several
frames the first is taken.
"""

import contextlib
import io
import logging
import os
import warnings
from pathlib import Path

from PIL import Image

from jaxnn.bounded_files import open_regular, read_bounded

logging.getLogger("PIL").addHandler(logging.NullHandler())  # without a handler it would print beside our sentence

MOST_BYTES, MOST_PIXELS = 2**26, 2**26
# EPS is missing on purpose: such a file is a program, which Pillow gives to Ghostscript. TGA is last: it has no mark.
_OFTEN = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000")
FORMATS = (*_OFTEN, "PPM", "ICO", "PCX", "QOI", "TGA")
OTHERS = {
    b"%!PS": "a PostScript program, which is never run",
    b"%PDF": "a PDF document",
    b"<svg": "a drawing in SVG",
    b"<?xml": "a text in XML",
    b"ftyphei": "a HEIC picture, as iPhones make them",
    b"ftypmif": "a HEIF picture",
    b"SIMPLE  =": "a FITS file, whose grey levels have no black and white",
    b"8BPS": "a Photoshop file with layers",
}


def open_picture(path: str | os.PathLike):
    """Opens the first frame of a picture file.

    Args:
        path: a file of at most 64 MiB in one of `FORMATS`.

    Returns:
        An image of Pillow whose pixels are not decoded yet; they are at most 2^26.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no picture, is damaged, or is too large.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there, expected an image file. Check the name.")
    content = read_bounded(path, most=MOST_BYTES)
    try:
        with told_of_damage(path):
            image = Image.open(io.BytesIO(content), formats=_readable_formats())
            size = image.size
    except Image.DecompressionBombError:
        raise ValueError(f"{path} has far too many pixels; expected at most 2^26. Make it smaller.") from None
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is {_kind_of(content[:64])}. Convert it to PNG.") from None
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"{path} has {size[0]} x {size[1]} pixels; expected at most 2^26. Make it smaller.")
    return image


def is_picture(path: str | os.PathLike) -> bool:
    """Returns whether the first bytes of a regular file are those of a picture, whatever its name is.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a regular file.
    """
    head = first_bytes(path, 16).ljust(16, b"\xff")  # Pillow reads numbers from it
    if head[:1] == b"P" and not head[2:3].isspace():  # a text, "Python ...", where PPM has "P6" and a space
        return False
    accepts = [Image.OPEN[name][1] for name in _readable_formats()]
    return any(accept(head) is True for accept in accepts if accept is not None)


def first_bytes(path: str | os.PathLike, count: int) -> bytes:
    """Returns at most `count` bytes of the start of a regular file."""
    with open_regular(path) as file:
        return file.read(count)


@contextlib.contextmanager
def told_of_damage(path):
    """Turns any error of a decoder into a sentence: a damaged file can make the decoders of Pillow raise any error."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (Image.UnidentifiedImageError, Image.DecompressionBombError):
        raise
    except Exception as error:
        raise ValueError(f"{path} is a damaged image: {error}. Save it anew.") from error


def _readable_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]  # an old Pillow has no AVIF


def _kind_of(head: bytes) -> str:
    known = next((words for mark, words in OTHERS.items() if mark in head), None)
    return f"{known}, not an image that can be read" if known else "not an image in a format that can be read"
