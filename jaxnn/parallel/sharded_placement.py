"""The sharded placement trains models too large for one device: each keeps its part of the parameters and moments.

The devices form a mesh with two axes. The rows of a batch are divided over "data"; parameters are divided over either
axis, as the rules say. The program is that of one device; XLA's partitioner (Xu et al. 2021, GSPMD, arXiv 2105.04663)
inserts the gathers and sums. This module tells the partitioner three things: parameters and moments are divided before,
between and after the steps; parameters are gathered over "data" where a layer needs them; and gradients are divided as
their parameters are (ZeRO, arXiv 1910.02054).
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.custom_derivatives import linear_call
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnn.parallel.process_arrays import gather, largest, put
from jaxnn.parallel.sharding_rules import DATA, MODEL, ShardingRules, follow, partition
from jaxnn.training.compilation import bind
from jaxnn.training.placement_contract import BATCH, ORDER, OneDevice
from jaxnn.training.train_state import TrainState
from jaxnn.training.train_step import TrainStep


@dataclass(frozen=True)
class Sharded(OneDevice):
    """Divides parameters and moments by rules and a batch's rows over "data"; for `fit(placement=)` and `evaluate`.

    Args:
      rules: `fully_sharded()`, `tensor_parallel(...)` or your own; `ShardingRules()` keeps every parameter whole, which
        is data parallelism.
      devices: `data * model` devices, with the devices of one group of "model" next to each other.
      data: the number of groups among which a batch is divided.
      model: the number of devices in a group.

    Raises:
      ValueError: `data` times `model` is not the number of devices, or one of them is less than 1.
    """

    rules: ShardingRules
    devices: tuple[Any, ...]
    data: int
    model: int

    def __post_init__(self):
        if min(self.data, self.model) < 1 or self.data * self.model != len(self.devices):
            raise ValueError(
                f"`data` times `model` must be the number of devices; received {self.data} x {self.model} for "
                f"{len(self.devices)}. Pass `devices=jax.devices()[:n]` to use some of them."
            )

    @property
    def batch_shards(self) -> int:
        """Returns the number of groups: each gets one part of a batch."""
        return self.data

    @property
    def mesh(self) -> Mesh:
        """Returns a mesh of the devices with a row for each group."""
        return Mesh(np.array(self.devices).reshape(self.data, self.model), (DATA, MODEL))

    def shardings(self, tree):
        """Returns the tree with a `NamedSharding` at each leaf.

        A `TrainState` anywhere in the tree is divided by the rules; all other leaves stay whole on every device.

        Raises:
          ValueError: rules that do not fit the parameters.
        """
        # Only a TrainState knows which leaves are parameters and moments, so the rules can be applied to nothing else.
        whole = partial(jax.tree.map, lambda _: P())
        of = lambda node: self._specs(node) if isinstance(node, TrainState) else whole(node)
        specs = jax.tree.map(of, tree, is_leaf=lambda node: isinstance(node, TrainState))
        return jax.tree.map(partial(NamedSharding, self.mesh), specs)

    def put(self, tree):
        """Places a `TrainState` by the rules and all else on every device; a process supplies its devices' parts."""
        return put(tree, self.shardings(tree))

    def gather(self, tree):
        """Gathers the arrays from all devices, also those of other processes."""
        return gather(tree)

    def max_over_processes(self, *numbers: float) -> tuple[float, ...]:
        """Returns the largest of each number over all processes, as `OneDevice.max_over_processes` describes."""
        return largest(*numbers, devices=self.devices)

    def put_batch(self, batch):
        """Divides the rows of a batch over "data"."""
        return put(batch, jax.tree.map(lambda _: NamedSharding(self.mesh, P(DATA)), batch))

    def distribute_init(self, init: Callable) -> Callable:
        """Returns `init` such that every device makes its part of the result and no device ever holds the whole."""
        # The constraint is inside the compiled program. Calling `init` first and `put` afterwards would need one device
        # with room for the whole state.
        return bind(_constrained, self, init)

    def local_step(self, step):
        """Returns the step of the whole batch, with the state divided by the rules."""
        # The objective is replaced before the step is wrapped, because the step differentiates its objective: gathering
        # inside it makes the gradient of each gathered parameter come out divided again. The backward pass gathers the
        # parameters a second time instead of keeping them whole.
        if isinstance(step, TrainStep):
            step = dataclasses.replace(step, objective=bind(_gathering, self, step.objective))
        return bind(_in_place, self, step)

    def distribute(self, function: Callable, roles: tuple[str, ...], *, sums: bool = False) -> Callable:
        """Returns the function with orders and batches divided over "data", and results placed as `put` places them."""
        return bind(_divided, self, bind(_constrained, self, function), roles)

    def constrain(self, tree):
        """Makes a compiled program place arrays as `put` would place them."""
        return lax.with_sharding_constraint(tree, self.shardings(tree))

    def rows(self, batch):
        """Makes a compiled program divide the first axis of the arrays over "data"."""
        return lax.with_sharding_constraint(batch, jax.tree.map(lambda _: NamedSharding(self.mesh, P(DATA)), batch))

    def gathered(self, params):
        """Makes a compiled program gather the parameters over "data"; a division over "model" stays."""
        specs = partition(self.rules, params, self.mesh.shape)
        return jax.tree.map(lambda x, spec: _gather(x, NamedSharding(self.mesh, spec)), params, specs)

    def _specs(self, state: TrainState) -> TrainState:
        # The specs of the parameters come first, because each moment is divided as its parameter is.
        params = partition(self.rules, state.params, self.mesh.shape)
        return TrainState(
            step=P(),
            params=params,
            model_state=jax.tree.map(lambda _: P(), state.model_state),
            opt_state=follow(state.opt_state, state.params, params),
            key=P(),
            examples=P(),
        )


