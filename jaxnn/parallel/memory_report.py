"""What a step needs on each device: by the shapes, before anything runs, and by what XLA allocates for it.

By the shapes: parameters and the optimizer's state as the rules divide them, a gradient like the parameters, and what
the forward pass keeps for the backward one. By XLA: `compiled.memory_analysis()`, for which a step is compiled, not
run, and no array is made: a model that fits nowhere can be asked about on any machine.
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
    """Bytes on a device, by `compiled.memory_analysis()`: what goes in, what comes out, what is shared, the rest."""

    arguments: int
    outputs: int
    aliased: int  # outputs in the place of donated arguments
    temporary: int

    @property
    def peak(self) -> int:
        """At most, at any moment of the step."""
        return self.arguments + self.outputs - self.aliased + self.temporary


class MemoryReport(NamedTuple):
    """Bytes on a device, by the shapes; `allocated` beside them if the step was compiled.

    activations: an upper bound under tensor parallelism, whose hidden units are divided as well.
    """

    parameters: int
    optimizer: int
    other: int  # of the state: batch statistics, counters, the key
    batch: int
    gradients: int
    activations: int
    allocated: Allocated | None = None

    @property
    def state(self) -> int:
        """What is carried from step to step."""
        return self.parameters + self.optimizer + self.other

    @property
    def arguments(self) -> int:
        """What goes into a step: state and batch."""
        return self.state + self.batch

    @property
    def total(self) -> int:
        """Arguments, gradients and activations."""
        return self.arguments + self.gradients + self.activations

    def __str__(self) -> str:
        rows = [(name, getattr(self, name)) for name in (*self._fields[:-1], "arguments", "total")]
        if self.allocated is not None:
            names = ("arguments", "temporary", "peak")
            rows += [(f"allocated by XLA: {name}", getattr(self.allocated, name)) for name in names]
        return "\n".join(f"{name:<27} {size / 2**20:>12,.2f} MiB a device" for name, size in rows)


def report_memory(step, state, batch, *, placement: OneDevice, compiled: bool = False) -> MemoryReport:
    """Bytes that one training step needs on each device of a placement.

    Args:
      step: a `TrainStep`.
      state: a `TrainState`, or its shapes (`shapes_of`).
      batch: the whole batch or its shapes, a dict with the step's fields and "mask".
      placement: any; those that keep all parameters whole are reported as `Sharded` without rules.
      compiled: also compile the step, with the state donated, and read what XLA allocates.

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
    """`(state, batch)` as shapes, for `report_memory`: no array is made.

    Args:
      step: a `TrainStep` of a supervised objective.
      optimizer: whose `update` it has.
      data: arrays or shapes with an axis of examples, under the names of the step's fields.
    """
    fields, model = step.objective.fields, step.objective.model
    x = jax.ShapeDtypeStruct((1, *data[fields[0]].shape[1:]), data[fields[0]].dtype)
    state = jax.eval_shape(lambda x: init_state(model, optimizer, x, key=0, preprocess=step.objective.preprocess), x)
    batch = {name: jax.ShapeDtypeStruct((batch_size, *data[name].shape[1:]), data[name].dtype) for name in fields}
    return state, batch | {"mask": jax.ShapeDtypeStruct((batch_size,), bool)}


def size_on_device(tree) -> int:
    """Bytes of a tree of arrays, or of shapes with shardings, on the device that has most of them.

    >>> size_on_device({"x": jax.ShapeDtypeStruct((3, 4), "float32")})
    48
    """
    return sum(_size(leaf, _part(leaf)) for leaf in jax.tree.leaves(tree))


def kept_activations(step, state: TrainState, batch) -> int:
    """Bytes of the whole batch that the forward pass computes and the backward pass reads again.

    The residuals of `jax.vjp`, each once, without the parameters and the batch themselves.
    """
    forward = lambda params, state, batch: jax.vjp(lambda p: step.mean_loss(p, state, batch)[0], params)[1]
    jaxpr = jax.make_jaxpr(forward)(state.params, state, batch).jaxpr
    kept = {var for var in jaxpr.outvars if not isinstance(var, Literal)} - set(jaxpr.invars) - set(jaxpr.constvars)
    return sum(_size(var.aval, var.aval.shape) for var in kept)


def _sharded(placement) -> Sharded:
    """Data parallelism is rules that divide nothing."""
    devices = getattr(placement, "devices", jax.devices()[:1])
    return placement if isinstance(placement, Sharded) else shard_by(ShardingRules(), devices=devices)


def _placed(state, batch, placement):
    """Shapes with the shardings of the placement, the batch's rows over "data"."""
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
    """A typed key counts as its two words."""
    key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended)
    return math.prod(shape) * (8 if key else np.dtype(leaf.dtype).itemsize)
