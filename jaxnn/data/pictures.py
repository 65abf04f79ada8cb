"""Pictures from files, in the form of a dataset's images."""

import os
from pathlib import Path

import numpy as np


def read_picture(
    path: str | os.PathLike, shape: tuple[int, int, int], *, resize: bool = False, invert: bool = False
) -> np.ndarray:
    """Read one image file as uint8 (height, width, channels).

    Colours become grey where the shape has one channel (ITU-R 601 luma).

    Args:
        path: a file in any format that Pillow reads.
        shape: (height, width, channels) expected, channels 1 or 3.
        resize: whether an image of another size is resampled to it (Lanczos) instead of refused.
        invert: whether to turn dark on light into light on dark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image, is damaged, has another size, or is partly transparent.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there, expected an image file. Check the name.")
    try:
        with Image.open(path) as image:
            _check(path, image, shape, resize)
            image = image.convert("L" if shape[2] == 1 else "RGB")
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image in a format that can be read. Convert it to PNG.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is a damaged image: {error}. Save it anew.") from error
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
