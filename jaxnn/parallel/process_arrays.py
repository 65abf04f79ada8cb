"""Arrays and numbers of several processes that run one program: put by all, gathered by all, agreed upon by all.

Each function here is called by every process at the same point of the program, or none of them returns. In one process
they need no communication.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils


def put(tree, shardings):
    """Arrays that every process has alike, each where its sharding says; a process brings what its own devices keep.

    Args:
      tree: of NumPy or JAX arrays, those of earlier calls among them.
      shardings: a tree like it.
    """
    if all(sharding.is_fully_addressable for sharding in jax.tree.leaves(shardings)):
        return jax.device_put(tree, shardings)
    return jax.tree.map(_put, tree, shardings)


def gather(tree):
    """Every array whole in this process: a device's copy where it has one, else in the host's memory.

    What is divided among processes is whole on a device for a moment, one array at a time.
    """
    return jax.tree.map(_gather, tree)


def largest(*numbers: float, devices) -> tuple[float, ...]:
    """The largest of each number over all processes, exactly; of this one alone if the devices are its own."""
    if all(device.process_index == jax.process_index() for device in devices):
        return numbers
    bits = np.array(numbers, np.float64).view(np.uint32)  # JAX would round doubles
    return tuple(multihost_utils.process_allgather(bits).view(np.float64).max(axis=0).tolist())


def _put(leaf, sharding):
    """`jax.device_put` would first compare over all processes what each of them has."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        bits = _put(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _gather(leaf):
    if not isinstance(leaf, jax.Array):
        return leaf
    if leaf.is_fully_replicated:
        return leaf.addressable_data(0)
    return np.asarray(leaf) if leaf.is_fully_addressable else multihost_utils.process_allgather(leaf, tiled=True)
