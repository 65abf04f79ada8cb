"""These functions cut an order of examples into batches of one fixed shape, and pad the last batch.

Padding is made of real examples, so that batch statistics see real data, but it counts for nothing: example e is
written as `-1 - e` there, and the mask is False.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.training.key_streams import stream_key


def shuffled_order(examples: int, batch_size: int, key, epoch):
    """Draws the order of an epoch, (steps, batch) int32: a permutation that depends on the key and the epoch alone."""
    return _rows(permutation(stream_key(key, "order", epoch), examples), batch_size)


def permutation(key, n: int):
    """Draws a random permutation of 0, ..., n - 1, int32: it sorts the indices by 32 random bits each.

    Like radix sort, it sorts by a few bits at a time, the lowest bits first; each word holds random bits above an
    index. On CPU a sort of single words is five times faster than a sort that carries the indices along, as in
    `jax.random.permutation`, which is used for more than 2^24 examples.

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
    """Returns the order of the data without a shuffle, (steps, batch) int32, a NumPy array.

    >>> plain_order(examples=5, batch_size=2).tolist()  # the last row is filled up with example 0
    [[0, 1], [2, 3], [4, -1]]
    """
    return _rows(np.arange(examples), batch_size)


def take_batch(data, indices):
    """Returns the rows `indices` of every array, and the mask, which is False at padding."""
    rows = jnp.where(indices < 0, -1 - indices, indices)
    return {name: array[rows] for name, array in data.items()} | {"mask": indices >= 0}


def first_example(data) -> dict[str, np.ndarray]:
    """Copies the first row of every array; a view would keep the whole split in memory."""
    return {name: np.array(array[:1]) for name, array in data.items()}


def count_examples(data, fields: tuple[str, ...] = ()) -> int:
    """Returns the common length of the arrays of a split.

    Raises:
      ValueError: no arrays, an array without a first axis, different lengths, lengths of 0, a name in `fields` that
        `data` lacks, or a field named "mask".
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
