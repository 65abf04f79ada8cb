"""One step, six placements: the same training on one device or on many, and but for one to the same parameters.

Every device holds the parameters, the optimizer's state and the data; the rows of a batch are divided among them. Each
computes the gradient of its rows, and their sum is the gradient of the batch, whatever the number of devices:

    single          one device, the whole batch
    pmap            as the course has it: the step of a device, mapped
    shard_map       the same step over a mesh: what `pmap` has become
    automatic       the step of the whole batch, compiled for divided rows: XLA finds where to sum
    fully_sharded   automatic where each device keeps only its part of parameters and moments (`jaxnn.parallel.sharded`)
    local_rows      shard_map where each device keeps only its rows of the training data, and shuffles them apart

Under `pmap`, `shard_map` and `local_rows` batch norm sees a device's rows, unless the model is given the axis
(`nn.BatchNorm(axis_name=parallel.AXIS)`), and dropout draws other masks on each device, so that its numbers depend on
how many there are; under `automatic` and `fully_sharded` both are those of the whole batch. One device is no more than
`single`: it sums with nobody.

The devices may be those of several processes (`jaxnn.parallel.multihost`), each of which runs the same program on the
same data: then all serve but `single` and `pmap`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnn.naming import unknown
from jaxnn.parallel.process_arrays import gather, largest, put
from jaxnn.parallel.sharded import shard_by
from jaxnn.parallel.sharding_rules import fully_sharded
from jaxnn.training.batching import Shuffle
from jaxnn.training.one_device import AXIS as AXIS
from jaxnn.training.one_device import OneDevice


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
        """A copy on every device; each process brings it for its own."""
        whole = NamedSharding(self.mesh, P())
        return put(tree, jax.tree.map(lambda _: whole, tree))

    def whole(self, tree):
        """The copy of this process's first device."""
        return gather(tree)

    def agreed(self, *numbers: float) -> tuple[float, ...]:
        """As `OneDevice.agreed`."""
        return largest(*numbers, devices=self.devices)

    def over(self, function: Callable, *, sums: bool = False) -> Callable:
        """As `OneDevice.over`."""
        return _Over(function, self, sums)


class _Mapped(_DataParallel):
    def step(self, step):
        """The step of a device, which sums over the axis; the sums of one device would only cost time."""
        return dataclasses.replace(step, axis_name=AXIS) if self.parts > 1 else step


class ShardMap(_Mapped):
    """The step of a device over a mesh, by `jax.shard_map`."""

    def run(self, function, sums, state, totals, data, order, *rest):
        """Each device gets its columns of the order."""
        specs = P(), P(), self.data_spec(sums), P(None, AXIS), *(P() for _ in rest)
        own = _summed(function) if sums else function
        # without the check: with it, JAX sums gradients of what is replicated a first time by itself
        mapped = jax.shard_map(own, mesh=self.mesh, in_specs=specs, out_specs=P(), check_vma=False)
        return mapped(state, totals, data, order, *rest)

    def data_spec(self, sums):
        """On every device whole."""
        return P()


class LocalRows(ShardMap):
    """`ShardMap` on training data that no device has whole: each keeps its own rows; validation data lie on all.

    `fit` gets, in every process, its rows: equally many, and a multiple of its devices. A batch takes as many from each
    device, so that the order of the examples depends on how many there are; all are seen once an epoch all the same.
    """

    def total(self, examples: int) -> int:
        """Of all processes, where each has so many."""
        here = len(self.mesh.local_devices)
        most, least = (int(number) for number in self.agreed(examples, -examples))
        if examples % here or most != -least:
            raise ValueError(
                f"every process must have equally many rows, a multiple of its {here} devices; received {examples} "
                f"here and {-least} to {most} in all. Leave a few out."
            )
        return examples * self.parts // here

    def put_rows(self, data):
        """Each process's rows, divided among its devices."""
        return jax.make_array_from_process_local_data(NamedSharding(self.mesh, P(AXIS)), data)

    def shuffle(self, examples: int, batch_size: int):
        """Of each device's rows apart."""
        return _ShuffleApart(examples // self.parts, batch_size // self.parts, self.parts)

    def data_spec(self, sums):
        """Rows in training; an evaluation's data lie whole."""
        return P() if sums else P(AXIS)


class Pmap(_Mapped):
    """The step of a device, by `jax.pmap`."""

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


@dataclass(frozen=True)
class _ShuffleApart:
    """`shuffle(key, epoch)`: (steps, parts * width), the columns of a part being an order of its own `rows`."""

    rows: int
    width: int
    parts: int

    def __call__(self, key, epoch):
        one = Shuffle(self.rows, self.width)
        orders = jax.vmap(lambda part: one(jax.random.fold_in(key, part), epoch))(jnp.arange(self.parts))
        return orders.transpose(1, 0, 2).reshape(-1, self.parts * self.width)


PLACEMENTS = {
    "single": Single,
    "pmap": Pmap,
    "shard_map": ShardMap,
    "automatic": Automatic,
    "local_rows": LocalRows,
    "fully_sharded": lambda devices: shard_by(fully_sharded(), devices=devices),
}


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


def rows_of_process(data, placement: LocalRows):
    """Of data that every process has whole, the rows of this one; the few that cannot be divided are left out."""
    each = len(next(iter(data.values()))) // placement.parts * len(placement.mesh.local_devices)
    first = jax.process_index() * each
    return {name: array[first : first + each] for name, array in data.items()}


def _summed(function):
    return lambda *args: lax.psum(function(*args), AXIS)
