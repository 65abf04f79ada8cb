"""`read_picture` reads a picture from a file in the form of the images of a dataset."""

import os
from collections.abc import Callable
from typing import Literal

import numpy as np

from jaxnn.data.picture_modes import see_picture
from jaxnn.data.picture_preparation import Ground, fit, ground_of, is_blank, prepare_as_mnist


def read_picture(
    path: str | os.PathLike,
    shape: tuple[int, int, int],
    *,
    resize: bool = False,
    invert: bool | Literal["auto"] = False,
    prepare: Literal["mnist"] | None = None,
    ground: Ground | None = None,
    background: str | None = None,
    levels: tuple[float, float] | None = None,
    tell: Callable[[str], object] = lambda hint: None,
) -> np.ndarray:
    """Reads one image file, as a person sees it, as uint8 (height, width, channels).

    If the shape has one channel, colours are converted to grey (ITU-R 601 luma).

    Args:
        path: a file in any format of `picture_files.FORMATS`.
        shape: (height, width, channels) expected, channels 1 or 3.
        resize: whether an image of another size is resampled to fit in this size (`fit`) instead of refused.
        invert: whether dark on light is converted to light on dark; "auto": if its ground is not the `ground`.
        prepare: "mnist" if it is a digit to be cropped, scaled and centred as those of MNIST (`prepare_as_mnist`).
        ground: whether the training images are "dark" or "light" around what they show; None if they are neither.
        background: the colour on which a transparent picture is laid, such as "white".
        levels: the grey levels of the file that are black and white.
        tell: is called with what must be said of the picture, such as "is blank ..."; its name is left out.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no image, is damaged, has another size, is partly transparent, has grey levels without a
            known black and white, or is larger than 64 MiB or 2^26 pixels.
    """
    pixels, hints = see_picture(path, channels=shape[2], background=background, levels=levels)
    for hint in hints:
        tell(hint)
    if is_blank(pixels):
        tell(f"is blank: its levels are all from {pixels.min()} to {pixels.max()}.")
    if prepare is None and not resize:
        _check_size(path, pixels, shape)
    pixels = _inverted(pixels, invert, ground, tell)
    if prepare == "mnist":
        pixels = _as_mnist(path, pixels, shape, ground, tell)
    elif pixels.shape != shape:
        pixels = fit(pixels, shape)
    if ground is not None and not is_blank(pixels):
        _compare(ground_of(pixels), ground, tell)
    return pixels


def _check_size(path, pixels, shape):
    height, width, _ = pixels.shape
    if pixels.shape != shape:
        raise ValueError(
            f"{path} is {width} x {height} pixels (width x height); expected {shape[1]} x {shape[0]}. "
            "Pass --resize (in Python: resize=True) to have the whole image resampled, or for a handwritten digit "
            '--prepare mnist (in Python: prepare="mnist") to have it found, scaled and centred.'
        )


def _inverted(pixels, invert, ground, tell):
    found = ground_of(pixels)
    if invert == "auto" and ground and found and found != ground:
        tell(f"has a {found} ground, and the training images have a {ground} one: it is inverted, unless --invert no.")
        return 255 - pixels
    return 255 - pixels if invert is True else pixels


def _as_mnist(path, pixels, shape, ground, tell):
    if shape[2] != 1:
        raise ValueError(f"--prepare mnist is for grey images; received a run on images of {shape[2]} channels.")
    is_light = (ground_of(pixels) or ground) == "light"
    digit = prepare_as_mnist(255 - pixels if is_light else pixels, shape)
    if is_blank(digit):
        raise ValueError(f"{path} is blank: nothing stands out; expected a digit for --prepare mnist. Look at it.")
    rows, columns, _ = np.nonzero(digit > 127)
    if np.ptp(columns) + 1 > 1.5 * (np.ptp(rows) + 1):  # 0.7 % of the digits of MNIST are
        tell("shows something wider than a digit: are there several? The answer is of all as one.")
    return 255 - digit if is_light else digit


def _compare(found, ground, tell):
    if found != ground:
        what = f"a {found} ground" if found else "neither a dark nor a light ground"
        tell(f"has {what}, and the training images have a {ground} one: the answer may be wrong. See --invert.")
