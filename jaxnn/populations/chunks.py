"""These functions run a group of similar members on the devices, in chunks of one size.

Members that have stopped are removed when the others fill fewer chunks; they cost nothing from then on.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.populations.mapping import MemberMesh, OverMembers
from jaxnn.populations.member_steps import Blueprint, MemberEvaluation, MemberState, MemberStep
from jaxnn.populations.population import on_host, stacked, unstacked
from jaxnn.training.batching import plain_order, shuffled_order
from jaxnn.training.compilation import bind, call, prepare
from jaxnn.training.engine import Resident, many_steps
from jaxnn.training.evaluation import all_batches


@dataclass
class Chunk:
    """Holds at most `size` members, by their positions in the group; `states` always has `size` rows."""

    positions: np.ndarray
    size: int
    states: MemberState | None = None

    @property
    def filled(self) -> np.ndarray:
        """Returns the (size,) positions to which the rows of `states` belong, padding included."""
        return filled(self.positions, self.size)


@dataclass(frozen=True)
class Programs:
    """Describes the compiled functions of a group, for chunks of one size on the given devices.

    Args:
      blueprint: the parts that all members share.
      examples: number of examples from which a member learns, padding included.
      batch_size: examples in a step.
      has_rows: whether each member has rows of its own to learn from (and to be tested on).
      one_order: whether all members have the same seed and the same data, so that a batch is gathered once for all.
      mapping, mesh: as for `OverMembers`.
    """

    blueprint: Blueprint
    examples: int
    batch_size: int
    has_rows: bool
    one_order: bool
    mapping: str
    mesh: MemberMesh

    @property
    def step(self) -> MemberStep:
        """Returns the step that a device runs on its part of a member's batch."""
        return MemberStep(self.blueprint, self.mesh.axis_name)

    @property
    def steps_per_epoch(self) -> int:
        """Returns the number of steps in which a member sees each of its examples."""
        return -(-self.examples // self.batch_size)

    @property
    def order(self):
        """Returns `(keys, rows, epoch) -> order`, for each member, or one order for all if `one_order`."""
        one = bind(order_of_epoch, bind(shuffled_order, self.examples, self.batch_size))
        return one if self.one_order else self._over(one, True, self.has_rows, False)

    @property
    def steps(self):
        """Returns `(states, rows, constants, order, first, last) -> (states, metrics)`, metrics (members, steps)."""
        return self._over(bind(many_steps, self.step), True, False, False, not self.one_order, False, False, order=3)

    def evaluation(self, *, own_rows: bool):
        """Returns `(states, rows, constants, order) -> totals`; with `own_rows` each member has its own order."""
        evaluation = bind(evaluation_of_one, MemberEvaluation(self.blueprint, self.mesh.axis_name))
        return self._over(evaluation, True, False, False, own_rows, order=3)

    @property
    def init(self):
        """Returns `(hyperparameters, keys, example) -> states`."""
        return self._over(bind(Blueprint.init, self.blueprint), True, True, False)

    def _over(self, function, *is_own, order=None):
        return OverMembers(function, is_own, self.mapping, self.mesh, order)


def order_of_epoch(shuffle, key, rows, epoch):
    """Returns the order of an epoch, (steps, batch) int32, in rows of the data.

    `rows` are the rows of a member, which are shuffled; None: all examples.
    """
    return in_rows(shuffle(key, epoch), rows)


def evaluation_of_one(step: MemberEvaluation, state, rows, constants, order):
    """Computes sums and counts over a whole order of examples; along an axis each device has some of the columns."""
    totals = all_batches(step, state, rows, constants, order)
    return totals if step.axis_name is None else jax.lax.psum(totals, step.axis_name)


def in_rows(order, rows):
    """Converts positions to rows; padding (-1 - position) stays padding, and so does a position whose row is padding.

    >>> in_rows(np.array([[0, 1], [2, -1]]), np.array([7, 8, -10])).tolist()
    [[7, 8], [-10, -8]]
    """
    if rows is None:
        return order
    of = jnp if isinstance(order, jax.Array) else np
    own = rows[of.where(order < 0, -1 - order, order)]
    return of.where((order < 0) & (own >= 0), -1 - own, own).astype(np.int32)


def cut(positions: np.ndarray, size: int, states=None) -> list[Chunk]:
    """Cuts the members at `positions` into chunks of `size`; row i of `states`, if given, belongs to position i."""
    chunks = []
    for start in range(0, len(positions), size):
        chunk = Chunk(positions[start : start + size], size)
        if states is not None:
            rows = start + np.arange(len(chunk.positions))
            chunk.states = taken(states, filled(rows, size))
        chunks.append(chunk)
    return chunks


def compacted(chunks: list[Chunk], active: np.ndarray) -> list[Chunk]:
    """Returns the same chunks, or fewer chunks of active members only, if the active members fill fewer.

    Args:
      chunks: chunks of one size.
      active: (members,) of the group, whether each is still trained.
    """
    size, left = chunks[0].size, sum(active[chunk.positions].sum() for chunk in chunks)
    if -(-left // size) == len(chunks):
        return chunks
    positions = np.concatenate([chunk.positions for chunk in chunks])
    states = stacked([state for chunk in chunks for state in unstacked(chunk.states, len(chunk.positions))])
    stay = np.flatnonzero(active[positions])
    return cut(positions[stay], size, taken(states, stay)) if len(stay) else []


def filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Returns `size` rows: the given rows, then the first one as often as needed.

    >>> filled(np.array([4, 5]), 4).tolist()
    [4, 5, 4, 4]
    """
    return np.concatenate([rows, np.full(size - len(rows), rows[0])])


def taken(states, rows):
    """Returns some rows of a stack of states, on the host."""
    return jax.tree.map(lambda leaf: leaf[rows], on_host(states))


def init_chunk(programs: Programs, hyperparameters, keys, example) -> MemberState:
    """Makes the states of a chunk before the first step."""
    args = hyperparameters, keys, example
    return prepare(programs.init, *args, runs_once=True).result()(*args)


def compile_chunk(programs: Programs, states, data: Resident, order) -> None:
    """Compiles the program that `run_steps` calls, for arguments of these shapes, and waits for it."""
    i = np.int32(0)
    prepare(programs.steps, states, *data, order, i, i, donate=(0,)).result()


def run_steps(programs: Programs, chunk: Chunk, data: Resident, order, *, first: int, last: int):
    """Starts steps `first` to `last` of an epoch for a chunk and returns the metrics; the old states are donated."""
    args = chunk.states, *data, order, np.int32(first), np.int32(last)
    chunk.states, metrics = call(programs.steps, *args, donate=(0,))
    return metrics


def evaluation_order(rows, *, examples: int, parts: int = 1, batch_size: int = 500):
    """Returns an unshuffled order: (steps, batch) of all examples, or (members, steps, batch) of each member's rows.

    The batch size is rounded up to a multiple of `parts`.
    """
    examples = examples if rows is None else rows.shape[1]
    plain = plain_order(examples=examples, batch_size=-(-min(batch_size, examples) // parts) * parts)
    return plain if rows is None else np.stack([in_rows(plain, own) for own in rows])
