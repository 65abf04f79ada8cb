"""One group in training: epoch after epoch, chunk after chunk, on the host's side."""

import time
from collections.abc import Callable

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
from jaxnn.populations.members import is_traced
from jaxnn.populations.planning import Group
from jaxnn.populations.population import on_host, stacked, unstacked
from jaxnn.populations.recipe import MemberState
from jaxnn.training import TrainState
from jaxnn.training.batching import count_examples
from jaxnn.training.compilation import call
from jaxnn.training.fitting import resized

SECONDS_PER_CALL = 0.5  # a compiled call is sized to take about this long, so that bars move and signals are heard


class GroupRun:
    """Members in chunks, those that are gone among them.

    Args:
      group: the plan.
      data, test: dicts of arrays on the devices; test may be None.
      states: of the members, where their run goes on; else they begin.
    """

    def __init__(self, group: Group, data, test, *, states: list[TrainState] | None = None):
        self.group, self.data, self.test = group, data, test
        self.gone: dict[int, TrainState] = {}  # by position, as each was when it stopped
        self.mesh, self.steps_per_call = group.programs.mesh, 8
        self.chunks = [self._begin(chunk, states) for chunk in cut(np.arange(len(group.members)), group.size)]

    def compile(self) -> None:
        """Compiles the steps before the clock runs."""
        chunk = self.chunks[0]
        compile_chunk(self.group.programs, self._states(chunk), self._totals(), self.data, self._order(chunk, 0))

    def train_epoch(self, epoch: int, tell: Callable) -> dict[str, np.ndarray]:
        """(members,) means of each metric over an epoch, NaN for members that are gone."""
        table = _Table(len(self.group.members))
        for chunk in self.chunks:
            chunk.states, order, first = self._states(chunk), self._order(chunk, epoch), 0
            while first < self.group.programs.steps_per_epoch:
                first = self._call(chunk, order, first, table, tell)
            chunk.states = on_host(chunk.states) if self.group.offloads else chunk.states
        return table.means()

    def evaluate(self) -> dict[str, np.ndarray]:
        """(members,) of each metric over a member's own test rows, or the validation data; {} without either."""
        rows, table = self.group.test_rows, _Table(len(self.group.members))
        data = self.data if rows is not None else self.test
        if data is None:
            return {}
        evaluation = self.group.programs.evaluation(own_rows=rows is not None)
        for chunk in self.chunks:
            own = None if rows is None else rows[chunk.filled]
            order = evaluation_order(own, examples=count_examples(data), parts=self.mesh.data)
            order = self.mesh.put(order, own=rows is not None)
            table.add(chunk.positions, jax.device_get(call(evaluation, self._states(chunk), data, order)))
        return table.means()

    def keep(self, active: np.ndarray) -> None:
        """Puts aside the states of members that are not `active` any more, and lets go of chunks that become free.

        Until a whole chunk is free such a member is stepped on beside the others; what is put aside is not.
        """
        for chunk in self.chunks:
            rows = [row for row, i in enumerate(chunk.positions) if not active[i] and i not in self.gone]
            states = unstacked(taken(chunk.states.run, np.array(rows, int)), len(rows))
            self.gone |= dict(zip(chunk.positions[rows].tolist(), states, strict=True))
        if self.chunks:
            self.chunks = compacted(self.chunks, active)

    def states(self) -> list[TrainState]:
        """Of all members in order, on the host."""
        runs = {}
        for chunk in self.chunks:
            runs |= dict(zip(chunk.positions.tolist(), unstacked(chunk.states.run, len(chunk.positions)), strict=True))
        runs |= self.gone
        return [runs[position] for position in range(len(self.group.members))]

    def models(self) -> list:
        """Each member's model, with its hyperparameters set."""
        given = [{k: v for k, v in m.hyperparameters.items() if is_traced(v)} for m in self.group.members]
        return [self.group.programs.recipe.pieces(hyperparameters)[0] for hyperparameters in given]

    def _begin(self, chunk: Chunk, states) -> Chunk:
        """Its first states, or those given."""
        group, filled = self.group, chunk.filled
        hyperparameters = {name: values[filled] for name, values in group.hyperparameters.items()}
        if states is None:
            own = self.mesh.put((hyperparameters, group.keys[filled]), own=True)
            example = self.data[group.programs.recipe.fields[0]][:1]
            chunk.states = init_chunk(group.programs, *own, example)
        else:
            runs = stacked([states[i] for i in filled])
            chunk.states = self.mesh.put(MemberState(hyperparameters, runs), own=True)
        chunk.states = on_host(chunk.states) if group.offloads else chunk.states
        return chunk

    def _call(self, chunk, order, first, table, tell) -> int:
        """One compiled call; returns the step after it."""
        programs, clock = self.group.programs, time.perf_counter()
        last = min(first + self.steps_per_call, programs.steps_per_epoch)
        totals = run_steps(programs, chunk, self._totals(), self.data, order, first=first, last=last)
        totals, seconds = jax.device_get(totals), time.perf_counter() - clock
        table.add(chunk.positions, totals)
        self.steps_per_call = resized(self.steps_per_call, seconds / (last - first), SECONDS_PER_CALL)
        tell(len(chunk.positions) * (last - first), totals, seconds)
        return last

    def _states(self, chunk):
        return self.mesh.put(chunk.states, own=True)

    def _totals(self):
        return self.mesh.put(self.group.programs.totals(self.group.size), own=True)

    def _order(self, chunk, epoch):
        """Of an epoch; the same for all members where they share it."""
        group, programs, epoch = self.group, self.group.programs, np.int32(epoch)
        if programs.one_order:
            return self.mesh.put(call(programs.order, group.keys[0], None, epoch), own=False)
        rows = None if group.train_rows is None else group.train_rows[chunk.filled]
        own = self.mesh.put((group.keys[chunk.filled], rows), own=True)
        return call(programs.order, *own, epoch)


class _Table:
    """Sums and counts by member, added up on the host in float64."""

    def __init__(self, members: int):
        self.members, self.sums = members, {}

    def add(self, positions, totals) -> None:
        """Of a chunk, whose first rows belong to `positions`."""
        for name, parts in totals.items():
            own = self.sums.setdefault(name, np.zeros((2, self.members)))
            own[:, positions] += [np.asarray(part)[: len(positions)] for part in parts]

    def means(self) -> dict[str, np.ndarray]:
        """NaN where nothing was counted."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return {name: total / count for name, (total, count) in self.sums.items()}
