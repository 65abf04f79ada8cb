"""A `PopulationRun` trains all groups of a population side by side, epoch after epoch.

It is a loop of its own, not another placement of `fit`, for three reasons: members stop one by one and are removed from
the chunks, each combination of settings that are not floats is a program of its own, and states that do not fit into
memory are on the host between epochs. In the loop of `fit` a member that has stopped would still be updated to the last
epoch. The work that both loops do between two compiled calls is in `jaxnn.training.host_loop`.
"""

import time

import numpy as np

from jaxnn.populations.group_run import GroupRun
from jaxnn.populations.planning import MemberGroup
from jaxnn.populations.population import Population
from jaxnn.training import Compiled, Evaluated, Progress, Started
from jaxnn.training.early_stopping import check_monitor, epochs_since_best, is_better_large


class PopulationRun:
    """Trains all groups side by side, keeps the history, and calls the hooks.

    Args:
      members: the members of all groups, in the order in which they were passed.
      positions: for each group, the positions of its members in `members`.
      hooks, monitor, patience: as for `fit`.
    """

    def __init__(self, members, positions, hooks, monitor, patience):
        self.members, self.positions, self.hooks = members, positions, hooks
        self.monitor, self.patience, self.history = monitor, patience, {}
        self.epochs, self.diverged = np.zeros(len(members), int), np.zeros(len(members), bool)
        self.steps = self.done = 0

    def __call__(
        self, groups: list[MemberGroup], train, test, population: Population | None, epochs: int
    ) -> Population:
        """Trains the epochs that are left; `train` and `test` are data on the device, test may be None."""
        start = self._take_up(population)
        self.steps = sum((epochs - start) * len(g.members) * g.programs.steps_per_epoch for g in groups)
        self._tell(Started(0, self.steps, groups[0].programs.steps_per_epoch, groups[0].programs.batch_size))
        self.runs = [
            self._begin(group, positions, train, test, population)
            for group, positions in zip(groups, self.positions, strict=True)
        ]
        if start < epochs:  # else every epoch is done already, and there is nothing to compile
            self._compile()
        for epoch in range(start, epochs):
            # Before each epoch: a member that stopped in the last one is saved here, and gets no further epoch.
            active = self._active(epoch)
            for run, positions in zip(self.runs, self.positions, strict=True):
                run.keep(active[positions])
            if not active.any() or self._epoch(epoch, active):
                break
        return self._population()

    def _take_up(self, population) -> int:
        """Copies the history of a population that goes on; returns the epochs made so far."""
        if population is None:
            return 0
        if len(population) != len(self.members):
            raise ValueError(f"`population` must have the {len(self.members)} members; received {len(population)}.")
        self.history = {name: values.copy() for name, values in population.history.items()}
        self.epochs, self.diverged = population.epochs.copy(), population.diverged.copy()
        return int(self.epochs.max())

    def _begin(self, group, positions, train, test, population):
        mesh = group.programs.mesh
        train, test = (None if data is None else mesh.put(data, own=False) for data in (train, test))
        states = None if population is None else [population.states[i] for i in positions]
        return GroupRun(group, train, test, states=states)

    def _compile(self):
        clock = time.perf_counter()  # one event for all groups, so one time for all
        for run in self.runs:
            run.compile()
        self._tell(Compiled(time.perf_counter() - clock, fused=True))

    def _epoch(self, epoch: int, active) -> bool:
        """Trains and evaluates one epoch of every group; returns True if a hook asks to stop."""
        row = {}
        for run, positions in zip(self.runs, self.positions, strict=True):
            trained = run.train_epoch(epoch, lambda *told: self._progress(epoch, *told))
            measured = {f"train/{k}": v for k, v in trained.items()} | {
                f"validation/{k}": v for k, v in run.evaluate().items()
            }
            for name, values in measured.items():
                row.setdefault(name, np.full(len(self.members), np.nan))[positions] = values
        if self.patience is not None:  # only here are the names of all metrics known
            check_monitor(self.monitor, row)
        self._record(epoch, row, active)
        medians = {name: _median(values[epoch]) for name, values in self.history.items()}
        return self._tell(Evaluated(self.done, epoch + 1, medians, self._population))

    def _record(self, epoch, row, active):
        """Adds a line to the history: NaN for metrics not measured any more, and for stopped members of any chunk."""
        for name in {**self.history, **row}:
            line = np.where(active, row.get(name, np.nan), np.nan)
            before = self.history.get(name, np.full((epoch, len(line)), np.nan))
            self.history[name] = np.concatenate([before, line[None]])
        losses = [values for name, values in row.items() if name.endswith("loss")]
        self.diverged |= active & ~np.isfinite(losses).all(axis=0)
        self.epochs[active] = epoch + 1

    def _active(self, epoch: int) -> np.ndarray:
        """Returns which members go on after `epoch` epochs.

        These members have made all of the epochs, have a finite loss, and improved within `patience` epochs.
        """
        going = (self.epochs == epoch) & ~self.diverged
        if self.patience is None or self.monitor not in self.history:
            return going
        sign = -1 if is_better_large(self.monitor) else 1
        return going & (epochs_since_best(sign * self.history[self.monitor]) < self.patience)

    def _progress(self, epoch, steps, means, examples, seconds):
        self.done += steps
        medians = {name: _median(values) for name, values in means.items()}
        self._tell(Progress(self.done, epoch, medians, examples, seconds))

    def _population(self) -> Population:
        states, models = [None] * len(self.members), [None] * len(self.members)
        for run, positions in zip(self.runs, self.positions, strict=True):
            for position, state, model in zip(positions, run.states(), run.models(), strict=True):
                states[position], models[position] = state, model
        history = {name: values.copy() for name, values in self.history.items()}
        return Population(self.members, states, history, self.epochs.copy(), self.diverged.copy(), models)

    def _tell(self, event) -> bool:
        answers = [hook(event) for hook in self.hooks]  # every hook is called
        return any(answers)


def _median(values) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
