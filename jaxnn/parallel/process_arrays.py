"""Several processes that run one program use these functions to place arrays, gather them and agree on numbers.

Every process must call such a function at the same point of the program; otherwise none of the calls returns. With one
process the functions need no communication.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils


def put(tree, shardings):
    """Places arrays that all processes hold alike by their shardings; a process supplies the parts of its own devices.

    Args:
      tree: a tree of NumPy or JAX arrays; arrays that an earlier call returned are allowed.
      shardings: a tree of the same structure, with a sharding at each leaf.
    """
    if all(sharding.is_fully_addressable for sharding in jax.tree.leaves(shardings)):
        return jax.device_put(tree, shardings)
    return jax.tree.map(_put, tree, shardings)


def gather(tree):
    """Returns every array whole in this process: as a device's copy where there is one, else in the host's memory.

    An array that is divided among processes is whole on a device for a moment, one array at a time.
    """
    return jax.tree.map(_gather, tree)


def largest(*numbers: float, devices) -> tuple[float, ...]:
    """Returns the exact maximum of each number over all processes; over this one if it owns all the devices."""
    if all(device.process_index == jax.process_index() for device in devices):
        return numbers
    bits = np.array(numbers, np.float64).view(np.uint32)  # JAX would round float64 to float32
    return tuple(multihost_utils.process_allgather(bits).view(np.float64).max(axis=0).tolist())


def _put(leaf, sharding):
    """Places one array. `jax.device_put` is avoided: it would first compare the array across all processes."""
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
