"""One step, six placements: the same training on one device or on many, and but for one to the same parameters.

Every device holds the parameters, the optimizer's state and the data; the rows of a batch are divided among them. Each
computes the gradient of its rows, and their sum is the gradient of the batch, whatever the number of devices:

    single          one device, the whole batch
    pmap            as the course has it: the step of a device, mapped
    shard_map       the same step over a mesh: what `pmap` has become
    automatic       the step of the whole batch, compiled for divided rows: XLA finds where to sum
    fully_sharded   automatic where each device keeps only its part of parameters and moments (`sharded_placement`)
    local_rows      shard_map where each device keeps only its rows of the training data, and shuffles them apart

Under `pmap`, `shard_map` and `local_rows` a device's rows are a batch of their own. Batch norm sees them alone, unless
the model is given the axis (`nn.BatchNorm(axis_name=parallel.AXIS)`); a loss in which examples meet (triplets) is the
mean over the devices' batches; and what is drawn (dropout's masks, a VAE's samples) is drawn for each device by a key
of its own. So the numbers depend on how many devices there are. Under `automatic` and `fully_sharded` all three are
those of the whole batch on one device. One device is no more than `single`: it sums with nobody.

The devices may be those of several processes (`jaxnn.parallel.multihost`), each of which runs the same program on the
same data: then all serve but `single` and `pmap`.
"""

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
from jaxnn.parallel.sharded_placement import shard_by
from jaxnn.parallel.sharding_rules import fully_sharded
from jaxnn.training.batching import Shuffle
from jaxnn.training.compilation import bind
from jaxnn.training.placement_contract import AXIS as AXIS
from jaxnn.training.placement_contract import BATCH, DATA, ORDER, STATE, WHOLE, OneDevice, over_axis


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
    def batch_shards(self) -> int:
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

    def put_batch(self, batch):
        """Each device's rows of a batch, which every process brings whole."""
        return put(batch, jax.tree.map(lambda _: NamedSharding(self.mesh, P(AXIS)), batch))

    def gather(self, tree):
        """The copy of this process's first device."""
        return gather(tree)

    def max_over_processes(self, *numbers: float) -> tuple[float, ...]:
        """As `OneDevice.max_over_processes`."""
        return largest(*numbers, devices=self.devices)

    def distribute(self, function: Callable, roles: tuple[str, ...], *, sums: bool = False) -> Callable:
        """As `OneDevice.distribute`."""
        return bind(_run, self, function, roles, sums)


class _Mapped(_DataParallel):
    @property
    def axis_name(self) -> str | None:
        """Of the devices; the sums of one device would only cost time."""
        return AXIS if self.batch_shards > 1 else None

    def local_step(self, step):
        """As `over_axis`."""
        return over_axis(step, self.axis_name)


class ShardMap(_Mapped):
    """The step of a device over a mesh, by `jax.shard_map`."""

    def run(self, function, roles, sums, *args):
        """Each device gets its columns of an order, its rows of a batch."""
        specs = {STATE: P(), WHOLE: P(), DATA: self.data_spec(), ORDER: P(None, AXIS), BATCH: P(AXIS)}
        own = _summed(function) if sums else function
        # without the check: with it, JAX sums gradients of what is replicated a first time by itself
        mapped = {"mesh": self.mesh, "in_specs": tuple(specs[role] for role in roles), "check_vma": False}
        return jax.shard_map(own, out_specs=P(), **mapped)(*args)

    def data_spec(self):
        """Training data are on every device whole."""
        return P()


class LocalRows(ShardMap):
    """`ShardMap` on training data that no device has whole: each keeps its own rows; validation data lie on all.

    `fit` gets, in every process, its rows: equally many, and a multiple of its devices. A batch takes as many from each
    device, so that the order of the examples depends on how many there are; all are seen once an epoch all the same.
    """

    def global_examples(self, examples: int) -> int:
        """Of all processes, where each has so many."""
        here = len(self.mesh.local_devices)
        most, least = (int(number) for number in self.max_over_processes(examples, -examples))
        if examples % here or most != -least:
            raise ValueError(
                f"every process must have equally many rows, a multiple of its {here} devices; received {examples} "
                f"here and {-least} to {most} in all. Leave a few out."
            )
        return examples * self.batch_shards // here

    def put_rows(self, data):
        """Each process's rows, divided among its devices."""
        return jax.make_array_from_process_local_data(NamedSharding(self.mesh, P(AXIS)), data)

    def epoch_order(self, examples: int, batch_size: int):
        """Of each device's rows apart."""
        shards = self.batch_shards
        return _ShuffleApart(examples // shards, batch_size // shards, shards)

    def data_spec(self):
        """Each device has its own rows."""
        return P(AXIS)


class Pmap(_Mapped):
    """The step of a device, by `jax.pmap`."""

    def run(self, function, roles, sums, *args):
        """The columns of an order and the rows of a batch in as many groups as there are devices."""
        own, shards = _summed(function) if sums else function, self.batch_shards
        axes = {ORDER: 1, BATCH: 0}
        grouped = {ORDER: lambda order: order.reshape(len(order), shards, -1), BATCH: self._grouped_rows}
        args = [grouped.get(role, lambda x: x)(arg) for role, arg in zip(roles, args, strict=True)]
        in_axes = tuple(axes.get(role) for role in roles)
        return jax.pmap(own, axis_name=AXIS, in_axes=in_axes, out_axes=None, devices=self.devices)(*args)

    def _grouped_rows(self, batch):
        return jax.tree.map(lambda x: x.reshape(self.batch_shards, -1, *x.shape[1:]), batch)


class Automatic(_DataParallel):
    """The step of the whole batch, by `jax.jit` with shardings."""

    def run(self, function, roles, sums, *args):
        """Orders and batches are divided, and what follows from them; the results are whole on every device."""
        specs = {ORDER: P(None, AXIS), BATCH: P(AXIS)}
        args = [
            self._constrained(arg, specs[role]) if role in specs else arg for role, arg in zip(roles, args, strict=True)
        ]
        return self._constrained(function(*args), P())

    def _constrained(self, tree, spec):
        return lax.with_sharding_constraint(tree, NamedSharding(self.mesh, spec))


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

    >>> placement("shard_map", jax.devices()[:1]).batch_shards
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
    each = len(next(iter(data.values()))) // placement.batch_shards * len(placement.mesh.local_devices)
    first = jax.process_index() * each
    return {name: array[first : first + each] for name, array in data.items()}


def _run(placement, function, roles, sums, *args):
    return placement.run(function, roles, sums, *args)


def _summed(function):
    return lambda *args: lax.psum(function(*args), AXIS)
