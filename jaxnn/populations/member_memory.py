"""These functions compute how many members fit: the memory of one member, and the free memory of the devices."""

import math

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxnn.machine_memory import available_memory

SHARE = 0.5  # part of the free memory that a population may fill
MOST_ON_CPU, MOST_ON_CPU_DEVICE = 16, 8  # members in a chunk: their parameters should stay in the cores' caches
MOST = 4096


def size_of(tree) -> int:
    """Returns the bytes of the arrays of a tree; shapes with dtypes are enough."""
    leaves = jax.tree.leaves(tree)
    return sum(math.prod(leaf.shape) * np.dtype(_plain(leaf.dtype)).itemsize for leaf in leaves)


def working_size(jaxpr) -> int:
    """Returns the bytes of all intermediate results of a program: an upper bound of its memory beside its arguments."""
    own = sum(_aval_size(var.aval) for equation in jaxpr.eqns for var in equation.outvars)
    return own + sum(working_size(inner) for equation in jaxpr.eqns for inner in jaxprs_in_params(equation.params))


def free_memory(device) -> int:
    """Returns the bytes that are free on a device; on CPU, in this process's share of the machine."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return available_memory()


def choose_chunk(
    members: int,
    *,
    state: int,
    working: int,
    memory: int,
    devices: int,
    platform: str,
    one_at_a_time: bool = False,
    wanted: int | None = None,
) -> int:
    """Returns the number of members in a chunk: as many as fit, in chunks of one size, a multiple of the devices.

    Args:
      members: number of members in the group.
      state, working: bytes that a member keeps, and bytes that it needs during its step.
      memory: bytes that may be filled on each device.
      devices: number of devices.
      platform: on "cpu" chunks have a small upper limit, too.
      one_at_a_time: whether only one member of a device is stepped at any moment.
      wanted: the chunk that the user asks for; None: it is chosen.

    Raises:
      ValueError: not even one member a device fits, or not as many as wanted.

    >>> choose_chunk(100, state=10**5, working=10**6, memory=10**9, devices=2, platform="cpu")  # 7 chunks
    16
    """
    if state + working > memory:
        raise ValueError(
            f"one member needs about {(state + working) / 2**20:.3g} MiB ({state / 2**20:.3g} for its state, "
            f"{working / 2**20:.3g} for a step); {memory / 2**20:.3g} MiB may be filled. Take a smaller batch or "
            "model, or pass `memory=` if more is free."
        )
    fitting = max(1, (memory - working) // state if one_at_a_time else memory // (state + working)) * devices
    if wanted is not None:
        return _wanted(wanted, fitting, devices)
    most = min(fitting, max(MOST_ON_CPU, MOST_ON_CPU_DEVICE * devices) if platform == "cpu" else MOST)
    even = math.ceil(members / math.ceil(members / most))
    return math.ceil(even / devices) * devices


def _wanted(chunk: int, fitting: int, devices: int) -> int:
    if chunk > fitting:
        raise ValueError(f"`chunk` must be at most the {fitting} members that fit into memory; received {chunk}.")
    return math.ceil(chunk / devices) * devices


def _aval_size(aval) -> int:
    return math.prod(aval.shape) * np.dtype(_plain(aval.dtype)).itemsize if hasattr(aval, "shape") else 0


def _plain(dtype):
    """Returns the dtype, or uint64 for a typed key: a key counts as its two 32-bit words."""
    return np.uint64 if jax.dtypes.issubdtype(dtype, jax.dtypes.extended) else dtype
