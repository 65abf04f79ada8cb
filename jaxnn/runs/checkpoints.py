"""Checkpoints: the training state on disk, written whole or not at all, and checked before anything of it is believed.

A checkpoint is two files. `00000469.safetensors` holds the arrays under flat names (`params/conv1/kernel`).
`00000469.json` describes them: step, metrics, size and sha256 of the other file, shape and dtype of every leaf, and a
digest of the description itself. The JSON is written last and removed first, so a checkpoint exists if and only if its
JSON does. One process writes to a folder at a time.

Nothing read can execute (no pickle), and nothing is built from it before sizes, sums, names, shapes and dtypes agree.
"""

import contextlib
import hashlib
import json
import operator
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxnn.runs import atomic_files, named_arrays
from jaxnn.runs.loggers import finite_numbers

_FORMAT = 1
_FIELDS = {"metrics": dict, "best": str | None, "written": str, "bytes": int, "sha256": str, "tree": dict}
_NAME = re.compile(r"\d{8}|[1-9]\d{8,}", re.ASCII)


def save(
    folder: str | os.PathLike,
    state: Any,
    *,
    step: int,
    metrics: Mapping[str, Any],
    keep: int = 3,
    best: str | None = "test/accuracy",
) -> Path:
    """Writes one checkpoint, then removes those no longer wanted.

    Everything is on disk when it returns, so `state` may be donated right away. What stays: the newest `keep`, the one
    just written, and the one with the largest metric `best` (of equals the newest, for it has trained longer; NaN and
    missing never win; for a loss, log its negative). Saving a step again replaces it.

    Args:
        folder: where the checkpoints go; made if missing.
        state: any pytree of arrays, typed keys and Python numbers.
        step: count of updates made so far, at least 0; names the files.
        metrics: names -> scalars, recorded beside the state; NaN and the infinities become null.
        keep: how many of the newest stay, at least 1.
        best: the metric that earns a place beyond those, or None.

    Returns:
        The path of the safetensors file.

    Raises:
        ValueError: a number out of range, or a leaf that is no array safetensors can hold.
        OSError: the files cannot be written (disk full, ...); the earlier checkpoints are as they were.
    """
    folder, step = Path(folder), operator.index(step)
    if step < 0 or keep < 1:
        raise ValueError(f"`step` must be at least 0 and `keep` at least 1; received {step} and {keep}.")
    tree, data = named_arrays.serialize(state)
    described = {"format": _FORMAT, "step": step, "metrics": finite_numbers(metrics), "best": best}
    summed = {"written": datetime.now(UTC).isoformat(), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        _write(folder, data, described | summed | {"tree": tree})
    except OSError as error:
        raise OSError(error.errno, _failure(folder, step, len(data), error)) from error
    _prune(folder, step, keep, best)
    return _files(folder, step)[0]


def steps(folder: str | os.PathLike) -> list[int]:
    """Lists the steps of the checkpoints in `folder`, ascending; a folder that is missing has none."""
    return sorted(int(path.stem) for path in Path(folder).glob("*.json") if _NAME.fullmatch(path.stem))


def describe(folder: str | os.PathLike, step: int) -> dict[str, Any]:
    """Reads and checks the metadata of one checkpoint; the arrays are not touched.

    Returns:
        {"format", "step", "metrics", "best", "written" (UTC), "bytes", "sha256", "tree", "digest"}; "tree" is name ->
        {"shape", "dtype"}, see `named_arrays`.

    Raises:
        FileNotFoundError: there is no checkpoint of that step; the message lists those there are.
        ValueError: the file is broken, was edited, or was written by another version of jaxnn.
    """
    folder = Path(folder)
    here = steps(folder)
    if step not in here:
        raise FileNotFoundError(f"{folder} holds no checkpoint of step {step}. Those it holds: {here or 'none'}.")
    file = _files(folder, step)[1]
    try:
        metadata = json.loads(file.read_bytes())
        digest = _digest(metadata)
    except (ValueError, AttributeError, RecursionError):
        raise ValueError(f"{file} is damaged: expected a JSON object, received something else.") from None
    if metadata.get("digest") != digest:
        raise ValueError(f"{file} was edited or damaged: its content does not match the digest it carries.")
    if metadata.get("format") != _FORMAT or metadata.get("step") != step or not _well_formed(metadata):
        raise ValueError(
            f"{file} does not describe step {step} in format {_FORMAT}. Was it renamed, or is this jaxnn too old?"
        )
    return metadata


def restore(folder: str | os.PathLike, template: Any, *, which: str | int = "last") -> tuple[Any, dict[str, Any]]:
    """Reads a checkpoint into the shape of `template`, every leaf equal bit for bit to the one saved.

    Args:
        folder: where the checkpoints are.
        template: a pytree of arrays or `jax.ShapeDtypeStruct`s, for instance from `jax.eval_shape`.
        which: "last", "best" (by the metric named at the last save) or a step.

    Returns:
        The state (jax arrays on the default device) and the metadata (see `describe`).

    Raises:
        FileNotFoundError: no checkpoint, or none of that step.
        ValueError: a file is damaged or edited (the message names a checkpoint that is whole), or the checkpoint is of
            another model (the message lists the differences).
    """
    folder = Path(folder)
    step = _choose(folder, which)
    with _advice(folder, step):
        metadata = describe(folder, step)
        data = _read(folder, metadata)
    named_arrays.check_same_tree(metadata["tree"], template, where=f"{folder}, step {step}")
    return named_arrays.deserialize(data, metadata["tree"], template), metadata


def rewind(folder: str | os.PathLike, step: int) -> None:
    """Removes the checkpoints later than `step`, for a run that goes back to `step` and trains on from there."""
    _remove(Path(folder), (later for later in steps(folder) if later > step))


def _files(folder: Path, step: int) -> tuple[Path, Path]:
    return folder / f"{step:08d}.safetensors", folder / f"{step:08d}.json"


def _write(folder: Path, data: bytes, metadata: dict[str, Any]) -> None:
    arrays, record = _files(folder, metadata["step"])
    text = json.dumps(metadata | {"digest": _digest(metadata)}, indent=1, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    _clean(folder)
    try:
        staged = [atomic_files.stage(arrays, data), atomic_files.stage(record, text.encode())]
        if record.exists() and any(
            old["sha256"] != metadata["sha256"] for old in _readable(folder, [metadata["step"]])
        ):
            _remove(folder, [metadata["step"]])  # a JSON must never stand beside arrays it does not describe
        for temporary in staged:
            atomic_files.publish(temporary)
    except OSError:
        _clean(folder)
        raise


def _clean(folder: Path) -> None:
    """Removes what a killed process left: temporary files, and arrays whose JSON is not there yet or no more."""
    atomic_files.remove_leftovers(folder)
    for path in folder.glob("*.safetensors"):
        if _NAME.fullmatch(path.stem) and not path.with_suffix(".json").exists():
            path.unlink()


def _remove(folder: Path, unwanted: Iterable[int]) -> None:
    for step in unwanted:
        arrays, record = _files(folder, step)
        record.unlink()
        atomic_files.sync_folder(folder)
        arrays.unlink(missing_ok=True)


def _prune(folder: Path, step: int, keep: int, best: str | None) -> None:
    here = steps(folder)
    kept = {step, *here[-keep:]}
    kept.add(_best(_readable(folder, here), best))
    _remove(folder, (one for one in here if one not in kept))


def _readable(folder: Path, among: Iterable[int]) -> Iterator[dict[str, Any]]:
    """The metadata of those checkpoints whose JSON is in order."""
    for step in among:
        with contextlib.suppress(ValueError):
            yield describe(folder, step)


def _best(records: Iterable[dict[str, Any]], name: str | None) -> int | None:
    """The step with the largest metric `name`, of equals the newest; None if no record has it."""
    scored = [(record["metrics"].get(name), record["step"]) for record in records]
    return max((pair for pair in scored if pair[0] is not None), default=(None, None))[1]


def _failure(folder: Path, step: int, size: int, error: OSError) -> str:
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    free = shutil.disk_usage(there).free
    return (
        f"could not write the checkpoint of step {step} ({size} bytes) to {folder}: {error.strerror or error}; "
        f"{free} bytes are free on that disk. {_alternative(folder)} Make room or mend the folder, then resume."
    )


def _choose(folder: Path, which: str | int) -> int:
    here = steps(folder)
    if not here:
        raise FileNotFoundError(f"{folder} holds no checkpoint. Check the folder, or train first.")
    if which == "last":
        return here[-1]
    if which != "best":
        if type(which) is not int:
            raise ValueError(f'`which` must be "last", "best" or a step (an int); received {which!r}.')
        return which
    records = []
    for step in here:
        with _advice(folder, step):
            records.append(describe(folder, step))
    name = records[-1]["best"]
    step = _best(records, name)
    if step is None:
        remedy = f"Use which='last' or a step of {here}."
        raise ValueError(f"no checkpoint in {folder} has a finite metric {name!r} to be the best by. {remedy}")
    return step


def _read(folder: Path, metadata: dict[str, Any]) -> bytes:
    """Reads the arrays' file; size and sum must be those of the metadata."""
    file = _files(folder, metadata["step"])[0]
    if not file.is_file():
        raise ValueError(f"{file} is missing, though its JSON is there.")
    size = file.stat().st_size
    if size != metadata["bytes"]:
        raise ValueError(f"{file} is damaged: expected {metadata['bytes']} bytes, received {size}.")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != metadata["sha256"]:
        raise ValueError(f"{file} is damaged: its sha256 is not the one recorded when it was written.")
    return data


@contextlib.contextmanager
def _advice(folder: Path, step: int) -> Iterator[None]:
    """Adds to an error about the checkpoint of `step` which other one will do."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} {_alternative(folder, step)}") from None


def _alternative(folder: Path, step: int | None = None) -> str:
    for other in reversed(steps(folder)):
        if other != step and _is_whole(folder, other):
            return f"Step {other} is whole: use which={other} / --step {other}."
    return "No other checkpoint there is whole."


def _is_whole(folder: Path, step: int) -> bool:
    try:
        _read(folder, describe(folder, step))
    except ValueError:
        return False
    return True


def _digest(metadata: Any) -> str:
    """The sha256 of the metadata in canonical JSON, its own field left out."""
    rest = {field: value for field, value in metadata.items() if field != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _well_formed(metadata: dict[str, Any]) -> bool:
    """Whether every field has its type: an edit may have brought the digest along."""
    return (
        all(field in metadata and isinstance(metadata[field], kind) for field, kind in _FIELDS.items())
        and all(value is None or type(value) is float for value in metadata["metrics"].values())
        and all(named_arrays.is_spec(entry) for entry in metadata["tree"].values())
    )
