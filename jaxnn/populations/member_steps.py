"""The step of a member: the trial that its hyperparameters decide, made inside the compiled program."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from jaxnn.training import Trial
from jaxnn.training.evaluation import EvaluationStep
from jaxnn.training.placement_contract import over_axis

BATCH_SIZE = "batch_size"  # the hyperparameter of the loop; all others are the builder's


class MemberState(NamedTuple):
    """A run and its traced hyperparameters, float32 scalars."""

    hyperparameters: dict[str, jax.Array]
    run: Any


@dataclass(frozen=True)
class Blueprint:
    """What the members of a group share; a value, so that equal ones share what was compiled.

    Args:
      build: `build(values) -> Trial`, values being a dict of all hyperparameters of a member, floats among them traced.
      static: pairs (name, value) of the hyperparameters that are no floats.
    """

    build: Callable[[dict[str, Any]], Trial]
    static: tuple[tuple[str, Any], ...] = ()

    def trial(self, hyperparameters) -> Trial:
        """What a member trains; called inside the compiled program."""
        return self.build({**dict(self.static), **hyperparameters})

    def init(self, hyperparameters, key, example) -> MemberState:
        """The state of a member before the first step."""
        return MemberState(hyperparameters, self.trial(hyperparameters).init(key, example))


@dataclass(frozen=True)
class MemberStep:
    """`step(member, batch) -> (member, metrics)`: a trial's step, with its hyperparameters as inputs.

    axis_name: of the devices that divide a member's batch, as for `TrainStep`.
    """

    blueprint: Blueprint
    axis_name: str | None = None

    def __call__(self, member: MemberState, batch):
        """One update."""
        step = over_axis(self.blueprint.trial(member.hyperparameters).step, self.axis_name)
        run, metrics = step(member.run, batch)
        return MemberState(member.hyperparameters, run), metrics


@dataclass(frozen=True)
class MemberEvaluation:
    """`step(member, batch, i) -> metrics`, without an update; `axis_name` as for `EvaluationStep`."""

    blueprint: Blueprint
    axis_name: str | None = None

    def __call__(self, member: MemberState, batch, i):
        """The (sum, count) pairs of one batch."""
        objective = self.blueprint.trial(member.hyperparameters).objective
        return EvaluationStep(objective, self.axis_name)(member.run, batch, i)
