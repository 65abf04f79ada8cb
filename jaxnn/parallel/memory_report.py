"""A memory report counts the bytes that a step needs on each device, from shapes alone and from XLA's own analysis.

The shapes give the sizes of the parameters and of the optimizer's state as the rules divide them, of a gradient with
the shapes of the parameters, and of the activations that the forward pass keeps for the backward pass. XLA gives
`compiled.memory_analysis()`: the step is compiled but not run. Neither makes an array, so any machine can report on a
model that fits on none.
"""

import math
from typing import NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnn.parallel.sharded_placement import Sharded, shard_by
from jaxnn.parallel.sharding_rules import DATA, ShardingRules
from jaxnn.training.placement_contract import OneDevice
from jaxnn.training.train_state import TrainState, init_state


class Allocated(NamedTuple):
    """Holds the bytes on one device by `compiled.memory_analysis()`: inputs, outputs, shared by both, and the rest."""

    arguments: int
    outputs: int
    aliased: int  # outputs that reuse the memory of donated arguments
    temporary: int

    @property
    def peak(self) -> int:
        """Returns the largest number of bytes that the step can occupy at any moment."""
        return self.arguments + self.outputs - self.aliased + self.temporary


class MemoryReport(NamedTuple):
    """Holds the bytes on one device by the shapes, and in `allocated` those by XLA if the step was compiled.

    Under tensor parallelism `activations` is an upper bound, because the hidden units are divided as well.
    """

    parameters: int
    optimizer: int
    other: int  # the rest of the state: batch statistics, counters, the key
    batch: int
    gradients: int
    activations: int
    allocated: Allocated | None = None

    @property
    def state(self) -> int:
        """Returns the bytes of the state, which is carried from step to step."""
        return self.parameters + self.optimizer + self.other

    @property
    def arguments(self) -> int:
        """Returns the bytes of the arguments of a step: the state and the batch."""
        return self.state + self.batch

    @property
    def total(self) -> int:
        """Returns the bytes of arguments, gradients and activations together."""
        return self.arguments + self.gradients + self.activations

    def __str__(self) -> str:
        rows = [(name, getattr(self, name)) for name in (*self._fields[:-1], "arguments", "total")]
        if self.allocated is not None:
            names = ("arguments", "temporary", "peak")
            rows += [(f"allocated by XLA: {name}", getattr(self.allocated, name)) for name in names]
        return "\n".join(f"{name:<27} {size / 2**20:>12,.2f} MiB a device" for name, size in rows)


def report_memory(step, state, batch, *, placement: OneDevice, compiled: bool = False) -> MemoryReport:
    """Counts the bytes that one training step needs on each device of a placement.

    Args:
      step: a `TrainStep`.
      state: a `TrainState`, or its shapes (`shapes_of`).
      batch: the whole batch or its shapes, a dict with the step's fields and "mask".
      placement: any placement; one that keeps all parameters whole is reported as `Sharded` without rules.
      compiled: whether to compile the step as well, with the state donated, and read what XLA allocates.

    Raises:
      ValueError: rules that do not fit the parameters; a batch that does not divide into the placement's parts.
    """
    placement = _sharded(placement)
    _check_batch(batch, placement.batch_shards)
    state, batch = _placed(state, batch, placement)
    other = state._replace(params=(), opt_state=())
    sizes = [size_on_device(tree) for tree in (state.params, state.opt_state, other, batch)]
    activations = math.ceil(kept_activations(step, state, batch) / placement.batch_shards)
    allocated = _allocated(placement.local_step(step), state, batch) if compiled else None
    return MemoryReport(*sizes, sizes[0], activations, allocated)


def shapes_of(step, optimizer, data, *, batch_size: int):
    """Returns `(state, batch)` as shapes for `report_memory`, without making an array.

    Args:
      step: a `TrainStep` of a supervised objective.
      optimizer: the optimizer whose `update` the step has.
      data: arrays or shapes with an axis of examples, under the names of the step's fields.
    """
    fields, model = step.objective.fields, step.objective.model
    x = jax.ShapeDtypeStruct((1, *data[fields[0]].shape[1:]), data[fields[0]].dtype)
    state = jax.eval_shape(lambda x: init_state(model, optimizer, x, key=0, preprocess=step.objective.preprocess), x)
    batch = {name: jax.ShapeDtypeStruct((batch_size, *data[name].shape[1:]), data[name].dtype) for name in fields}
    return state, batch | {"mask": jax.ShapeDtypeStruct((batch_size,), bool)}


def size_on_device(tree) -> int:
    """Counts the bytes that a tree of arrays, or of shapes with shardings, takes on the device that holds most.

    >>> size_on_device({"x": jax.ShapeDtypeStruct((3, 4), "float32")})
    48
    """
    return sum(_size(leaf, _part(leaf)) for leaf in jax.tree.leaves(tree))


def kept_activations(step, state: TrainState, batch) -> int:
    """Counts the bytes that the forward pass of the whole batch computes and the backward pass reads again.

    They are the residuals of `jax.vjp`, each counted once, without the parameters and the batch themselves.
    """
    forward = lambda params, state, batch: jax.vjp(lambda p: step.mean_loss(p, state, batch)[0], params)[1]
    jaxpr = jax.make_jaxpr(forward)(state.params, state, batch).jaxpr
    kept = {var for var in jaxpr.outvars if not isinstance(var, Literal)} - set(jaxpr.invars) - set(jaxpr.constvars)
    return sum(_size(var.aval, var.aval.shape) for var in kept)


def _sharded(placement) -> Sharded:
    """Returns the placement as `Sharded`; data parallelism becomes rules that divide nothing."""
    devices = getattr(placement, "devices", jax.devices()[:1])
    return placement if isinstance(placement, Sharded) else shard_by(ShardingRules(), devices=devices)


def _placed(state, batch, placement):
    """Returns the shapes with the shardings of the placement; the rows of the batch are divided over "data"."""
    rows = NamedSharding(placement.mesh, P(DATA))
    like = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
    placed = jax.tree.map(like, state, placement.shardings(state))
    return placed, jax.tree.map(lambda leaf: like(leaf, rows), batch)


def _allocated(step, state, batch) -> Allocated:
    stats = jax.jit(step, donate_argnums=0).lower(state, batch).compile().memory_analysis()
    sizes = stats.argument_size_in_bytes, stats.output_size_in_bytes, stats.alias_size_in_bytes
    return Allocated(*sizes, stats.temp_size_in_bytes)


def _check_batch(batch, parts: int):
    sizes = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
    if any(size % parts for size in sizes):
        raise ValueError(
            f"the batch must divide among the {parts} parts of the placement; received {sorted(sizes)} examples. Take "
            f"{max(1, min(sizes) // parts) * parts}."
        )


def _part(leaf):
    sharding = getattr(leaf, "sharding", None)
    return leaf.shape if sharding is None else sharding.shard_shape(leaf.shape)


def _size(leaf, shape) -> int:
    """Counts the bytes of an array of this shape; a typed key counts as its two words, 8 bytes."""
    key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended)
    return math.prod(shape) * (8 if key else np.dtype(leaf.dtype).itemsize)
