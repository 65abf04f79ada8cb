"""`plan` decides how a group runs: its compiled functions, its mapping, and how many members run at once."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.populations.chunks import Programs
from jaxnn.populations.mapping import MemberMesh, choose_mapping
from jaxnn.populations.member_memory import choose_chunk, size_of, working_size
from jaxnn.populations.member_steps import BATCH_SIZE, Blueprint, MemberStep
from jaxnn.populations.members import Member, is_traced
from jaxnn.training.batching import check_batch_size, count_examples
from jaxnn.training.compilation import bind, program


class Resources(NamedTuple):
    """Describes what a population may use.

    mapping: "vmap" or "map"; None: it is chosen. mesh: the devices. memory: bytes on each device. chunk: members at
    once; None: it is chosen.
    """

    mapping: str | None
    mesh: MemberMesh
    memory: int
    chunk: int | None = None


class MemberGroup(NamedTuple):
    """Holds the members of one program, as arrays with a first axis of members, and the plan of their run.

    train_rows, test_rows: (members, n) int32, or None: all; test rows are padded (-1 - row). size: members in a chunk.
    offloads: whether the states of chunks that are not running are on the host.
    """

    members: list[Member]
    hyperparameters: dict[str, np.ndarray]
    keys: jax.Array
    train_rows: np.ndarray | None
    test_rows: np.ndarray | None
    programs: Programs
    size: int
    offloads: bool


def plan(
    blueprint: Blueprint, members: Sequence[Member], data, constants, *, batch_size: int, resources: Resources
) -> MemberGroup:
    """Plans the group of members that share a blueprint.

    Raises:
      ValueError: a batch larger than a member's examples or not divisible by the devices that share it, rows outside
        the data, or too little memory for one member.
    """
    train_rows, test_rows = _rows(members, count_examples(data))
    examples = count_examples(data) if train_rows is None else train_rows.shape[1]
    batch_size = dict(blueprint.static).get(BATCH_SIZE, batch_size)
    check_batch_size(batch_size, examples)
    _check_parts(batch_size, resources.mesh.data)
    hyperparameters, keys = traced(members), _keys(members)
    like = _state_of_one(blueprint, hyperparameters, keys, data)
    programs = Programs(
        blueprint,
        examples,
        batch_size,
        has_rows=train_rows is not None,
        one_order=train_rows is None and len({member.seed for member in members}) == 1,
        mapping=resources.mapping or choose_mapping(getattr(like.run, "params", like.run)),
        mesh=_enough(resources.mesh, resources.chunk or len(members)),
    )
    size, offloads = _size(programs, like, data, constants, len(members), resources)
    return MemberGroup(list(members), hyperparameters, keys, train_rows, test_rows, programs, size, offloads)


def traced(members: Sequence[Member]) -> dict[str, np.ndarray]:
    """Returns the floats among the hyperparameters, (members,) float32 each."""
    names = [name for name, value in members[0].hyperparameters.items() if is_traced(value)]
    return {name: np.array([member.hyperparameters[name] for member in members], np.float32) for name in names}


def _keys(members):
    if wrong := [member.seed for member in members if not 0 <= member.seed < 2**32]:  # NumPy would wrap some around
        raise ValueError(f"the seed of a member must be at least 0 and less than 2^32; received {wrong[0]}.")
    return jax.vmap(jax.random.key)(np.array([member.seed for member in members], np.uint32))


def _rows(members, examples):
    splits = [member.split for member in members]
    if splits[0] is None:
        return None, None
    for rows in (np.asarray(rows) for split in splits for rows in split):
        if rows.size and not 0 <= rows.min() <= rows.max() < examples:
            raise ValueError(
                f"the rows of a split must lie in [0, {examples}), the training data's length; received "
                f"{rows.min()} to {rows.max()}."
            )
    train = np.stack([np.asarray(split.train, np.int32) for split in splits])
    most = max(len(split.test) for split in splits)
    return train, np.stack([_filled_up(split.test, most) for split in splits]) if most else None


def _filled_up(rows, size):
    """Pads rows to `size` with the mark of the first row, -1 - row."""
    rows = np.asarray(rows, np.int32)
    return np.concatenate([rows, np.full(size - len(rows), -1 - (rows[0] if len(rows) else 0), np.int32)])


def _state_of_one(blueprint, hyperparameters, keys, data):
    """Computes the shapes of the state of one member."""
    first = {name: values[0] for name, values in hyperparameters.items()}
    example = {name: array[:1] for name, array in data.items()}
    try:
        return jax.eval_shape(blueprint.init, first, keys[0], example)
    except TypeError as error:
        raise ValueError(f"the hyperparameters {sorted(first)} do not suit what is built of them: {error}.") from error


def _size(programs, like, data, constants, members, resources):
    mesh, size = programs.mesh, programs.batch_size // programs.mesh.data
    rows = lambda a: jax.ShapeDtypeStruct((1, size, *a.shape[1:]), a.dtype)
    batch = jax.tree.map(rows, dict(data)) | {"mask": jax.ShapeDtypeStruct((1, size), bool)}
    batch |= jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *jnp.shape(a)), jnp.result_type(a)), constants)
    state = size_of(like)
    working = working_size(program(bind(_on_one_of_data, programs.step), like, batch))
    size = choose_chunk(
        members,
        state=2 * state,  # the old and the new state
        working=working,
        memory=resources.memory,
        devices=mesh.shares,
        platform=mesh.devices[0].platform,
        one_at_a_time=programs.mapping == "map",
        wanted=resources.chunk,
    )
    return size, state * members > resources.memory * mesh.shares


def _on_one_of_data(step: MemberStep, member, batch):
    """Runs the step with its axis bound to one device, so that the shapes are those on each device."""
    return jax.vmap(step, (None, 0), axis_name=step.axis_name)(member, batch)


def _enough(mesh: MemberMesh, members: int) -> MemberMesh:
    """Returns a mesh without the devices that would have no member."""
    return MemberMesh(mesh.devices[: members * mesh.data], mesh.data)


def _check_parts(batch_size, data):
    if batch_size % data:
        raise ValueError(
            f"`batch_size` must be a multiple of `data_shards`, the {data} devices among which a member's batch is "
            f"divided; received {batch_size}. Take {max(1, batch_size // data) * data}."
        )
