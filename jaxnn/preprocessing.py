"""Preprocessing is a pure function of a batch's input that runs inside the compiled step, in training and in use.

Images of uint8 have values from 0 to 255, images of uint16 from 0 to 65535, and booleans 0 and 1. Floats are used
unchanged. Other integers could be tokens or pixels, so they raise ValueError; `identity` leaves tokens unchanged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

_Numbers = float | Sequence[float] | np.ndarray | jax.Array
_LARGEST = {"bool": 1, "uint8": 255, "uint16": 65535}


@dataclass(frozen=True)
class Standardize:
    """Standardizes images: computes `(x - mean) / std` per channel, with x in [0, 1] as from `as_float`.

    The channels are the last axis.

    Args:
      mean, std: a number for each channel, or one for all; any sequence, or an array.

    Raises:
      ValueError: different numbers of means and deviations, a mean that is not finite, a deviation that is not
        positive, images with another number of channels, or images of integers without a known range.

    >>> Standardize((0.5,), (0.25,))(jnp.full((1, 1, 1, 1), 255, jnp.uint8)).tolist()
    [[[[2.0]]]]
    """

    mean: _Numbers
    std: _Numbers

    def __post_init__(self):
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(float(x) for x in np.ravel(getattr(self, name))))
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"`mean` and `std` must have a number for each channel; received {len(self.mean)} and {len(self.std)}."
            )
        if not all(map(math.isfinite, self.mean)) or not all(0 < x < math.inf for x in self.std):
            raise ValueError(
                f"`mean` must be finite and `std` positive; received {self.mean} and {self.std}. A channel that never "
                "changes has std 0: take 1."
            )

    def __call__(self, images):
        channels = len(self.mean)
        if channels not in (1, *images.shape[-1:]):
            raise ValueError(
                f"`images` must have the {channels} channels of `mean` as their last axis; received shape "
                f"{images.shape}."
            )
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        shape = (1,) * (images.ndim - 1) + (channels,)
        scale = (1 / (std * _largest_value(images.dtype))).astype(np.float32).reshape(shape)
        return images.astype(jnp.float32) * scale + (-mean / std).astype(np.float32).reshape(shape)


def as_float(x):
    """Converts uint8, uint16 and booleans to float32 in [0, 1]; returns floats unchanged.

    Raises:
      ValueError: `x` has another dtype of integers.

    >>> as_float(jnp.array([255], jnp.uint8)).tolist()
    [1.0]
    """
    largest = _largest_value(x.dtype)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32) / largest


def identity(x):
    """Returns the inputs unchanged: for tokens, or for inputs that the model prepares itself.

    >>> identity(jnp.array([3, 7])).tolist()
    [3, 7]
    """
    return x


@dataclass(frozen=True)
class PaddedRange:
    """Scales pixels in [0, 1], as from `as_float`, to [low, high] and adds a border of value `low`, `pixels` wide.

    This is the preprocessing of LeNet-5 (LeCun et al. 1998): 28 x 28 images become 32 x 32, with background -0.1 and
    foreground 1.175, so that the mean is about 0 and the variance about 1.

    Raises:
      ValueError: a negative border, or `low` that is not less than `high`.

    >>> image = PaddedRange(1, -0.1, 1.175)(jnp.full((1, 1, 1, 1), 255, jnp.uint8))[0, :, :, 0]
    >>> [round(float(pixel), 3) for pixel in image[1]]
    [-0.1, 1.175, -0.1]
    """

    pixels: int
    low: float
    high: float

    def __post_init__(self):
        if self.pixels < 0 or not -math.inf < self.low < self.high < math.inf:
            raise ValueError(
                "`pixels` must be at least 0, and `low` less than `high`; received "
                f"{self.pixels}, {self.low} and {self.high}."
            )

    def __call__(self, images):
        scaled = self.low + (self.high - self.low) * as_float(images)
        border = (self.pixels, self.pixels)
        return jnp.pad(scaled, ((0, 0), border, border, (0, 0)), constant_values=self.low)


def _largest_value(dtype) -> int:
    """Returns the value that means 1 in images of a dtype; raises ValueError for integers without a known range."""
    name = np.dtype(dtype).name
    if name not in _LARGEST and not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(
            f"inputs of integers must be uint8, uint16 or bool, whose range is known; received {name}. Pixels from 0 "
            "to 255: x.astype(np.uint8). Tokens: preprocess=jaxnn.preprocessing.identity."
        )
    return _LARGEST.get(name, 1)
