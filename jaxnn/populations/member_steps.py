"""A member's step belongs to the trial that its hyperparameters build inside the compiled program."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from jaxnn.training import Trial
from jaxnn.training.evaluation import EvaluationStep
from jaxnn.training.placement_contract import over_axis

BATCH_SIZE = "batch_size"  # the loop uses this hyperparameter; all others go to `build`


class MemberState(NamedTuple):
    """Holds the state of a run and its traced hyperparameters, float32 scalars."""

    hyperparameters: dict[str, jax.Array]
    run: Any


@dataclass(frozen=True)
class Blueprint:
    """Holds what the members of a group share; equal instances share one compiled program.

    Args:
      build: `build(values) -> Trial`; values is a dict of all hyperparameters of a member, whose floats are traced.
      static: pairs (name, value) of the hyperparameters that are not floats.
    """

    build: Callable[[dict[str, Any]], Trial]
    static: tuple[tuple[str, Any], ...] = ()

    def trial(self, hyperparameters) -> Trial:
        """Builds the trial of a member; called inside the compiled program."""
        return self.build({**dict(self.static), **hyperparameters})

    def init(self, hyperparameters, key, example) -> MemberState:
        """Makes the state of a member before the first step."""
        return MemberState(hyperparameters, self.trial(hyperparameters).init(key, example))


@dataclass(frozen=True)
class MemberStep:
    """Is `step(member, batch) -> (member, metrics)`: a trial's step with its hyperparameters as inputs.

    axis_name: name of the axis along which devices divide a member's batch, as for `TrainStep`.
    """

    blueprint: Blueprint
    axis_name: str | None = None

    def __call__(self, member: MemberState, batch):
        """Makes one update."""
        step = over_axis(self.blueprint.trial(member.hyperparameters).step, self.axis_name)
        run, metrics = step(member.run, batch)
        return MemberState(member.hyperparameters, run), metrics


@dataclass(frozen=True)
class MemberEvaluation:
    """Is `step(member, batch, i) -> metrics`, without an update; `axis_name` is as for `EvaluationStep`."""

    blueprint: Blueprint
    axis_name: str | None = None

    def __call__(self, member: MemberState, batch, i):
        """Returns the (sum, count) pairs of one batch."""
        objective = self.blueprint.trial(member.hyperparameters).objective
        return EvaluationStep(objective, self.axis_name)(member.run, batch, i)
