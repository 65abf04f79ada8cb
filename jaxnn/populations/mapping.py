"""`OverMembers` maps the function of one member over many: by `vmap` if it has a fast batched form, else by `lax.map`.

The devices are a mesh of two axes. Along "members" each device has its share of the members, and shares need no
communication. Along "data", if it has more than one device, the devices have the same members and divide each member's
batches.
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
from jaxnn.training.placement_contract import AXIS as DATA

MAPPINGS = ("vmap", "map")
MEMBERS = "members"


@dataclass(frozen=True)
class MemberMesh:
    """Describes the devices: `data` neighbouring devices for each share of the members."""

    devices: tuple[Any, ...]
    data: int = 1

    def __post_init__(self):
        if self.data < 1 or not self.devices or len(self.devices) % self.data:
            raise ValueError(
                f"`data_shards` must divide the number of devices; received {self.data} for {len(self.devices)}. Pass "
                "`devices=jax.devices()[:n]` to use some of them."
            )

    @property
    def shares(self) -> int:
        """Returns the number of groups of devices among which the members are divided."""
        return len(self.devices) // self.data

    @property
    def axis_name(self) -> str | None:
        """Returns the name of the axis along which devices divide a batch; None if one device has the whole batch."""
        return DATA if self.data > 1 else None

    @property
    def mesh(self) -> Mesh:
        """Returns the JAX mesh, whose axes are (members, data)."""
        return Mesh(np.array(self.devices).reshape(self.shares, self.data), (MEMBERS, DATA))

    def put(self, tree, *, own: bool):
        """Puts arrays on the devices: each device gets its share of the members (`own`), or all get the same."""
        if len(self.devices) == 1:
            return jax.device_put(tree, self.devices[0])
        return jax.device_put(tree, NamedSharding(self.mesh, P(MEMBERS) if own else P()))


@dataclass(frozen=True)
class OverMembers:
    """Maps a function of one member over a whole chunk; equal instances share one compiled program.

    Args:
      function: a function with as many arguments as `is_own`.
      is_own: which arguments have a first axis of members; the others are the same for all members.
      mapping: "vmap", or "map": one member after the other.
      mesh: the devices over which the members are divided; its shares divide the number of members.
      order: which argument is an order (steps, batch) of examples, whose columns are divided over "data"; the results
        must then be the same on all devices of a share.
    """

    function: Callable
    is_own: tuple[bool, ...]
    mapping: str
    mesh: MemberMesh
    order: int | None = None

    def __call__(self, *args):
        """Returns results with a first axis of members."""
        if len(self.mesh.devices) == 1:
            return self._on_one_device(*args)
        settings = {"mesh": self.mesh.mesh, "in_specs": self._specs(), "out_specs": P(MEMBERS), "check_vma": False}
        return jax.shard_map(self._on_one_device, **settings)(*args)

    def _specs(self):
        firsts = [(MEMBERS,) if own else () for own in self.is_own]
        return tuple(P(*first, None, DATA) if i == self.order else P(*first) for i, first in enumerate(firsts))

    def _on_one_device(self, *args):
        if self.mapping == "vmap":
            return jax.vmap(self.function, in_axes=tuple(0 if own else None for own in self.is_own))(*args)
        mine = [arg for arg, own in zip(args, self.is_own, strict=True) if own]

        def one(mine):
            rest = iter(mine)
            return self.function(*(next(rest) if own else arg for arg, own in zip(args, self.is_own, strict=True)))

        return lax.map(one, mine)


def choose_mapping(params) -> str:
    """Chooses "map" on CPU for a model with kernels of more than two axes, else "vmap".

    `vmap` makes a grouped convolution of such kernels, which is ten times slower on CPU, while "map" of n members costs
    n times one member.
    """
    has_convolution = any(leaf.ndim > 2 for leaf in jax.tree.leaves(params))
    return "map" if has_convolution and jax.default_backend() == "cpu" else "vmap"


def check_mapping(mapping: str | None) -> None:
    """Raises ValueError for an unknown mapping."""
    if mapping is not None and mapping not in MAPPINGS:
        raise unknown("mapping", mapping, MAPPINGS)
