"""A run has one random key, from which the key of each stream at each step is derived.

The key of a run is never split and never changed, so that any step can be replayed, and a resumed run draws the same
numbers.
"""

import numbers
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

STREAMS = {"init": 0, "order": 1, "dropout": 2, "augmentation": 3}  # any other name gets a number by its letters


def stream_key(key, stream: str, step):
    """Returns the key of one stream at one step, `fold_in(fold_in(key, stream), step)`, so any step can be replayed.

    A stream is any name, such as "dropout", "noise" or "sampling"; each name has keys of its own.
    """
    number = STREAMS[stream] if stream in STREAMS else zlib.crc32(stream.encode()) | 2**31  # not one of STREAMS
    return jax.random.fold_in(jax.random.fold_in(key, number), step)


class Keys(NamedTuple):
    """Holds the keys of one step, one for each stream: `keys["dropout"]`, `keys["noise"]`, or any other name.

    key: the key of the run, None if there is none. step: the step to which the keys belong. part: the number of the
    device, if each device draws for its own part of a batch.
    """

    key: jax.Array | None
    step: jax.Array | int
    part: jax.Array | None = None

    def __getitem__(self, stream):
        if self.key is None:
            raise ValueError(f"a key for {stream!r} must come from a state with a `key`; received a state without one.")
        key = stream_key(self.key, stream, self.step)
        return key if self.part is None else jax.random.fold_in(key, self.part)

    def get(self, stream):
        """Returns the key of a stream, or None if there are no keys."""
        return None if self.key is None else self[stream]


NO_KEYS = Keys(None, 0)


def as_key(key):
    """Returns a typed key, from a typed key or an integer seed.

    Raises:
      ValueError: a raw key, such as `jax.random.PRNGKey` makes, a seed of more than 32 bits, or anything else.
    """
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and not key.shape:
        return jnp.copy(key)
    is_number = isinstance(key, numbers.Integral | np.ndarray | jax.Array) and not isinstance(key, bool)
    if not is_number or jnp.ndim(key) or not jnp.issubdtype(jnp.result_type(key), jnp.integer):
        raise ValueError(
            f"`key` must be an integer seed or a typed key, jax.random.key(0); received {_described(key)}. Of a raw "
            "key jax.random.wrap_key_data makes a typed one."
        )
    if isinstance(key, numbers.Integral) and not -(2**31) <= key < 2**32:  # JAX would use only the last 32 bits
        raise ValueError(f"`key` must be a seed of 32 bits; received {key}.")
    return jax.random.key(key)


def _described(key):
    return f"an array of {key.dtype}{list(key.shape)}" if hasattr(key, "dtype") else repr(key)
