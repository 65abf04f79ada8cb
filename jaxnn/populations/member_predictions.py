"""`predict_members` computes the outputs of a whole population, many members in one compiled call."""

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.populations.chunks import cut
from jaxnn.populations.mapping import MemberMesh, OverMembers, choose_mapping
from jaxnn.populations.member_memory import SHARE, choose_chunk, free_memory, size_of, working_size
from jaxnn.populations.members import is_traced
from jaxnn.populations.population import Population, stacked
from jaxnn.preprocessing import as_float
from jaxnn.training import FunctionalModel
from jaxnn.training.batching import check_batch_size, count_examples, plain_order, take_batch
from jaxnn.training.compilation import bind, call, program


def predict_members(
    population: Population, inputs, *, preprocess: Callable = as_float, batch_size: int = 500
) -> np.ndarray:
    """Computes the outputs of every member for all inputs, (members, n, ...); row m is `training.predict` of member m.

    Members whose models differ only in traced hyperparameters (a linen module's floats) share one compiled program and
    run in chunks that fit into memory. Each other architecture is a program of its own. All outputs must have one
    shape.

    Args:
      population: trained members, or snapshots of one run.
      inputs: (n, ...), as they are in the data, not preprocessed.
      preprocess: the function that training applied to inputs.
      batch_size: examples that a member sees at once.

    Raises:
      ValueError: no members, no inputs, a batch size below 1, outputs of different shapes.
    """
    if not len(population):
        raise ValueError("`population` must have at least one member; received none. Was the selection empty?")
    examples = count_examples({"inputs": inputs})
    batch_size = min(batch_size, examples)
    check_batch_size(batch_size, examples)
    order = plain_order(examples=examples, batch_size=batch_size)
    inputs, answers = jnp.asarray(inputs), [None] * len(population)
    for group in _alike(population):
        outputs = _predict_group(group, population.states, inputs, order, preprocess)
        for position, own in zip(group.positions, outputs, strict=True):
            answers[position] = own.reshape(-1, *own.shape[2:])[:examples]
    return np.stack(_of_one_shape(answers))


class _Alike(NamedTuple):
    """Holds members that share a program: the model, its floats, (members,) each, and the members' positions."""

    model: Any
    floats: dict[str, list[np.float32]]
    positions: list[int]


def _outputs(model, preprocess: Callable, floats, params, model_state, inputs, order):
    """Computes the outputs of one member, (steps, batch, ...)."""
    model = FunctionalModel(model.clone(**floats) if floats else model)

    def of_batch(rows):
        x = preprocess(take_batch({"inputs": inputs}, rows)["inputs"])
        return model.apply(params, model_state, x, train=False)[0]

    return jax.lax.map(of_batch, order)


def _alike(population) -> list[_Alike]:
    """Groups members whose models are equal except in the traced fields and whose arrays have equal shapes."""
    groups: dict[tuple, _Alike] = {}
    anyones = population.members[0].hyperparameters
    for i, (member, model, state) in enumerate(
        zip(population.members, population.models, population.states, strict=True)
    ):
        names = _traced_fields(model, member.hyperparameters)
        model = model.clone(**{name: anyones[name] for name in names}) if names else model
        leaves, tree = jax.tree.flatten((state.params, state.model_state))
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        group = groups.setdefault((model, names, tree, shapes), _Alike(model, {name: [] for name in names}, []))
        group.positions.append(i)
        for name in names:
            group.floats[name].append(np.float32(member.hyperparameters[name]))
    return list(groups.values())


def _traced_fields(model, hyperparameters) -> tuple[str, ...]:
    """Returns the names of the floats that a linen module takes; floats bound in a pair make another model."""
    fields = model.__dataclass_fields__ if is_dataclass(model) and hasattr(model, "clone") else {}
    return tuple(sorted(name for name, value in hyperparameters.items() if is_traced(value) and name in fields))


def _predict_group(group: _Alike, states, inputs, order, preprocess):
    """Yields (steps, batch, ...) for each position of the group."""
    one = bind(_outputs, group.model, preprocess)
    first, mesh = states[group.positions[0]], MemberMesh(tuple(jax.local_devices()[: len(group.positions)]))
    mapping = choose_mapping(first.params)
    many = OverMembers(one, (True, True, True, False, False), mapping, mesh)
    size = _chunk_size(one, group, first, inputs, order, mesh.devices, one_at_a_time=mapping == "map")
    shared = mesh.put((inputs, order), own=False)
    for chunk in cut(np.arange(len(group.positions)), size):
        runs = [states[group.positions[i]] for i in chunk.filled]
        floats = {name: np.array(values)[chunk.filled] for name, values in group.floats.items()}
        own = stacked([run.params for run in runs]), stacked([run.model_state for run in runs])
        outputs = call(many, *mesh.put((floats, *own), own=True), *shared)
        yield from np.asarray(outputs)[: len(chunk.positions)]


def _chunk_size(one, group, state, inputs, order, devices, *, one_at_a_time) -> int:
    """Returns as many members as fit at once, at least one per device, as `training.predict` would run."""
    floats = {name: values[0] for name, values in group.floats.items()}
    working = working_size(program(one, floats, state.params, state.model_state, inputs, order))
    kept = size_of((state.params, state.model_state))
    return choose_chunk(
        len(group.positions),
        state=kept,
        working=working,
        memory=max(int(SHARE * free_memory(devices[0])), kept + working),
        devices=len(devices),
        platform=devices[0].platform,
        one_at_a_time=one_at_a_time,
    )


def _of_one_shape(answers):
    shapes = {answer.shape[1:]: i for i, answer in reversed([*enumerate(answers)])}
    if len(shapes) > 1:
        seen = ", ".join(f"{shape} of member {i}" for shape, i in sorted(shapes.items(), key=lambda item: item[1]))
        raise ValueError(
            f"the members' outputs must agree in shape; received {seen}. Take members of one task: `population.select`."
        )
    return answers
