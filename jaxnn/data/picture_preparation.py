"""A picture becomes one like the training images: of their size, and light on dark if they are.

`fit` keeps the aspect ratio. `prepare_as_mnist` repeats how the digits of MNIST were made:

    The original black and white (bilevel) images from NIST were size normalized to fit in a 20x20 pixel box while
    preserving their aspect ratio. [...] The images were centered in a 28x28 image by computing the center of mass of
    the pixels, and translating the image so as to position this point at the center of the 28x28 field.

(LeCun, Cortes and Burges, The MNIST database of handwritten digits, http://yann.lecun.com/exdb/mnist)
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from PIL import Image

Ground = Literal["dark", "light"]
_BOX, _FIELD, _MOST = 20, 28, 1024  # pixels of the digit, of the image, of a photograph
_ALIKE = 8  # levels of 255 that look alike
_DUST = 0.02  # of the largest piece of a digit


def ground_of(pixels: np.ndarray) -> Ground | None:
    """Returns whether a picture shows something on a dark or on a light ground; None if that cannot be told.

    The ground is what the border shows. It is dark if the median of the pixels on the border lies in the lower third
    between the darkest and the brightest level of the picture, and light if it lies in the upper third.

    Args:
        pixels: (height, width) or (height, width, channels).

    >>> pixels = np.full((28, 28), 250)
    >>> pixels[10:18, 12:15] = 30
    >>> ground_of(pixels)
    'light'
    """
    step = max(1, min(pixels.shape[:2]) // 512)  # of a photograph some pixels are enough
    low, high = np.percentile(_grey(pixels[::step, ::step]), [0.1, 99.9])  # a few wrong pixels do not count
    level = np.median(_grey(_border(pixels)[:, None]))
    if level < low + (high - low) / 3:
        return "dark"
    return "light" if level > high - (high - low) / 3 else None


def ground_of_all(images: np.ndarray) -> Ground | None:
    """Returns the ground that at least 90 % of the images share, of which the first 500 are asked; None without one.

    Args:
        images: (examples, height, width, channels).
    """
    grounds = [ground_of(image) for image in np.asarray(images[:500])]
    return next((one for one in ("dark", "light") if grounds.count(one) >= 0.9 * len(grounds) > 0), None)


def is_blank(pixels: np.ndarray) -> bool:
    """Returns whether nothing can be seen: all levels lie within 8 of 255.

    >>> is_blank(np.full((28, 28), 7)), is_blank(np.eye(28) * 255)
    (True, False)
    """
    return int(pixels.max()) - int(pixels.min()) <= _ALIKE


def fit(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Resamples a picture (Lanczos) to the largest that the shape holds, in the middle; around it its border goes on.

    The aspect ratio is kept. What is left free has the median colour of the border of the picture.

    Args:
        pixels: uint8 (height, width, channels).
        shape: (height, width, channels) to fill.

    >>> fit(np.zeros((56, 28, 1), np.uint8), (28, 28, 1)).shape
    (28, 28, 1)
    """
    height, width, channels = shape
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    size = [max(1, round(scale * side)) for side in pixels.shape[:2]]
    filled = np.empty(shape, np.uint8)
    filled[:] = np.median(_border(pixels), axis=0)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    small = _resampled(pixels, size, Image.Resampling.LANCZOS)
    filled[top : top + size[0], left : left + size[1]] = small.reshape(*size, channels)
    return filled


