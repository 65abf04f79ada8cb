"""One step, four placements: the same training on one device or on many, to the same parameters.

Every device holds the parameters, the optimizer's state and the data; the rows of a batch are divided among them. Each
computes the gradient of its rows, and their sum is the gradient of the batch, whatever the number of devices:

    single       one device, the whole batch
    pmap         as the course has it: the step of a device, mapped
    shard_map    the same step over a mesh: what `pmap` has become
    automatic    the step of the whole batch, compiled for divided rows: XLA finds where to sum

Batch norm sees a device's rows under `pmap` and `shard_map`, unless the model is given the axis
(`nn.BatchNorm(axis_name=parallel.AXIS)`), and the whole batch under `automatic`. Dropout draws other masks on each
device, and so its numbers depend on how many there are.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnn.naming import unknown
from jaxnn.training.one_device import OneDevice

AXIS = "data"


@dataclass(frozen=True)
class Single(OneDevice):
    """The whole batch on one device."""

    devices: tuple[Any, ...]

    def put(self, tree):
        """On the device."""
        return jax.device_put(tree, self.devices[0])


@dataclass(frozen=True)
class _DataParallel(OneDevice):
    devices: tuple[Any, ...]

    @property
    def parts(self) -> int:
        """One a device."""
        return len(self.devices)

    @property
    def mesh(self) -> Mesh:
        """The devices in a row."""
        return Mesh(np.array(self.devices), (AXIS,))

    def put(self, tree):
        """A copy on every device."""
        return jax.device_put(tree, NamedSharding(self.mesh, P()))

    def over(self, function: Callable, *, sums: bool = False) -> Callable:
        """As `OneDevice.over`."""
        return _Over(function, self, sums)


class ShardMap(_DataParallel):
    """The step of a device over a mesh, by `jax.shard_map`."""

    def step(self, step):
        """Sums over the axis."""
        return dataclasses.replace(step, axis_name=AXIS)

    def run(self, function, sums, state, totals, data, order, *rest):
        """Each device gets its columns of the order."""
        specs = P(), P(), P(), P(None, AXIS), *(P() for _ in rest)
        own = _summed(function) if sums else function
        # without the check: with it, JAX sums gradients of what is replicated a first time by itself
        mapped = jax.shard_map(own, mesh=self.mesh, in_specs=specs, out_specs=P(), check_vma=False)
        return mapped(state, totals, data, order, *rest)


class Pmap(_DataParallel):
    """The step of a device, by `jax.pmap`."""

    def step(self, step):
        """Sums over the axis."""
        return dataclasses.replace(step, axis_name=AXIS)

    def run(self, function, sums, state, totals, data, order, *rest):
        """The columns of the order in as many groups as there are devices."""
        own = _summed(function) if sums else function
        axes = None, None, None, 1, *(None for _ in rest)
        mapped = jax.pmap(own, axis_name=AXIS, in_axes=axes, out_axes=None, devices=self.devices)
        return mapped(state, totals, data, order.reshape(len(order), self.parts, -1), *rest)


class Automatic(_DataParallel):
    """The step of the whole batch, by `jax.jit` with shardings."""

    def run(self, function, sums, state, totals, data, order, *rest):
        """The order is divided, and what follows from it; the results are whole on every device."""
        order = lax.with_sharding_constraint(order, NamedSharding(self.mesh, P(None, AXIS)))
        whole = NamedSharding(self.mesh, P())
        return lax.with_sharding_constraint(function(state, totals, data, order, *rest), whole)


@dataclass(frozen=True)
class _Over:
    """A value: the same function over the same devices is compiled once."""

    function: Callable
    placement: _DataParallel
    sums: bool

    def __call__(self, *args):
        return self.placement.run(self.function, self.sums, *args)


PLACEMENTS = {"single": Single, "pmap": Pmap, "shard_map": ShardMap, "automatic": Automatic}


def placement(name: str, devices: Sequence | None = None) -> OneDevice:
    """The placement of that name, over the devices (by default all).

    Raises:
      ValueError: an unknown name, or no devices.

    >>> placement("shard_map", jax.devices()[:1]).parts
    1
    """
    if name not in PLACEMENTS:
        raise unknown("placement", name, PLACEMENTS)
    devices = tuple(jax.devices() if devices is None else devices)
    if not devices:
        raise ValueError("`devices` must be one or more; received none. jax.devices() lists those there are.")
    return PLACEMENTS[name](devices)


def _summed(function):
    return lambda *args: lax.psum(function(*args), AXIS)
