"""Preprocessing: pure functions of a batch's input, run inside the compiled step, the same in training and use."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Standardize:
    """`(pixel / 255 - mean) / std` per channel, for uint8 NHWC images; floats are taken to be in [0, 1] already.

    >>> Standardize((0.5,), (0.25,))(jnp.full((1, 1, 1, 1), 255, jnp.uint8)).tolist()
    [[[[2.0]]]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images):
        mean, std = np.asarray(self.mean), np.asarray(self.std) * (255 if images.dtype == jnp.uint8 else 1)
        scale, shift = (1 / std).astype(np.float32), (-mean / np.asarray(self.std)).astype(np.float32)
        return images.astype(jnp.float32) * scale[None, None, None] + shift[None, None, None]


def as_float(x):
    """Bytes to [0, 1]; anything else unchanged.

    >>> as_float(jnp.array([255], jnp.uint8)).tolist()
    [1.0]
    """
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


@dataclass(frozen=True)
class PaddedRange:
    """Pixels from [0, 255] to [low, high], then a border of `low`, `pixels` wide: LeNet-5's input of 1998.

    LeCun et al. make 28 x 28 images 32 x 32, background -0.1 and foreground 1.175: mean about 0, variance about 1.

    >>> image = PaddedRange(1, -0.1, 1.175)(jnp.full((1, 1, 1, 1), 255, jnp.uint8))[0, :, :, 0]
    >>> [round(float(pixel), 3) for pixel in image[1]]
    [-0.1, 1.175, -0.1]
    """

    pixels: int
    low: float
    high: float

    def __call__(self, images):
        scaled = self.low + (self.high - self.low) * as_float(images)
        border = (self.pixels, self.pixels)
        return jnp.pad(scaled, ((0, 0), border, border, (0, 0)), constant_values=self.low)
