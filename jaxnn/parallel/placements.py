"""Six placements run the same training on one device or on many; all except `local_rows` end at the same parameters.

Every device holds the parameters, the optimizer's state and the data; the rows of a batch are divided among the
devices. Each device computes the gradient of its rows, and the sum of these gradients is the gradient of the batch,
for any number of devices:

    single          one device with the whole batch
    pmap            the step of one device, mapped over the devices, as in the course
    shard_map       the same step over a mesh; JAX's successor of `pmap`
    automatic       the step of the whole batch, compiled for divided rows: XLA finds where to sum
    fully_sharded   automatic, but each device keeps only its part of parameters and moments (`sharded_placement`)
    local_rows      shard_map, but each device keeps only its rows of the training data and shuffles only these

Under `pmap`, `shard_map` and `local_rows` the rows of a device form a batch of their own, with three effects. Batch
norm sees these rows alone, unless the model is given the axis (`nn.BatchNorm(axis_name=parallel.AXIS)`). A loss that
compares examples (triplets) is the mean over the batches of the devices. Random numbers (dropout's masks, a VAE's
samples) are drawn for each device by its own key. For such models the results depend on the number of devices. Under
`automatic` and `fully_sharded` all three are as for the whole batch on one device. With one device every placement
computes as `single`, because nothing is summed.

The devices may belong to several processes (`jaxnn.parallel.multihost`), each of which runs the same program on the
same data. Then every placement except `single` and `pmap` can be used.
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
from jaxnn.placement_names import PLACEMENT_NAMES
from jaxnn.training.batching import shuffled_order
from jaxnn.training.compilation import bind
from jaxnn.training.placement_contract import AXIS as AXIS
from jaxnn.training.placement_contract import BATCH, DATA, ORDER, STATE, WHOLE, OneDevice, over_axis


@dataclass(frozen=True)
class Single(OneDevice):
    """Computes the whole batch on one device."""

    devices: tuple[Any, ...]

    def put(self, tree):
        """Copies the arrays to the device."""
        return jax.device_put(tree, self.devices[0])


@dataclass(frozen=True)
class _DataParallel(OneDevice):
    devices: tuple[Any, ...]

    @property
    def batch_shards(self) -> int:
        """Returns the number of devices: each gets one part of a batch."""
        return len(self.devices)

    @property
    def mesh(self) -> Mesh:
        """Returns a mesh with the devices along one axis."""
        return Mesh(np.array(self.devices), (AXIS,))

    def put(self, tree):
        """Places a copy of the arrays on every device; each process supplies the copies of its own devices."""
        whole = NamedSharding(self.mesh, P())
        return put(tree, jax.tree.map(lambda _: whole, tree))

    def put_batch(self, batch):
        """Places on each device its rows of a batch; every process must hold the whole batch."""
        return put(batch, jax.tree.map(lambda _: NamedSharding(self.mesh, P(AXIS)), batch))

    def gather(self, tree):
        """Returns the copy on this process's first device."""
        return gather(tree)

    def max_over_processes(self, *numbers: float) -> tuple[float, ...]:
        """Returns the largest of each number over all processes, as `OneDevice.max_over_processes` describes."""
        return largest(*numbers, devices=self.devices)

    def distribute(self, function: Callable, roles: tuple[str, ...], *, sums: bool = False) -> Callable:
        """Returns the function over the devices, as `OneDevice.distribute` describes."""
        return bind(_run, self, function, roles, sums)


class _Mapped(_DataParallel):
    @property
    def axis_name(self) -> str | None:
        """Returns the name of the axis of devices; None for one device, where summing would only cost time."""
        return AXIS if self.batch_shards > 1 else None

    def local_step(self, step):
        """Returns the step of one device, which sums over the axis of devices; see `over_axis`."""
        return over_axis(step, self.axis_name)


class ShardMap(_Mapped):
    """Maps the step of one device over a mesh by `jax.shard_map`."""

    def run(self, function, roles, sums, *args):
        """Calls the function on every device with its columns of an order and its rows of a batch."""
        specs = {STATE: P(), WHOLE: P(), DATA: self.data_spec(), ORDER: P(None, AXIS), BATCH: P(AXIS)}
        own = _summed(function) if sums else function
        # check_vma is off: with it, JAX would itself sum the gradients of replicated values, and the step sums them too
        mapped = {"mesh": self.mesh, "in_specs": tuple(specs[role] for role in roles), "check_vma": False}
        return jax.shard_map(own, out_specs=P(), **mapped)(*args)

    def data_spec(self):
        """Returns the spec of the training data: every device holds all of them."""
        return P()


