"""`see_picture` reads a picture file as a person sees it in a viewer: all that the file says of itself is obeyed.

    orientation      of EXIF or TIFF: the picture is turned and mirrored
    palette          colours, and their transparency
    transparency     an alpha channel, a transparent colour; an opaque one changes nothing
    grey levels      of 12, 16, 32 bits or floating point, WhiteIsZero (`picture_levels`)
    colour space     CMYK, Lab, an embedded ICC profile, the gamma of PNG: to sRGB

In a picture that is partly transparent a viewer shows its own background, so the user must name one.
"""

import io
import os
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageOps

from jaxnn.data.picture_files import open_picture, told_of_damage
from jaxnn.data.picture_levels import Samples, check_colours, is_deep, samples_of, to_bytes

_SCREEN = 1 / 2.2  # the gamma of PNG files that are shown as they are
_DEPTHS = {"L;2": 85, "L;4": 17}  # what Pillow multiplies grey levels of 2 and 4 bits by, but not their transparent one


class Seen(NamedTuple):
    """A picture as it is seen: uint8 pixels (height, width, channels), and what was assumed: "has ..."."""

    pixels: np.ndarray
    hints: tuple[str, ...]


def see_picture(
    path: str | os.PathLike,
    *,
    channels: int = 3,
    background: str | None = None,
    levels: tuple[float, float] | None = None,
) -> Seen:
    """Reads the first frame of a picture file as it is seen.

    Args:
        path: the file.
        channels: 1 for grey (ITU-R 601 luma of the colours), 3 for red, green and blue.
        background: the colour on which a transparent picture is laid, such as "white" or "#ffeecc".
        levels: the grey levels of the file that are black and white.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no picture, is damaged or too large (`open_picture`), is partly transparent without
            `background`, or has grey levels whose black and white are not known without `levels`.
    """
    colour, levels = background and _colour(background), levels and _checked(levels)
    image = open_picture(path)
    samples, hints = _decode(image, path)
    info, told = image.info, hints.append
    if not _is_square(info.get("dpi") or info.get("aspect")):
        told("has pixels that are not square, as a fax has; they are taken for square ones.")
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in info:
        told("does not say how its CMYK colours are to be read; Adobe's way is taken.")
    with told_of_damage(path):
        image, opacity = _split(image, samples)
    if levels and not is_deep(image, samples) and image.mode not in ("1", "L"):
        raise ValueError(f"{path} is in colours; expected grey levels with --levels. Leave --levels out.")
    if levels or is_deep(image, samples):
        image = to_bytes(image, samples, path, levels=levels, tell=told)
    image = _to_screen(image, info, told)
    check_colours(image, samples, path)
    image = _lay(image, opacity, colour, path).convert("L" if channels == 1 else "RGB")
    return Seen(np.asarray(image, np.uint8).reshape(image.height, image.width, channels), tuple(hints))


def _decode(image, path) -> tuple[Samples, list[str]]:
    """Decodes the pixels and turns the picture; what the file says of its samples is read before."""
    hints = []
    with told_of_damage(path):
        if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photograph with its preview
            hints.append("has more than one frame; the first is taken.")
        samples = samples_of(image)
        image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # some cameras write EXIF with errors, and the picture is whole all the same
        hints.append("has damaged EXIF data; it is not turned.")
    return samples, hints


def _split(image, samples: Samples):
    """Returns the image without its transparency, and the opacity of each pixel, or None if the image has none."""
    if not image.has_transparency_data:
        return (image.convert("RGB") if image.mode in ("P", "YCbCr", "HSV", "LAB", "RGBX") else image), None
    clear = image.info.get("transparency")
    if image.mode.startswith("I"):
        return image, Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8))
    for layout, factor in _DEPTHS.items():
        if image.mode == "L" and layout in samples.layout:
            image.info["transparency"] = factor * clear
    if image.mode == "RGB" and ";16" in samples.layout:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    both = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    return both.convert("L" if both.mode == "LA" else "RGB"), both.getchannel("A")


def _is_square(density) -> bool:
    """Returns whether as many pixels are on an inch in one direction as in the other, within 5 %."""
    try:
        across, down = map(float, density)
        return not (across > 0 and down > 0) or abs(across / down - 1) < 0.05
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return True  # none is given, or something that is no density


def _exponent(info) -> float:
    """Returns the exponent that the gamma of a PNG file asks for (PNG, 13.13); sRGB and a profile are stronger."""
    gamma = info.get("gamma")
    is_obeyed = isinstance(gamma, float) and gamma > 0 and not {"srgb", "icc_profile"} & info.keys()
    exponent = _SCREEN / gamma if is_obeyed else 1.0
    return exponent if abs(exponent - 1) > 0.02 else 1.0


def _to_screen(image, info, tell):
    """Returns the image in L or RGB of the colour space sRGB."""
    if profile := info.get("icc_profile"):
        try:
            image = _managed(image, profile)
        except Exception:  # ImageCms raises an error of its own, and others for a damaged profile
            tell("has a colour profile that cannot be used; its colours are taken as they are.")
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if (exponent := _exponent(info)) != 1:
        image = image.point([round(255 * (value / 255) ** exponent) for value in range(256)] * len(image.getbands()))
    return image


def _managed(image, profile: bytes):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = profile.profile.xcolor_space.strip()
    if space == "Lab" or "srgb" in ImageCms.getProfileDescription(profile).lower():
        return image  # Pillow has converted Lab
    mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}[space]
    image = image if image.mode == mode else image.convert(mode)
    return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")


def _lay(image, opacity, colour, path):
    """Lays the image on a background; one that is opaque everywhere needs none."""
    if opacity is None or opacity.getextrema()[0] == 255:
        return image
    if colour is None:
        share = 100 * float(np.mean(np.asarray(opacity) < 255))
        raise ValueError(
            f"{path} has an alpha channel, and {share:.3g} % of its pixels are transparent, so it looks different on "
            'every background. Name one: --background white (in Python: background="white").'
        )
    image = image.convert("RGB")
    return Image.composite(image, Image.new("RGB", image.size, colour), opacity)


def _colour(name: str) -> tuple[int, int, int]:
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError:
        raise ValueError(
            f"--background must be a colour, such as white, black or #ffeecc; received {name[:60]!r}."
        ) from None


def _checked(levels) -> tuple[float, float]:
    if len(levels) == 2 and np.isfinite(levels).all() and levels[0] != levels[1]:
        return levels
    raise ValueError(f"--levels must be black and white, two finite numbers, such as 0:4095; received {levels!r:.60}.")
