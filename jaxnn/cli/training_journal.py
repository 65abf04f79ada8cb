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

_MOST_BYTES = 2**28  # of all that was measured
_EDITED = "Was the file edited? Restore it from a copy, or start a new search."


class Journal:
    """Kept after every epoch: of all calls what was measured, of the last one the states of its members too.

    The measurements are written first and kept twice, so that there are some to the states whenever it is killed.

    Args:
      records: of the search; what lies in the `checkpoints` of their folder is gone on with.
      blueprint: what all members share.
      example: a dict of arrays of one training example.

    Raises:
      ValueError: what lies there is damaged.
      OSError: it cannot be read.
    """

    def __init__(self, records, blueprint: Blueprint, example):
        self.records, self.blueprint, self.example = records, blueprint, example
        self.step = max(checkpoints.steps(self.states), default=0)
        self.calls = self._read() if self.step else []
        self.call = -1  # the one under way

    @property
    def measured(self) -> Path:
        """The folder of what was measured."""
        return self.records.folder / "checkpoints/measured"

    @property
    def states(self) -> Path:
        """The folder of the states."""
        return self.records.folder / "checkpoints/states"

    def take_up(self, members: Sequence[Member]) -> Population | None:
        """What is known of the call that now begins; None: nothing. Only the last one that is known has states.

        Raises:
          ValueError: what is known is of other members.
        """
        self.call += 1
        if self.call == len(self.calls):
            self.calls.append({})
        known = self.calls[self.call]
        if not known:
            return None
        if len(known["epochs"]) != len(members):
            told = f"{len(known['epochs'])} members, expected {len(members)}"
            raise ValueError(f"{self.measured} tells of call {self.call + 1} that it had {told}. {_EDITED}")
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
        size = checkpoints.describe(self.measured, self.step)["tree"].get("json", {}).get("shape", [])
        template = {"json": jax.ShapeDtypeStruct((min([*size, _MOST_BYTES]),), np.uint8)}
        tree, _ = checkpoints.restore(self.measured, template, which=self.step)
        try:
            calls = json.loads(np.asarray(tree["json"]).tobytes())
        except (ValueError, RecursionError):
            calls = None
        if not isinstance(calls, list) or not all(map(_is_call, calls)):
            raise ValueError(f"{self.measured}, step {self.step}, is not what a search writes. {_EDITED}")
        return calls

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


def _is_call(call: Any) -> bool:
    """Whether it has the form in which `save` writes a call: of every member as many values as there were epochs."""
    if not isinstance(call, dict) or call.keys() != {"history", "epochs", "diverged"}:
        return False
    history, epochs, diverged = (call[name] for name in ("history", "epochs", "diverged"))
    return (
        isinstance(history, dict)
        and isinstance(diverged, list)
        and _is_list(epochs, len(diverged), int)
        and all(type(one) is bool for one in diverged)
        and all(isinstance(rows, list) and 0 < max(epochs, default=0) <= len(rows) for rows in history.values())
        and all(_is_list(row, len(epochs), float) for rows in history.values() for row in rows)
        and min(epochs, default=0) >= 0
    )


def _is_list(values: Any, length: int, kind: type) -> bool:
    return isinstance(values, list) and len(values) == length and all(type(value) is kind for value in values)