class LocalRows(ShardMap):
    """Runs as `ShardMap`, but each device keeps only its own rows of the training data; all hold the validation data.

    In every process `fit` gets the rows of that process: all processes have equally many, a multiple of the number of
    devices of the process. A batch takes equally many rows from each device, so the order of the examples depends on
    the number of devices. Each example is still seen once an epoch.
    """

    def global_examples(self, examples: int) -> int:
        """Returns the number of examples in all processes, if each has `examples` of them.

        Raises:
          ValueError: the processes have different numbers, or `examples` is no multiple of this process's devices.
        """
        here = len(self.mesh.local_devices)
        most, least = (int(number) for number in self.max_over_processes(examples, -examples))
        if examples % here or most != -least:
            raise ValueError(
                f"every process must have equally many rows, a multiple of its {here} devices; received {examples} "
                f"here and {-least} to {most} in all. Leave a few out."
            )
        return examples * self.batch_shards // here

    def put_rows(self, data):
        """Divides the rows of each process among its devices."""
        return jax.make_array_from_process_local_data(NamedSharding(self.mesh, P(AXIS)), data)

    def epoch_order(self, examples: int, batch_size: int):
        """Returns the order of an epoch, in which the rows of each device are shuffled among themselves."""
        shards = self.batch_shards
        return bind(_order_apart, examples // shards, batch_size // shards, shards)

    def data_spec(self):
        """Returns the spec of the training data: each device holds its own rows."""
        return P(AXIS)


class Pmap(_Mapped):
    """Maps the step of one device over the devices by `jax.pmap`."""

    def run(self, function, roles, sums, *args):
        """Calls the function on every device, with the columns of an order and the rows of a batch in groups."""
        own, shards = _summed(function) if sums else function, self.batch_shards
        axes = {ORDER: 1, BATCH: 0}
        grouped = {ORDER: lambda order: order.reshape(len(order), shards, -1), BATCH: self._grouped_rows}
        args = [grouped.get(role, lambda x: x)(arg) for role, arg in zip(roles, args, strict=True)]
        in_axes = tuple(axes.get(role) for role in roles)
        return jax.pmap(own, axis_name=AXIS, in_axes=in_axes, out_axes=None, devices=self.devices)(*args)

    def _grouped_rows(self, batch):
        return jax.tree.map(lambda x: x.reshape(self.batch_shards, -1, *x.shape[1:]), batch)


class Automatic(_DataParallel):
    """Compiles the step of the whole batch by `jax.jit` with shardings."""

    def run(self, function, roles, sums, *args):
        """Calls the function on divided orders and batches; every device gets the whole result."""
        specs = {ORDER: P(None, AXIS), BATCH: P(AXIS)}
        args = [
            self._constrained(arg, specs[role]) if role in specs else arg for role, arg in zip(roles, args, strict=True)
        ]
        return self._constrained(function(*args), P())

    def _constrained(self, tree, spec):
        return lax.with_sharding_constraint(tree, NamedSharding(self.mesh, spec))


def _order_apart(rows: int, width: int, parts: int, key, epoch):
    """Draws the order of an epoch, (steps, parts * width), where the columns of a part are an order of its `rows`."""
    of_part = lambda part: shuffled_order(rows, width, jax.random.fold_in(key, part), epoch)
    return jax.vmap(of_part)(jnp.arange(parts)).transpose(1, 0, 2).reshape(-1, parts * width)


_MAKERS = {
    "single": Single,
    "pmap": Pmap,
    "shard_map": ShardMap,
    "automatic": Automatic,
    "local_rows": LocalRows,
    "fully_sharded": lambda devices: shard_by(fully_sharded(), devices=devices),
}
PLACEMENTS = {name: _MAKERS[name] for name in PLACEMENT_NAMES}


def placement(name: str, devices: Sequence | None = None) -> OneDevice:
    """Returns the placement of that name over the devices (by default all).

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
    """Returns this process's rows of data that every process holds whole; rows that do not divide are left out."""
    each = len(next(iter(data.values()))) // placement.batch_shards * len(placement.mesh.local_devices)
    first = jax.process_index() * each
    return {name: array[first : first + each] for name, array in data.items()}


def _run(placement, function, roles, sums, *args):
    return placement.run(function, roles, sums, *args)


def _summed(function):
    return lambda *args: lax.psum(function(*args), AXIS)
