"""A placement for models that do not fit one device: every device keeps its part of the parameters and moments.

The devices are a mesh of two axes: the rows of a batch are divided over "data", parameters over either, as the rules
say. The program is that of one device; XLA's partitioner (Xu et al. 2021, GSPMD, arXiv 2105.04663) puts the gathers and
sums into it. What is asked of it here: parameters and moments lie divided before, between and after the steps, are
gathered over "data" where a layer needs them, and their gradients are divided as they are (ZeRO, arXiv 1910.02054).
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
    """Parameters and moments by the rules, rows of a batch over "data"; for `fit(placement=)` and `evaluate`.

    Args:
      rules: `fully_sharded()`, `tensor_parallel(...)`, one's own; `ShardingRules()` keeps all whole: data parallelism.
      devices: as many as `data * model`, those of one group of "model" next to each other.
      data: groups of devices among which a batch is divided.
      model: devices in a group.
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
        """One a group."""
        return self.data

    @property
    def mesh(self) -> Mesh:
        """The devices, a row for each group."""
        return Mesh(np.array(self.devices).reshape(self.data, self.model), (DATA, MODEL))

    def shardings(self, tree):
        """The tree with a `NamedSharding` at each leaf: a `TrainState` anywhere in it by the rules, the rest whole.

        Raises:
          ValueError: rules that do not fit the parameters.
        """
        whole = partial(jax.tree.map, lambda _: P())
        of = lambda node: self._specs(node) if isinstance(node, TrainState) else whole(node)
        specs = jax.tree.map(of, tree, is_leaf=lambda node: isinstance(node, TrainState))
        return jax.tree.map(partial(NamedSharding, self.mesh), specs)

    def put(self, tree):
        """A `TrainState` by the rules, all else on every device; each process brings what its own devices keep."""
        return put(tree, self.shardings(tree))

    def gather(self, tree):
        """Gathered from all devices, those of other processes too, to the host."""
        return gather(tree)

    def max_over_processes(self, *numbers: float) -> tuple[float, ...]:
        """As `OneDevice.max_over_processes`."""
        return largest(*numbers, devices=self.devices)

    def put_batch(self, batch):
        """The rows of a batch divided over "data"."""
        return put(batch, jax.tree.map(lambda _: NamedSharding(self.mesh, P(DATA)), batch))

    def distribute_init(self, init: Callable) -> Callable:
        """`init`, of whose result every device makes its part: no device ever holds the whole."""
        return bind(_constrained, self, init)

    def local_step(self, step):
        """The step of the whole batch, whose state is divided by the rules."""
        if isinstance(step, TrainStep):  # what is gathered for the forward pass is gathered again for the backward
            step = dataclasses.replace(step, objective=bind(_gathering, self, step.objective))
        return bind(_in_place, self, step)

    def distribute(self, function: Callable, roles: tuple[str, ...], *, sums: bool = False) -> Callable:
        """The orders and batches divided over "data", and what follows from them; results as `put` would place them."""
        return bind(_divided, self, bind(_constrained, self, function), roles)

    def constrain(self, tree):
        """Inside a program: arrays as `put` would place them."""
        return lax.with_sharding_constraint(tree, self.shardings(tree))

    def rows(self, batch):
        """Inside a program: arrays whose first axis is divided over "data"."""
        return lax.with_sharding_constraint(batch, jax.tree.map(lambda _: NamedSharding(self.mesh, P(DATA)), batch))

    def gathered(self, params):
        """Inside a program: the parameters, whole over "data"."""
        specs = partition(self.rules, params, self.mesh.shape)
        return jax.tree.map(lambda x, spec: _gather(x, NamedSharding(self.mesh, spec)), params, specs)

    def _specs(self, state: TrainState) -> TrainState:
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
    """The placement of these rules over the devices (by default all), `model` of them in a group.

    Raises:
      ValueError: the devices do not divide into such groups.

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
    """The step, with what a loop carries kept in its place."""
    state, metrics = step(placement.constrain(state), placement.rows(batch))
    return placement.constrain(state), metrics


def _gathering(placement: Sharded, objective, params, model_state, batch, keys, *, train):
    """The objective, with parameters gathered where a layer needs them.

    What was gathered for the forward pass is not kept, but gathered again for the backward.
    """

    def gathered(params, model_state, batch, keys):
        return objective(placement.gathered(params), model_state, batch, keys, train=train)

    return jax.checkpoint(gathered, policy=_is_kept)(params, model_state, batch, keys)


def _is_kept(primitive, *_, **__) -> bool:
    """For the backward pass: everything but what was gathered."""
    return primitive.name != "linear_call"


def _gather(x, divided: NamedSharding):
    """The identity: x with every part over "data" on each device; its gradient is divided as x is."""
    whole = NamedSharding(divided.mesh, P(*(None if name == DATA else name for name in divided.spec)))
    if whole.spec == divided.spec:
        return x
    gather = lambda _, x: lax.with_sharding_constraint(x, whole)
    scatter = lambda _, dx: lax.with_sharding_constraint(dx, divided)
    return linear_call(gather, scatter, (), x)