def shard_by(rules: ShardingRules, *, model: int = 1, devices: Sequence | None = None) -> Sharded:
    """Returns the placement by these rules over the devices (by default all), with `model` devices in a group.

    Raises:
      ValueError: the number of devices is no multiple of `model`.

    >>> from jaxnn.parallel.sharding_rules import fully_sharded
    >>> shard_by(fully_sharded(), devices=jax.devices()[:1]).batch_shards
    1
    """
    devices = tuple(jax.devices() if devices is None else devices)
    return Sharded(rules, devices, len(devices) // max(model, 1), model)


def _constrained(placement: Sharded, function, *args):
    return placement.constrain(function(*args))


def _divided(placement: Sharded, function, roles, *args):
    specs = {ORDER: P(None, DATA), BATCH: P(DATA)}
    divide = lambda tree, spec: lax.with_sharding_constraint(tree, NamedSharding(placement.mesh, spec))
    return function(*(divide(x, specs[role]) if role in specs else x for role, x in zip(roles, args, strict=True)))


def _in_place(placement: Sharded, step, state, batch):
    """Runs the step so that a loop which carries the state finds it divided in the same way before and after."""
    # The state is constrained on both sides: the result of one step is the argument of the next, and without the second
    # constraint XLA could choose another division for it.
    state, metrics = step(placement.constrain(state), placement.rows(batch))
    return placement.constrain(state), metrics


def _gathering(placement: Sharded, objective, params, model_state, batch, keys, *, train):
    """Calls the objective with parameters that are gathered where a layer needs them.

    The gathered parameters of the forward pass are not kept; the backward pass gathers them again.
    """

    def gathered(params, model_state, batch, keys):
        return objective(placement.gathered(params), model_state, batch, keys, train=train)

    return jax.checkpoint(gathered, policy=_is_kept)(params, model_state, batch, keys)


def _is_kept(primitive, *_, **__) -> bool:
    """Returns whether a result is kept for the backward pass: everything except gathered parameters."""
    # `_gather` is the only source of the primitive "linear_call", which is how gathered parameters are recognised.
    return primitive.name != "linear_call"


def _gather(x, divided: NamedSharding):
    """Returns x itself, with every part over "data" on each device; the gradient is divided as x is."""
    whole = NamedSharding(divided.mesh, P(*(None if name == DATA else name for name in divided.spec)))
    if whole.spec == divided.spec:
        return x
    gather = lambda _, x: lax.with_sharding_constraint(x, whole)
    scatter = lambda _, dx: lax.with_sharding_constraint(dx, divided)
    return linear_call(gather, scatter, (), x)
