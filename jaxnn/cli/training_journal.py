"""`Journal` keeps the trainings of a search on disk, so that a stopped search trains only what is missing.

A search is a sequence of calls of its trainer, and each call is determined by the measurements of the calls before. A
resumed search runs again from its beginning. A call that was finished returns its stored measurements at once. The call
that was interrupted continues from its last epoch, and the later calls are trained. The result is that of a search that
was never stopped, bit for bit.
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

_MOST_BYTES = 2**28  # bound for all measurements of a search
_EDITED = "Was the file edited? Restore it from a copy, or start a new search."


class Journal:
    """Writes, after every epoch, the measurements of all calls and the states of the members of the last call.

    The measurements are written before the states, and the newest two are kept. So the saved states always have their
    measurements, even if the process is killed between the two writes.

    Args:
      records: the records of the search; the files in `checkpoints` of their folder are continued.
      blueprint: the blueprint that all members share.
      example: a dict of arrays of one training example.

    Raises:
      ValueError: a saved file is damaged.
      OSError: a saved file cannot be read.
    """

    def __init__(self, records, blueprint: Blueprint, example):
        self.records, self.blueprint, self.example = records, blueprint, example
        self.step = max(checkpoints.steps(self.states), default=0)
        self.calls = self._read() if self.step else []
        self.call = -1  # the index of the current call

    @property
    def measured(self) -> Path:
        """Returns the folder of the measurements."""
        return self.records.folder / "checkpoints/measured"

    @property
    def states(self) -> Path:
        """Returns the folder of the states."""
        return self.records.folder / "checkpoints/states"

    def take_up(self, members: Sequence[Member]) -> Population | None:
        """Begins the next call and returns its saved population, or None if nothing is saved.

        Only the last saved call has the states of its members.

        Raises:
          ValueError: the saved call had another number of members, or its states do not fit these members.
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
        """Saves the current call after an epoch; it is a hook."""
        if not isinstance(event, Evaluated):
            return
        population, self.step = event.state(), self.step + 1
        history = {name: values.tolist() for name, values in population.history.items()}
        known = {"epochs": population.epochs.tolist(), "diverged": population.diverged.tolist()}
        self.calls[self.call] = {"history": history, **known}
        text = np.frombuffer(json.dumps(self.calls).encode(), np.uint8)  # its decimals are read back to the same bits
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
    """Returns whether a call has the form that `save` writes, with a value of every member for every epoch."""
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
