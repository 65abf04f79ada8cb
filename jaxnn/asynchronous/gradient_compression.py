"""Codecs compress gradients for the network, to the largest coordinates or to eight bits, and send the error later.

A codec packs one array and unpacks it again; `TopK` and `EightBits` lose a part of it. *Error feedback* keeps the lost
part e at the sender and adds it to the next gradient g (Seide et al. 2014, 1-bit SGD; Karimireddy et al. 2019, arXiv
1901.09847):

    c = g + e,      message = pack(c),      e <- c - unpack(message)

So the sum of all received messages plus the last e is the sum of all gradients: nothing is lost, only delayed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Sparse(NamedTuple):
    """Holds an array that has `values` at the flat `indices` and 0 elsewhere."""

    indices: jax.Array
    values: jax.Array


class Quantized(NamedTuple):
    """Holds an array as `scale` times `levels`, which are whole numbers from -127 to 127."""

    levels: jax.Array
    scale: jax.Array


@dataclass(frozen=True)
class Exact:
    """Sends arrays unchanged, with four bytes for a float32.

    >>> Exact().unpack(Exact().pack(jnp.ones(2), None), jnp.zeros(2)).tolist()
    [1.0, 1.0]
    """

    def pack(self, array, key):
        return array

    def unpack(self, packed, like):
        return packed


@dataclass(frozen=True)
class TopK:
    """Sends the k = fraction d coordinates of largest magnitude of d coordinates, at least one.

    Each takes eight bytes (Aji and Heafield 2017, arXiv 1704.05021; with memory, Stich et al. 2018, arXiv 1809.07599).
    The codec contracts, which error feedback needs:

        |c - unpack(pack(c))|^2  <=  (1 - k/d) |c|^2

    Among equal magnitudes the first ones are sent. Below fraction 1/2 it takes fewer bytes than `Exact`.

    Raises:
      ValueError: a fraction that is not in (0, 1].

    >>> packed = TopK(0.5).pack(jnp.array([3.0, -1.0, 0.5, -4.0]), None)
    >>> TopK(0.5).unpack(packed, jnp.zeros(4)).tolist()
    [3.0, 0.0, 0.0, -4.0]
    """

    fraction: float = 0.01

    def __post_init__(self):
        if not 0 < self.fraction <= 1:
            raise ValueError(f"`fraction` must be greater than 0 and at most 1; received {self.fraction}.")

    def pack(self, array, key):
        flat = array.reshape(-1)
        _, indices = lax.top_k(jnp.abs(flat), self.kept(array.size))
        return Sparse(indices.astype(jnp.int32), flat[indices])

    def unpack(self, packed, like):
        flat = jnp.zeros(like.size, packed.values.dtype)
        return flat.at[packed.indices].set(packed.values).reshape(like.shape)

    def kept(self, size: int) -> int:
        """Returns how many of `size` coordinates are sent.

        >>> TopK(0.01).kept(784), TopK(0.01).kept(10)
        (8, 1)
        """
        return min(size, max(1, round(self.fraction * size)))


@dataclass(frozen=True)
class EightBits:
    """Sends one byte for each coordinate: a level, in units of scale = max|c| / 127, with one scale for each array.

    A coordinate is rounded to the nearest level or, with `stochastic`, randomly up or down:

        level = floor(c / scale + u),      u = 1/2, or with `stochastic` uniform on [0, 1)

    Rounding to the nearest has an error of at most scale / 2. Random rounding (QSGD, Alistarh et al. 2016, arXiv
    1610.02132) has an error of less than scale and is right on average. So it needs no feedback to be unbiased, but its
    variance is larger. An array with a NaN or an infinity is unpacked as all NaN, so that a divergence stays visible.

    >>> packed = EightBits().pack(jnp.array([1.27, -0.5, 0.004]), None)
    >>> packed.levels.tolist(), packed.levels.dtype
    ([127, -50, 0], dtype('int8'))
    """

    stochastic: bool = False

    def pack(self, array, key):
        scale = jnp.max(jnp.abs(array), initial=0) / 127
        shift = jax.random.uniform(key, array.shape, array.dtype) if self.stochastic else 0.5
        levels = jnp.floor(array / jnp.where(scale > 0, scale, 1) + shift)
        scale = jnp.where(jnp.isfinite(scale), scale, jnp.nan)
        return Quantized(jnp.clip(levels, -127, 127).astype(jnp.int8), scale)

    def unpack(self, packed, like):
        return packed.levels.astype(packed.scale.dtype) * packed.scale


Codec = Exact | TopK | EightBits
EXACT = Exact()


def compress(codec: Codec, grads: Any, residual: Any, key) -> tuple[Any, Any]:
    """Packs gradient plus residual; returns `(message, residual)` with the lost part as the residual for the next call.

    Args:
      codec: one of the codecs above.
      grads: a pytree of arrays.
      residual: a tree like `grads`; zeros at first.
      key: for codecs that draw random numbers; each array has its own key, folded from this one.

    >>> grads, none = {"w": jnp.array([3.0, 1.0])}, {"w": jnp.zeros(2)}
    >>> message, residual = compress(TopK(0.5), grads, none, jax.random.key(0))
    >>> residual["w"].tolist()
    [0.0, 1.0]
    """
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.add, grads, residual))
    packed = [codec.pack(leaf, jax.random.fold_in(key, i)) for i, leaf in enumerate(leaves)]
    left = [leaf - codec.unpack(message, leaf) for leaf, message in zip(leaves, packed, strict=True)]
    return tree.unflatten(packed), tree.unflatten(left)


def decompress(codec: Codec, message: Any, like: Any) -> Any:
    """Unpacks a message to the gradient that was received, in the structure and shapes of `like`."""
    return jax.tree.map(lambda leaf, packed: codec.unpack(packed, leaf), like, message)


def message_bytes(message: Any) -> int:
    """Counts the bytes of the arrays in a message.

    >>> message_bytes(compress(EightBits(), jnp.ones(100), jnp.zeros(100), jax.random.key(0))[0])  # and one scale
    104
    """
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(message))
