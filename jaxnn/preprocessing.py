"""Preprocessing: pure functions of a batch's input, run inside the compiled step, the same in training and use."""

from dataclasses import dataclass

import jax.numpy as jnp


@dataclass(frozen=True)
class Standardize:
    """`(pixel / 255 - mean) / std` per channel, for uint8 NHWC images; floats are taken to be in [0, 1] already.

    >>> Standardize((0.5,), (0.25,))(jnp.full((1, 1, 1, 1), 255, jnp.uint8)).tolist()
    [[[[2.0]]]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images):
        scale = 255.0 if images.dtype == jnp.uint8 else 1.0
        mean, std = (jnp.asarray(value, jnp.float32) for value in (self.mean, self.std))
        return (images.astype(jnp.float32) / scale - mean) / std


def as_float(x):
    """Bytes to [0, 1]; anything else unchanged.

    >>> as_float(jnp.array([255], jnp.uint8)).tolist()
    [1.0]
    """
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x
