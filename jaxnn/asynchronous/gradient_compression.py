"""Gradients made small for the network: the largest coordinates, or eight bits each, and the error sent later.

A codec packs one array and unpacks it; both lose something. *Error feedback* keeps what was lost at the sender and adds
it to what is sent next (Seide et al. 2014, 1-bit SGD; Karimireddy et al. 2019, arXiv 1901.09847):

    c = g + e,      message = pack(c),      e <- c - unpack(message)

so that the sum of all that was received and of the last e is the sum of all gradients: nothing is lost, only delayed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Sparse(NamedTuple):
    """`values` at the flat `indices`; 0 elsewhere."""

    indices: jax.Array
    values: jax.Array


class Quantized(NamedTuple):
    """`scale` times `levels`, whole numbers of -127 to 127."""

    levels: jax.Array
    scale: jax.Array


@dataclass(frozen=True)
class Exact:
    """Arrays as they are, four bytes a float32.

    >>> Exact().unpack(Exact().pack(jnp.ones(2), None), jnp.zeros(2)).tolist()
    [1.0, 1.0]
    """

    def pack(self, array, key):
        return array

    def unpack(self, packed, like):
        return packed


@dataclass(frozen=True)
class TopK:
    """The k = fraction d largest of d coordinates by magnitude, at least one, eight bytes each (Aji and Heafield 2017,
    arXiv 1704.05021; with memory, Stich et al. 2018, arXiv 1809.07599). It contracts, which is what feedback needs:

        |c - unpack(pack(c))|^2  <=  (1 - k/d) |c|^2

    Of equal magnitudes those that stand first are sent. Below fraction 1/2 it takes fewer bytes than `Exact`.

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
        """How many of `size` coordinates are sent.

        >>> TopK(0.01).kept(784), TopK(0.01).kept(10)
        (8, 1)
        """
        return min(size, max(1, round(self.fraction * size)))


@dataclass(frozen=True)
class EightBits:
    """A byte a coordinate: levels of max|c| / 127 (one scale an array), to the nearest, or up or down by chance:

        level = floor(c / scale + u),      u = 1/2, or uniform on [0, 1)

    The nearest is off by at most scale / 2. By chance (QSGD, Alistarh et al. 2016, arXiv 1610.02132) it is off by less
    than scale and right on average, so that it needs no feedback to be unbiased, and has the larger variance.
    Where an array has a NaN or an infinity, all of it is unpacked as NaN: a divergence stays visible.

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
    """`(message, residual)`: what is sent of gradient plus residual, and what is left of it for the next time.

    Args:
      codec: one of the above.
      grads: a pytree of arrays.
      residual: as grads; zeros at first.
      key: for codecs that draw; each array has its own, folded from it.

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
    """The gradient as it is received, in the structure and shapes of `like`."""
    return jax.tree.map(lambda leaf, packed: codec.unpack(packed, leaf), like, message)


def message_bytes(message: Any) -> int:
    """Bytes of a message's arrays.

    >>> message_bytes(compress(EightBits(), jnp.ones(100), jnp.zeros(100), jax.random.key(0))[0])  # and one scale
    104
    """
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(message))