def prepare_as_mnist(pixels: np.ndarray, shape: tuple[int, int, int] = (_FIELD, _FIELD, 1)) -> np.ndarray:
    """Makes an image as those of MNIST of a picture of one digit, light on dark.

    The ground becomes 0 and the digit 255. The smallest box that holds the digit is resampled to 20 of 28 pixels at its
    longer side, and its centre of mass, rounded, is placed at pixel (14, 14), where that of every image of MNIST lies.

    Args:
        pixels: uint8 (height, width, 1), light on dark.
        shape: (height, width, 1) of the image; the box is 20/28 of the shorter side.

    Returns:
        The uint8 image; it is black if nothing stands out in the picture.

    >>> image = np.zeros((100, 80, 1), np.uint8)
    >>> image[10:50, 60:66] = 200
    >>> rows, columns = np.nonzero(prepare_as_mnist(image)[:, :, 0])
    >>> int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
    (20, 3)
    """
    small = Image.fromarray(pixels[:, :, 0])
    small.thumbnail((_MOST, _MOST), Image.Resampling.BOX)
    ink = _bilevel(np.asarray(small, np.float32))
    if not ink.any():
        return np.zeros(shape, np.uint8)
    ink = _without_specks(ink)
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = _BOX * min(shape[:2]) / _FIELD
    size = [max(1, round(box * side / max(ink.shape))) for side in ink.shape]
    digit = _resampled(np.rint(255 * ink).astype(np.uint8), size, Image.Resampling.HAMMING)
    digit = np.rint(digit * (255 / max(digit.max(), 1))).astype(np.uint8)  # thin strokes become grey in so few pixels
    return _centred(digit, shape[:2])[:, :, None]


def _bilevel(grey: np.ndarray) -> np.ndarray:
    """Returns 0 on the ground and 1 on what is drawn, with a ramp between them where the pixels are mixed.

    The light on a sheet of paper is not even, so the ground is a plane, fitted to the border by least squares. What is
    drawn is above half of the highest level over it.
    """
    height, width = grey.shape
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([np.ones_like(rows), rows / height, columns / width], axis=-1).astype(np.float32)
    plane, *_ = np.linalg.lstsq(_border(places), _border(grey))
    ink = grey - places @ plane
    half = ink.max() / 2
    if half <= _ALIKE / 2:
        return np.zeros_like(ink)
    return np.clip((ink - half) / ink[ink >= half].mean() + 0.5, 0, 1)


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Returns the ink without pieces that are small beside the largest: dust, which would enlarge the box of the digit.

    Pieces are told apart on a grid of at most 128 x 128 cells, to which the ink in them is added up.
    """
    step = -(-max(ink.shape) // 128)
    blocks = np.pad(ink, [(0, -side % step) for side in ink.shape])
    blocks = blocks.reshape(blocks.shape[0] // step, step, blocks.shape[1] // step, step)
    cells, kept = blocks.sum((1, 3)), np.zeros((blocks.shape[0], blocks.shape[2]))
    pieces = list(_pieces(blocks.max((1, 3)) > 0.5))
    masses = [cells[piece].sum() for piece in pieces]
    for piece, mass in zip(pieces, masses, strict=True):
        kept[piece] = mass >= _DUST * max(masses)
    return ink * kept.repeat(step, 0).repeat(step, 1)[: ink.shape[0], : ink.shape[1]]


def _pieces(cells: np.ndarray) -> Iterator[tuple]:
    """Yields the indices of the true cells that hang together, by sides or corners."""
    left = {*map(tuple, np.argwhere(cells).tolist())}
    while left:
        piece, reached = [], [left.pop()]
        while reached:
            row, column = reached.pop()
            piece.append((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            reached += near
        yield tuple(zip(*piece, strict=True))


def _centred(digit: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Places the centre of mass, in whole pixels, at shape / 2, as far as the digit stays inside."""
    image, mass, corner = np.zeros(shape, np.uint8), max(digit.sum(dtype=np.float64), 1), []
    for axis, side in enumerate(shape):
        centre = (digit.sum(1 - axis, dtype=np.float64) * np.arange(digit.shape[axis])).sum() / mass
        corner.append(int(np.clip(round(side / 2 - centre), 0, side - digit.shape[axis])))
    image[corner[0] : corner[0] + digit.shape[0], corner[1] : corner[1] + digit.shape[1]] = digit
    return image


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 2 else pixels.mean(2)


def _border(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _resampled(pixels: np.ndarray, size, how) -> np.ndarray:
    image = Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize((size[1], size[0]), how))
