"""What a search has trained until now, on disk, so that one that was stopped trains only what is missing.

A search is a sequence of calls of its trainer, each determined by what was measured in those before it. To go on, the
search itself is run again from its beginning: a call that had ended answers at once with what it measured then, the one
that was under way goes on from its last epoch, and those after it are trained. The result is that of a search that was
never stopped, to the last bit.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnn.populations import Member, Population
from jaxnn.populations.member_steps import Blueprint
from jaxnn.populations.members import groups_of, is_traced
from jaxnn.runs import checkpoints
from jaxnn.training import Evaluated


class Journal:
    """Kept after every epoch: of all calls what was measured, of the last one the states of its members too.

    The measurements are written first and kept twice, so that there are some to the states whenever it is killed.

    Args:
      folder: of the search; what lies in its `checkpoints` is gone on with.
      blueprint: what all members share.
      example: a dict of arrays of one training example.

    Raises:
      ValueError: what lies there is damaged.
    """

    def __init__(self, folder: Path, blueprint: Blueprint, example):
        self.measured, self.states = folder / "checkpoints/measured", folder / "checkpoints/states"
        self.blueprint, self.example = blueprint, example
        self.step = max(checkpoints.steps(self.states), default=0)
        self.calls = self._read() if self.step else []
        self.call = -1  # the one under way

    def take_up(self, members: Sequence[Member]) -> Population | None:
        """What is known of the call that now begins; None: nothing. Only the last one that is known has states."""
        self.call += 1
        if self.call == len(self.calls):
            self.calls.append({})
        known = self.calls[self.call]
        if not known:
            return None
        nothing = [None] * len(members)
        states = self._states(members) if self.call == len(self.calls) - 1 else nothing
        history = {name: np.array(values, float) for name, values in known["history"].items()}
        epochs, diverged = np.array(known["epochs"], int), np.array(known["diverged"], bool)
        return Population(list(members), states, history, epochs, diverged, nothing)

    def save(self, event: Any) -> None:
        """A hook of the call under way."""
        if not isinstance(event, Evaluated):
            return
        population, self.step = event.state(), self.step + 1
        history = {name: values.tolist() for name, values in population.history.items()}
        known = {"epochs": population.epochs.tolist(), "diverged": population.diverged.tolist()}
        self.calls[self.call] = {"history": history, **known}
        text = np.frombuffer(json.dumps(self.calls).encode(), np.uint8)  # decimals that are read back to the same bits
        for folder, tree, keep in ((self.measured, {"json": text}, 2), (self.states, population.states, 1)):
            checkpoints.save(folder, tree, step=self.step, metrics={}, keep=keep, best=None)

    def _read(self) -> list[dict]:
        shape = checkpoints.describe(self.measured, self.step)["tree"]["json"]["shape"]
        template = {"json": jax.ShapeDtypeStruct(tuple(shape), np.uint8)}
        tree, _ = checkpoints.restore(self.measured, template, which=self.step)
        return json.loads(np.asarray(tree["json"]).tobytes())

    def _states(self, members):
        template = [None] * len(members)
        for static, positions in groups_of(members):
            blueprint = dataclasses.replace(self.blueprint, static=tuple(sorted(static.items())))
            values = members[positions[0]].hyperparameters.items()
            traced = {name: np.float32(value) for name, value in values if is_traced(value)}
            state = jax.eval_shape(blueprint.init, traced, jax.random.key(0), self.example).run
            for position in positions:
                template[position] = state
        return checkpoints.restore(self.states, template, which=self.step)[0]
