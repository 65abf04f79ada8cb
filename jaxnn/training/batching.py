"""Batches of one fixed shape: an order of examples, cut into rows and filled up where it does not come out even.

A filler is a real example, so that batch statistics see real data, but it counts for nothing: example e stands as
`-1 - e`, and the mask is False there.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.training.key_streams import stream_key


@dataclass(frozen=True)
class Shuffle:
    """`shuffle(key, epoch)`: the order of an epoch, (steps, batch) int32, a permutation drawn from these two alone."""

    examples: int
    batch_size: int

    def __call__(self, key, epoch):
        return _rows(permutation(stream_key(key, "order", epoch), self.examples), self.batch_size)


def permutation(key, n: int):
    """A random permutation of 0, ..., n - 1: the indices sorted by 32 random bits each, int32.

    As radix sort does it, a few bits at a time from the lowest on, each word holding random bits above an index. A sort
    of single words is five times faster on CPU than one that carries indices along, as in `jax.random.permutation`.

    >>> sorted(permutation(jax.random.key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    index_bits = max(1, (n - 1).bit_length())
    if index_bits > 24:
        return jax.random.permutation(key, n)
    order = index = jnp.arange(n, dtype=jnp.uint32)
    for digit in range(-(-32 // (32 - index_bits))):
        bits = jax.random.bits(jax.random.fold_in(key, digit), (n,), jnp.uint32)
        places = jnp.sort((bits << index_bits) | index) & ((1 << index_bits) - 1)
        order = order[places]
    return order.astype(jnp.int32)


def plain_order(*, examples: int, batch_size: int):
    """The examples as they come, (steps, batch) int32, a NumPy array.

    >>> plain_order(examples=5, batch_size=2).tolist()  # the last row is filled up with example 0
    [[0, 1], [2, 3], [4, -1]]
    """
    return _rows(np.arange(examples), batch_size)


def take_batch(data, indices):
    """The rows `indices` of every array, and the mask that is False at the fillers."""
    rows = jnp.where(indices < 0, -1 - indices, indices)
    return {name: array[rows] for name, array in data.items()} | {"mask": indices >= 0}


def first_example(data) -> dict[str, np.ndarray]:
    """The first row of every array, copied: a view would keep the whole split alive as long as itself."""
    return {name: np.array(array[:1]) for name, array in data.items()}


def count_examples(data, fields: tuple[str, ...] = ()) -> int:
    """The common length of the arrays of a split.

    Raises:
      ValueError: no arrays, none with a first axis, or of different lengths; none of a name in `fields`, or one named
        "mask".
    """
    if "mask" in data:
        raise ValueError("`data` must not have a field 'mask', the name of a batch's padding mask. Rename the field.")
    if not set(fields) <= set(data):
        raise ValueError(
            f"`data` must have the fields {list(fields)}; received {sorted(data)}. Pass `fields=` to rename."
        )
    lengths = {name: len(array) for name, array in data.items() if np.ndim(array)}
    if len(lengths) < len(data) or len(set(lengths.values())) != 1 or not max(lengths.values()):
        shapes = {name: np.shape(array) for name, array in data.items()}
        raise ValueError(f"`data` must hold arrays of one common, positive length; received shapes {shapes}.")
    return next(iter(lengths.values()))


def check_batch_size(batch_size: int, examples: int) -> None:
    """Raises ValueError unless 1 <= batch_size <= examples."""
    if not 1 <= batch_size <= examples:
        raise ValueError(
            f"`batch_size` must be between 1 and the number of examples, {examples}; received {batch_size}."
        )


def _rows(order, batch_size):
    order, numpy = order.astype(np.int32), np if isinstance(order, np.ndarray) else jnp
    fillers = -1 - order[np.arange(-len(order) % batch_size) % len(order)]
    return numpy.concatenate([order, fillers]).reshape(-1, batch_size)
