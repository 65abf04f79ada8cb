"""One program for many members: `vmap` where members share a fast batched form, `lax.map` where they do not.

Each device takes its share of the members (`shard_map`), and none needs to hear of another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnn.naming import unknown

MAPPINGS = ("vmap", "map")
AXIS = "members"


@dataclass(frozen=True)
class OverMembers:
    """`function` of one member, of a whole chunk. A value, so that equal ones share what was compiled.

    Args:
      function: of as many arguments as `is_own`.
      is_own: which arguments have a first axis of members; the others are the same for all.
      mapping: "vmap", or "map": one member after the other.
      devices: over which members are spread; their number divides that of the members.
    """

    function: Callable
    is_own: tuple[bool, ...]
    mapping: str
    devices: tuple[Any, ...]

    def __call__(self, *args):
        """Results with a first axis of members."""
        if len(self.devices) == 1:
            return self._on_one_device(*args)
        specs = tuple(P(AXIS) if own else P() for own in self.is_own)
        mesh = _mesh(self.devices)
        return jax.shard_map(self._on_one_device, mesh=mesh, in_specs=specs, out_specs=P(AXIS), check_vma=False)(*args)

    def _on_one_device(self, *args):
        if self.mapping == "vmap":
            return jax.vmap(self.function, in_axes=tuple(0 if own else None for own in self.is_own))(*args)
        mine = [arg for arg, own in zip(args, self.is_own, strict=True) if own]

        def one(mine):
            rest = iter(mine)
            return self.function(*(next(rest) if own else arg for arg, own in zip(args, self.is_own, strict=True)))

        return lax.map(one, mine)


def choose_mapping(params) -> str:
    """Chooses "vmap", save on CPU for a model with kernels of more than two axes: `vmap` makes a grouped convolution of
    them, ten times slower there, while "map" costs n times one.
    """
    has_convolution = any(leaf.ndim > 2 for leaf in jax.tree.leaves(params))
    return "map" if has_convolution and jax.default_backend() == "cpu" else "vmap"


def check_mapping(mapping: str | None) -> None:
    """Raises ValueError for an unknown mapping."""
    if mapping is not None and mapping not in MAPPINGS:
        raise unknown("mapping", mapping, MAPPINGS)


def place(tree, devices: tuple, *, own: bool):
    """Arrays on the devices: each its share of the members (`own`), or all the same."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    return jax.device_put(tree, NamedSharding(_mesh(devices), P(AXIS) if own else P()))


def _mesh(devices):
    return Mesh(np.array(devices), (AXIS,))
