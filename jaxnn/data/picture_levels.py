"""`to_bytes` brings grey levels of 12, 16 or 32 bits, or in floating point, to the 256 levels of the training data.

A number alone does not say what is black and what is white. The file is asked first; if it says nothing, the range
must be one of the usual ones, and the picture must use more than the lowest quarter of it. Anything else is refused,
for a wrong range makes a picture black, and the network answers all the same.
"""

import math
import re
from typing import NamedTuple

import numpy as np
from PIL import Image

BITS, DESCRIPTION, LEAST, MOST, FORMAT, S_LEAST, S_MOST = 258, 270, 280, 281, 339, 340, 341  # tags of TIFF 6.0
PHOTOMETRIC = 262


class Levels(NamedTuple):
    """The grey levels that are shown black and white, and why."""

    black: float
    white: float
    words: str = ""


class Samples(NamedTuple):
    """What a file says of its samples, beside their values.

    Attributes:
      layout: the name that Pillow gives to their layout, such as "I;16B".
      tags: the tags of a TIFF file; empty for other formats.
      levels: what the file says of black and white, if it does.
    """

    layout: str
    tags: dict
    levels: Levels | None

    @property
    def is_signed(self) -> bool:
        return self.tags.get(FORMAT) in (2, (2,))

    @property
    def is_white_zero(self) -> bool:
        return self.tags.get(PHOTOMETRIC) == 0


def samples_of(image) -> Samples:
    """Reads what the file says of its samples, before Pillow decodes them and forgets it."""
    tags = dict(getattr(image, "tag_v2", {}))
    layout = str(image.tile[0][3]) if getattr(image, "tile", None) else ""
    stated = Levels(0, 65535) if image.format == "PPM" and image.mode == "I" else _stated_by(tags)
    return Samples(layout, tags, stated)


def is_deep(image, samples: Samples) -> bool:
    """Returns whether the image has one channel of more than 8 bits, or of signed numbers."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16") or (image.mode == "L" and samples.is_signed)


def to_bytes(image, samples: Samples, path, *, levels: tuple[float, float] | None, tell) -> Image.Image:
    """Scales the grey levels linearly, black to 0 and white to 255, and rounds; what lies outside is clipped.

    Args:
        image: a decoded image of one channel.
        samples: what its file says.
        path: the name of the file, for the messages.
        levels: black and white, if the user says them; they win over the file.
        tell: is called with what was assumed: "has ...".

    Raises:
        ValueError: a value is not finite, or what is black and white cannot be known.
    """
    values = _values(image, samples)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has pixels that are not finite numbers. Replace them, and save it anew.")
    low, high = float(values.min()), float(values.max())
    black, white, words = Levels(*levels) if levels else samples.levels or _usual(image, samples, path, low, high)
    if words:
        tell(words)
    if samples.is_white_zero and is_deep(image, samples):  # the others were turned by Pillow
        black, white = white, black
    with np.errstate(over="ignore"):  # what overflows is clipped below
        values -= np.float32(black)  # in place, for a picture may have 2^26 pixels
        values *= np.float32(255 / (white - black))
    return Image.fromarray(np.rint(values.clip(0, 255, out=values), out=values).astype(np.uint8))


def check_colours(image, samples: Samples, path) -> None:
    """Raises ValueError for colours of 16 bits that use few of them; Pillow keeps the upper 8 bits only."""
    brightest = max(high for _, high in image.getextrema()) if image.mode == "RGB" else 255
    if ";16" in samples.layout and 0 < brightest < 64:
        raise ValueError(
            f"{path} has 16 bits a colour, but the brightest pixel is {brightest} of 255, almost black: it seems to "
            "hold fewer bits in 16. Save it with 8 bits."
        )


def _values(image, samples) -> np.ndarray:
    values = np.asarray(image.convert("L") if image.mode == "1" else image)
    if image.mode == "L" and samples.is_signed:
        values = values.view(np.int8)
    if "I;32N" in samples.layout and not samples.is_signed:
        values = values.view(np.uint32)  # Pillow has no mode of unsigned numbers
    return values.astype(np.float32)


def _usual(image, samples, path, low, high) -> Levels:
    if image.mode == "L" and not samples.is_signed:
        return Levels(0, 255)
    if image.mode.startswith("I;16"):
        if 0 < high <= 65535 / 4:
            bits = int(high).bit_length()
            raise ValueError(
                f"{path} has 16 bits for a grey level, but its brightest pixel is {high:.0f} of 65535, almost black. "
                f"Pass --levels 0:{2**bits - 1} (in Python: levels=(0, {2**bits - 1})) if white is {2**bits - 1}, or "
                "--levels 0:65535 if it is so dark."
            )
        return Levels(0, 65535)
    kind, whites = ("floating-point", (1, 255, 65535)) if image.mode == "F" else ("32-bit", (255, 65535))
    white = next((white for white in whites if high <= white), math.inf)
    if low < 0 or not (white / 4 < high <= white or high == 0):
        raise ValueError(
            f"{path} has {kind} grey levels from {low:g} to {high:g}, and does not say which is black and which is "
            f"white. Say it: --levels={low:g}:{high:g} (in Python: levels=({low:g}, {high:g}))."
        )
    return Levels(
        0, white, f"has {kind} grey levels: 0 is taken for black, {white} for white; --levels says otherwise."
    )


def _stated_by(tags) -> Levels | None:
    """Returns what the tags of a TIFF file say of black and white.

    SMinSampleValue and SMaxSampleValue are the two. ImageJ writes into the description which levels it shows black
    and white. MaxSampleValue is the largest value that is used, so it tells the number of bits, 3012 that they are 12.
    """
    first = lambda tag: _number(tags.get(tag))
    low, high, bits = first(S_LEAST), first(S_MOST), first(BITS)
    shown = [re.search(rf"^{name}=(\S+)$", str(tags.get(DESCRIPTION, "")), re.MULTILINE) for name in ("min", "max")]
    if str(tags.get(DESCRIPTION, "")).startswith("ImageJ=") and all(shown):
        low, high = (_number(match[1]) for match in shown)
    if low is not None and high is not None and low < high:
        return Levels(low, high, f"says that {low:g} is black and {high:g} white; --levels says otherwise.")
    most, is_integer = first(MOST), tags.get(FORMAT, 1) in (1, (1,))
    if bits and bits > 8 and is_integer and most and 1 <= most < 2 ** (bits - 1):
        white = 2 ** int(most).bit_length() - 1
        words = f"says that its largest grey level is {most:g}: {white} is taken for white; --levels says otherwise."
        return Levels(0, white, words)
    return Levels(0, 2**bits - 1) if bits and 8 < bits < 16 else None


def _number(value) -> float | None:
    try:
        number = float(value[0] if isinstance(value, tuple) and value else value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
