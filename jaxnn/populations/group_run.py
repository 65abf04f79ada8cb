"""A `GroupRun` trains one group from the host: in each epoch, one chunk after the other."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnn.populations.chunks import (
    Chunk,
    compacted,
    compile_chunk,
    cut,
    evaluation_order,
    init_chunk,
    run_steps,
    taken,
)
from jaxnn.populations.member_steps import MemberState
from jaxnn.populations.members import is_traced
from jaxnn.populations.planning import MemberGroup
from jaxnn.populations.population import on_host, stacked, unstacked
from jaxnn.training.batching import count_examples
from jaxnn.training.compilation import call
from jaxnn.training.engine import Resident
from jaxnn.training.host_loop import StepCalls, Totals, means_of_pairs


class GroupRun:
    """Trains the members of a group in chunks, and keeps the states of those that have stopped.

    Args:
      group: the plan of the group.
      data, test: data on the devices; test may be None.
      states: the states from which the members continue; None: new states are made.
    """

    def __init__(self, group: MemberGroup, data: Resident, test: Resident | None, *, states: list[Any] | None = None):
        self.group, self.data, self.test = group, data, test
        self.stopped: dict[int, Any] = {}  # position -> state at the time when the member stopped
        self.mesh, self.calls = group.programs.mesh, StepCalls()
        self.chunks = [self._begin(chunk, states) for chunk in cut(np.arange(len(group.members)), group.size)]

    def compile(self) -> None:
        """Compiles the steps of a chunk, so that the time of the first call contains no compilation."""
        chunk = self.chunks[0]
        compile_chunk(self.group.programs, self._states(chunk), self.data, self._order(chunk, 0))

    def train_epoch(self, epoch: int, tell: Callable) -> dict[str, np.ndarray]:
        """Trains an epoch and returns (members,) means of each metric over it, NaN for members that are in no chunk.

        `tell(steps, means, examples, seconds)` is called after every compiled call.
        """
        programs, means = self.group.programs, {}
        for chunk in self.chunks:
            # The states may be on the host between epochs (`offloads`), so they go to the devices first.
            chunk.states, order, totals = self._states(chunk), self._order(chunk, epoch), Totals()
            # `run_steps` replaces `chunk.states`, because the old states are donated to the call.
            dispatch = lambda first, last, chunk=chunk, order=order: run_steps(
                programs, chunk, self.data, order, first=first, last=last
            )
            for done in self.calls.over(dispatch, 0, programs.steps_per_epoch):
                totals.add(done.metrics)
                self.calls.heard(done, stop=False)
                tell(*self._told(chunk, done))
            self._spread(means, chunk, totals.means())
            # With `offloads` the states leave the devices before the next chunk begins: one chunk at a time fits.
            chunk.states = on_host(chunk.states) if self.group.offloads else chunk.states
        return means

    def evaluate(self) -> dict[str, np.ndarray]:
        """Measures each metric over each member's own test rows, or else the validation data: means, (members,) each.

        Returns {} if there are neither.
        """
        rows, means = self.group.test_rows, {}
        data = self.data if rows is not None else self.test
        if data is None:
            return {}
        evaluation = self.group.programs.evaluation(own_rows=rows is not None)
        for chunk in self.chunks:
            own = None if rows is None else rows[chunk.filled]
            order = evaluation_order(own, examples=count_examples(data.rows), parts=self.mesh.data)
            order = self.mesh.put(order, own=rows is not None)
            totals = dict(jax.device_get(call(evaluation, self._states(chunk), *data, order)))
            del totals["count"]
            self._spread(means, chunk, means_of_pairs(totals))
        return means

    def keep(self, active: np.ndarray) -> None:
        """Saves the states of members that are no longer `active`, and removes chunks that are no longer needed.

        Until a chunk can be removed, such a member is still updated with the others of its chunk; its saved state is
        not.
        """
        # The states are saved before the chunks are compacted, because compacting drops the rows of stopped members.
        for chunk in self.chunks:
            rows = [row for row, i in enumerate(chunk.positions) if not active[i] and i not in self.stopped]
            states = unstacked(taken(chunk.states.run, np.array(rows, int)), len(rows))
            self.stopped |= dict(zip(chunk.positions[rows].tolist(), states, strict=True))
        if self.chunks:
            self.chunks = compacted(self.chunks, active)

    def states(self) -> list[Any]:
        """Returns the states of all members in order, on the host."""
        runs = {}
        for chunk in self.chunks:
            runs |= dict(zip(chunk.positions.tolist(), unstacked(chunk.states.run, len(chunk.positions)), strict=True))
        runs |= self.stopped  # last: a chunk may still hold later states of members that have stopped
        return [runs[position] for position in range(len(self.group.members))]

    def models(self) -> list:
        """Returns each member's model, with its hyperparameters set."""
        traced = [{k: v for k, v in m.hyperparameters.items() if is_traced(v)} for m in self.group.members]
        return [self.group.programs.blueprint.trial(hyperparameters).model for hyperparameters in traced]

    def _begin(self, chunk: Chunk, states) -> Chunk:
        """Returns the chunk with the states before its first step, or with the given states."""
        group, filled = self.group, chunk.filled
        hyperparameters = {name: values[filled] for name, values in group.hyperparameters.items()}
        if states is None:
            own = self.mesh.put((hyperparameters, group.keys[filled]), own=True)
            chunk.states = init_chunk(group.programs, *own, {name: a[:1] for name, a in self.data.rows.items()})
        else:
            runs = stacked([states[i] for i in filled])
            chunk.states = self.mesh.put(MemberState(hyperparameters, runs), own=True)
        chunk.states = on_host(chunk.states) if group.offloads else chunk.states
        return chunk

    def _told(self, chunk, done):
        """Returns, for a call, the steps of all members, the means of each, the examples they saw, and the seconds."""
        members, programs = len(chunk.positions), self.group.programs
        pairs = {name: tuple(np.sum(part[:members], axis=-1) for part in pair) for name, pair in done.metrics.items()}
        seen = min(done.last * programs.batch_size, programs.examples) - done.first * programs.batch_size
        return members * (done.last - done.first), means_of_pairs(pairs), members * seen, done.seconds

    def _spread(self, means, chunk, of_chunk) -> None:
        """Writes the values of a chunk to the positions of its members, which are its first rows."""
        for name, values in of_chunk.items():
            own = means.setdefault(name, np.full(len(self.group.members), np.nan))
            own[chunk.positions] = values[: len(chunk.positions)]

    def _states(self, chunk):
        return self.mesh.put(chunk.states, own=True)

    def _order(self, chunk, epoch):
        """Returns the order of an epoch; one order for all members if they share it."""
        group, programs, epoch = self.group, self.group.programs, np.int32(epoch)
        if programs.one_order:
            return self.mesh.put(call(programs.order, group.keys[0], None, epoch), own=False)
        rows = None if group.train_rows is None else group.train_rows[chunk.filled]
        own = self.mesh.put((group.keys[chunk.filled], rows), own=True)
        return call(programs.order, *own, epoch)
