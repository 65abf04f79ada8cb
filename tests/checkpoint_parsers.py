"""Checkpoints of runs, searches and ensembles, damaged with their sums renewed and not, and what reads them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from damaged_subjects import Content, Damage, Subject, files_in
from file_mutations import Special, damaged, damaged_json, damaged_safetensors

from jaxnn import optimizers
from jaxnn.cli.training_flags import Training, load_data
from jaxnn.models import MLP
from jaxnn.populations import Population
from jaxnn.training import Evaluated, init_state


def sealed(record: bytes) -> bytes:
    """The description of a checkpoint with the digest that it should have, if it can have one."""
    try:
        value = json.loads(record)
        rest = {name: one for name, one in value.items() if name != "digest"}
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    except (ValueError, AttributeError, RecursionError):
        return record
    return json.dumps(rest | {"digest": hashlib.sha256(text.encode()).hexdigest()}).encode()


def described(record: bytes, arrays: Content, **changes) -> bytes:
    """The description again, of other arrays."""
    if isinstance(arrays, Special):
        return record
    sums = {"bytes": len(arrays), "sha256": hashlib.sha256(arrays).hexdigest()}
    return sealed(json.dumps(json.loads(record) | sums | changes).encode())


def checkpoint_damages(files: Mapping[str, bytes]) -> Iterator[Damage]:
    """Of each checkpoint among the files, with its digest and sums renewed and not."""
    for name in [name for name in files if name.endswith(".safetensors")]:
        other, arrays = name.replace(".safetensors", ".json"), files[name]
        record = files[other]
        yield lambda rng, other=other, record=record: {other: damaged(rng, record)}
        yield lambda rng, name=name, arrays=arrays: {name: damaged(rng, arrays)}
        yield lambda rng, other=other, record=record: {other: sealed(damaged_json(rng, record))}
        for mutate in (damaged, damaged_safetensors):

            def with_sums(rng, name=name, other=other, record=record, arrays=arrays, mutate=mutate):
                changed = mutate(rng, arrays)
                return {name: changed, other: described(record, changed)}

            yield with_sums

        def renamed(rng, name=name, other=other):
            step = rng.choice(("00000000", "00000007", "99999999", "9" * 18, "1" * 200, "x"))
            names = {old: str(Path(old).with_stem(step)) for old in (name, other)}
            content = {new: files[old] for old, new in names.items()}
            content[names[other]] = described(files[other], files[name], step=int(step) if step.isdigit() else step)
            return dict.fromkeys((name, other), Special("missing")) | content

        yield renamed


def checkpoint(folder: Path) -> Subject:
    from jaxnn.runs import checkpoints

    state = init_state(MLP(features=(3,), classes=2), optimizers.adam(0.1), np.zeros((1, 2, 2, 1), np.uint8), key=0)
    for step in (4, 8):
        measured = {"validation/accuracy": step / 10, "validation/loss": float("nan")}
        checkpoints.save(folder, state, step=step, metrics=measured)
    template = jax.eval_shape(lambda: state)

    def parse():
        for which in ("last", "best"):
            restored, _ = checkpoints.restore(folder, template, which=which)
            for leaf, like in zip(jax.tree.leaves(restored), jax.tree.leaves(template), strict=True):
                assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype), "a leaf of another shape or dtype"

    files = files_in(folder)
    return Subject(files, tuple(checkpoint_damages(files)), parse)


SMALL = Training("mlp", hidden=(1,), train_examples=20, test_examples=20, batch_size=10)


def search_journal(folder: Path) -> Subject:
    from jaxnn.cli.assembly import trials_of
    from jaxnn.cli.population_records import Records
    from jaxnn.cli.training_journal import Journal
    from jaxnn.populations import Member
    from jaxnn.populations.member_steps import Blueprint
    from jaxnn.training.batching import first_example

    dataset = load_data(SMALL)
    blueprint, example = Blueprint(trials_of(SMALL, dataset, examples=20)), first_example(dataset.train)
    members = [Member(0, {"learning_rate": rate}) for rate in (0.1, 0.2)]
    states = [blueprint.init({"learning_rate": np.float32(0.1)}, jax.random.key(0), example).run for _ in members]
    begin = lambda: Journal(Records(str(folder), "search", {}, is_made=True), blueprint, example)
    journal = begin()
    for epochs in (2, 1):
        journal.take_up(members)
        for epoch in range(1, epochs + 1):
            journal.save(epoch_of(members, states, epoch))
    files = files_in(folder)

    def parse():
        journal = begin()
        for _ in range(3):
            if (known := journal.take_up(members)) is not None:
                journal.records.add(members, known)

    return Subject(files, (*checkpoint_damages(files), *[measured_damage(files)] * 12), parse)


def epoch_of(members, states, epoch: int) -> Evaluated:
    """What a hook is told of a population."""
    names, nobody = ("train/loss", "train/accuracy", "validation/loss"), np.zeros(2, bool)
    history = {name: np.full((epoch, 2), 0.5) for name in names}
    known = Population(members, states, history, np.full(2, epoch), nobody, [None] * 2)
    return Evaluated(epoch, epoch, {}, lambda: known)


def measured_damage(files: Mapping[str, bytes]) -> Damage:
    """The measurements of a journal, damaged as JSON, in a checkpoint that is in order."""
    import safetensors.numpy

    name = max(name for name in files if "measured" in name and name.endswith(".safetensors"))
    other = name.replace(".safetensors", ".json")
    measured = safetensors.numpy.load(files[name])["json"].tobytes()

    def damage(rng):
        text = np.frombuffer(damaged_json(rng, measured), np.uint8)
        arrays = safetensors.numpy.save({"json": text})
        tree = {"json": {"shape": [len(text)], "dtype": "uint8"}}
        return {name: arrays, other: described(files[other], arrays, tree=tree)}

    return damage


def ensemble_checkpoint(folder: Path) -> Subject:
    from jaxnn.cli.assembly import trials_of
    from jaxnn.cli.ensemble_checkpoints import restore, saving
    from jaxnn.cli.population_records import Records
    from jaxnn.populations import Member
    from jaxnn.training.batching import first_example

    members, dataset = [Member(0), Member(1)], load_data(SMALL)
    state = trials_of(SMALL, dataset, examples=20)({}).init(jax.random.key(0), first_example(dataset.train))
    saving(Records(str(folder), "ensemble", {}, is_made=True))(epoch_of(members, [state] * 2, 1))
    files = files_in(folder)
    return Subject(files, tuple(checkpoint_damages(files)), lambda: restore(folder, SMALL, dataset, members))
