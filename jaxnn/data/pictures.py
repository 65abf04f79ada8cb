"""`read_picture` reads a picture from a file in the form of the images of a dataset."""

import io
import os
import warnings
from pathlib import Path

import numpy as np

from jaxnn.bounded_files import read_bounded

MOST_BYTES, MOST_PIXELS = 2**26, 2**26


def read_picture(
    path: str | os.PathLike, shape: tuple[int, int, int], *, resize: bool = False, invert: bool = False
) -> np.ndarray:
    """Reads one image file as uint8 (height, width, channels).

    If the shape has one channel, colours are converted to grey (ITU-R 601 luma).

    Args:
        path: a file in any format that Pillow reads.
        shape: (height, width, channels) expected, channels 1 or 3.
        resize: whether an image of another size is resampled to this size (Lanczos) instead of refused.
        invert: whether dark on light is converted to light on dark.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not an image, is damaged, has another size, has an alpha channel, or is larger than
            64 MiB or 2^26 pixels.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there, expected an image file. Check the name.")
    content = io.BytesIO(read_bounded(path, most=MOST_BYTES))
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(content)
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image in a format that can be read. Convert it to PNG.") from None
    except Exception as error:  # a damaged file can make the decoders of Pillow raise any error
        raise _damaged(path, error) from error
    _check(path, image, shape, resize)
    try:
        image = image.convert("L" if shape[2] == 1 else "RGB")
    except Exception as error:
        raise _damaged(path, error) from error
    if image.size != (shape[1], shape[0]):
        image = image.resize((shape[1], shape[0]), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.uint8).reshape(shape)
    return 255 - pixels if invert else pixels


def _check(path, image, shape, resize):
    if image.has_transparency_data:
        raise ValueError(
            f"{path} has an alpha channel; expected an opaque image. Flatten it onto its background first."
        )
    if image.size != (shape[1], shape[0]) and not resize:
        raise ValueError(
            f"{path} is {image.size[0]} x {image.size[1]} pixels (width x height); expected {shape[1]} x {shape[0]}. "
            "Pass --resize (in Python: resize=True) to have it resampled."
        )
    if image.size[0] * image.size[1] > MOST_PIXELS:
        raise ValueError(
            f"{path} has {image.size[0]} x {image.size[1]} pixels; expected at most 2^26. Make it smaller."
        )


def _damaged(path, error) -> ValueError:
    return ValueError(f"{path} is a damaged image: {error}. Save it anew.")
