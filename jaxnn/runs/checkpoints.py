"""Checkpoints hold the training state on disk; they are written completely or not at all, and checked when read.

A checkpoint is two files. `00000469.safetensors` holds the arrays under flat names (`params/conv1/kernel`).
`00000469.json` describes them (`checkpoint_metadata`): step, metrics, size and sha256 of the other file, shape and
dtype of every leaf, and a digest of the description itself. The JSON is written last and removed first, so a checkpoint
exists if and only if its JSON exists. One process writes to a folder at a time; any number of processes may read it
meanwhile.

Nothing in a checkpoint can execute (no pickle), and no array is built before sizes, hashes, names, shapes and dtypes
agree.
"""

import contextlib
import hashlib
import math
import operator
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import jaxnn.runs.atomic_files as atomic_files
import jaxnn.runs.checkpoint_metadata as checkpoint_metadata
import jaxnn.runs.named_arrays as named_arrays
from jaxnn.bounded_files import open_regular
from jaxnn.naming import shown
from jaxnn.runs.loggers import finite_numbers
from jaxnn.training.early_stopping import is_better_large

_TRIES = 10  # attempts of a reader beside a writer; one reading takes less time than one epoch
_NAME = re.compile(r"\d{8}|[1-9]\d{8,}", re.ASCII)


def save(
    folder: str | os.PathLike,
    state: Any,
    *,
    step: int,
    metrics: Mapping[str, Any],
    totals: Mapping[str, tuple[float, float]] = {},
    keep: int = 3,
    best: str | None = "validation/accuracy",
) -> Path:
    """Writes one checkpoint, then removes the checkpoints that are no longer needed.

    The checkpoint is on disk when the function returns, so `state` may be donated right away. The checkpoints that stay
    are the newest `keep`, the one just written, and the one with the best value of the metric `best`. The best value is
    the largest one; for a loss, an error or a perplexity it is the smallest. Among equal values the newest checkpoint
    wins, because it has trained longer. NaN and missing values never win. A second save of the same step replaces the
    first.

    Args:
        folder: the folder of the checkpoints; made if missing.
        state: any pytree of arrays, typed keys and Python numbers.
        step: number of updates made so far, at least 0; it names the files.
        metrics: names -> scalars, recorded beside the state; NaN and the infinities become null.
        totals: names -> sum and count in an unfinished epoch; `restore` returns the same bits.
        keep: how many of the newest checkpoints stay, at least 1.
        best: the metric whose best checkpoint stays in addition, or None.

    Returns:
        The path of the safetensors file.

    Raises:
        ValueError: a number is out of range, safetensors cannot hold a leaf, or there are too many leaves.
        OSError: the files cannot be written (disk full, ...); the earlier checkpoints are unchanged.
    """
    folder, step = Path(folder), operator.index(step)
    if step < 0 or keep < 1:
        raise ValueError(f"`step` must be at least 0 and `keep` at least 1; received {step} and {keep}.")
    tree, data = named_arrays.serialize(state)
    described = {"step": step, "metrics": finite_numbers(metrics), "totals": totals, "best": best}
    summed = {"written": datetime.now(UTC).isoformat(), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    text = checkpoint_metadata.render(described | summed | {"tree": tree})
    try:
        _write(folder, step, data, summed["sha256"], text)
    except OSError as error:
        raise OSError(error.errno, _failure(folder, step, len(data), error)) from error
    _prune(folder, step, keep, best)
    return _files(folder, step)[0]


def steps(folder: str | os.PathLike) -> list[int]:
    """Lists the steps of the checkpoints in `folder` in ascending order; a missing folder has none.

    Raises:
        OSError: `folder` cannot be read or is not a folder, so its checkpoints are unknown.
    """
    try:
        names = os.listdir(folder) if os.path.lexists(folder) else []
    except OSError as error:
        remedy = "Mend it: what it holds is not known."
        raise type(error)(f"cannot read the checkpoints in {folder}: {error.strerror}. {remedy}") from error
    stems = (stem for stem, ending in map(os.path.splitext, names) if ending == ".json")
    return sorted(int(stem) for stem in stems if _NAME.fullmatch(stem))


def describe(folder: str | os.PathLike, step: int) -> dict[str, Any]:
    """Reads and checks the metadata of one checkpoint; the arrays are not read.

    Returns:
        The fields of `checkpoint_metadata`.

    Raises:
        FileNotFoundError: there is no checkpoint of that step; the message lists the steps that exist.
        ValueError: the file is broken, was edited, or was written by another version of jaxnn.
        OSError: the file cannot be read.
    """
    folder = Path(folder)
    here = steps(folder)
    if step not in here:
        raise FileNotFoundError(f"{folder} holds no checkpoint of step {step}. Those it holds: {here or 'none'}.")
    return checkpoint_metadata.read(_files(folder, step)[1], step)


def restore(
    folder: str | os.PathLike, template: Any, *, which: str | int = "last", older: Any = None
) -> tuple[Any, dict[str, Any]]:
    """Reads a checkpoint into the structure of `template`; every leaf has exactly the bits that were saved.

    Another process may write to the folder at the same time. If it removes the chosen checkpoint meanwhile, `restore`
    chooses again and reads the new choice.

    Args:
        folder: the folder of the checkpoints.
        template: a pytree of arrays or `jax.ShapeDtypeStruct`s, for instance from `jax.eval_shape`.
        which: "last", "best" (by the metric named at the last save) or a step.
        older: the template for checkpoints of an earlier version, which have other leaves.

    Returns:
        The state (jax arrays on the default device) and the metadata (see `describe`).

    Raises:
        FileNotFoundError: there is no checkpoint, or none of that step.
        ValueError: a file is damaged or edited (the message names a checkpoint that is intact), or the checkpoint is of
            another model (the message lists the differences).
        OSError: the folder or a file cannot be read.
    """
    folder, most = Path(folder), named_arrays.most_bytes(template)
    return read_again(folder, lambda: _restore(folder, template, older, which, most))


def read_again(folder: str | os.PathLike, read: Callable[[], Any]) -> Any:
    """Returns the result of `read()`, and calls it again if it failed while a writer changed the folder.

    Args:
        folder: the folder of the checkpoints that `read` reads.
        read: a function without arguments. It is called again if a writer added or removed files while it failed, at
            most ten times in all.

    Raises:
        ValueError, FileNotFoundError: the last failure of `read`.
    """
    for _ in range(_TRIES - 1):
        before = _listing(folder)
        try:
            return read()
        except (ValueError, FileNotFoundError):
            if _listing(folder) == before:
                raise
    return read()


def readable(folder: str | os.PathLike, among: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Yields the metadata (see `describe`) of the steps in `among`, and skips steps whose JSON cannot be read."""
    for step in among:
        with contextlib.suppress(ValueError, OSError):
            yield describe(folder, step)


def rewind(folder: str | os.PathLike, step: int) -> None:
    """Removes the checkpoints later than `step`, for a run that goes back to `step` and continues from there."""
    _remove(Path(folder), (later for later in steps(folder) if later > step))


def _files(folder: Path, step: int) -> tuple[Path, Path]:
    return folder / f"{step:08d}.safetensors", folder / f"{step:08d}.json"


def _listing(folder: str | os.PathLike) -> set[tuple[str, int]]:
    """Returns the names and inodes of the files; a replaced file has another inode."""
    try:
        with os.scandir(folder) as entries:
            return {(entry.name, entry.inode()) for entry in entries}
    except OSError:
        return set()


def _restore(folder: Path, template: Any, older: Any, which: str | int, most: int) -> tuple[Any, dict[str, Any]]:
    step = _choose(folder, which, most)
    with _advice(folder, step, most):
        metadata = describe(folder, step)
    if older is not None and named_arrays.names_of(older) == set(metadata["tree"]):
        template = older
    named_arrays.check_same_tree(metadata["tree"], template, where=f"{folder}, step {step}")
    with _advice(folder, step, most), _open_arrays(folder, metadata, most) as file:
        data = file.read(metadata["bytes"])
        if hashlib.sha256(data).hexdigest() != metadata["sha256"]:
            raise ValueError(
                f"{_files(folder, step)[0]} is damaged: its sha256 is not the one recorded when it was written."
            )
    return named_arrays.deserialize(data, metadata["tree"], template), metadata


def _write(folder: Path, step: int, data: bytes, sha256: str, text: bytes) -> None:
    arrays, record = _files(folder, step)
    folder.mkdir(parents=True, exist_ok=True)
    _clean(folder)
    try:
        staged = [atomic_files.stage(arrays, data), atomic_files.stage(record, text)]
        if record.exists() and any(old["sha256"] != sha256 for old in readable(folder, [step])):
            _remove(folder, [step])  # a JSON must never be beside arrays that it does not describe
        for temporary in staged:
            atomic_files.publish(temporary)
    except OSError:
        _clean(folder)
        raise


def _clean(folder: Path) -> None:
    """Removes what a killed process left: temporary files, and files of arrays that have no JSON."""
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
    kept.add(_best(readable(folder, here), best))
    _remove(folder, (one for one in here if one not in kept))


def _best(records: Iterable[dict[str, Any]], name: str | None) -> int | None:
    """Returns the step with the best metric `name`, the newest among equals; None if no record has the metric."""
    sign = 1 if name is None or is_better_large(name) else -1
    scored = [(record["metrics"].get(name), record["step"]) for record in records]
    return max(((sign * value, step) for value, step in scored if value is not None), default=(None, None))[1]


def _failure(folder: Path, step: int, size: int, error: OSError) -> str:
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    free = shutil.disk_usage(there).free
    return (
        f"could not write the checkpoint of step {step} ({size} bytes) to {folder}: {error.strerror or error}; "
        f"{free} bytes are free on that disk. {_alternative(folder)} Make room or mend the folder, then resume."
    )


def _choose(folder: Path, which: str | int, most: int) -> int:
    here = steps(folder)
    if not here:
        raise FileNotFoundError(f"{folder} holds no checkpoint. Check the folder, or train first.")
    if which == "last":
        return here[-1]
    if which != "best":
        if type(which) is not int:
            raise ValueError(f'`which` must be "last", "best" or a step (an int); received {shown(which)}.')
        return which
    records = []
    for step in here:
        with _advice(folder, step, most):
            records.append(describe(folder, step))
    name = records[-1]["best"]
    step = _best(records, name)
    if step is None:
        remedy = f"Use which='last' or a step of {here}."
        raise ValueError(f"no checkpoint in {folder} has a finite metric {shown(name)} to be the best by. {remedy}")
    return step


def _open_arrays(folder: Path, metadata: dict[str, Any], most: float) -> BinaryIO:
    """Opens the file of the arrays; its size must be the one in the metadata, and at most `most` bytes."""
    file = _files(folder, metadata["step"])[0]
    if metadata["bytes"] > most:
        raise ValueError(f"{file} must have at most {most} bytes; its JSON says {metadata['bytes']}. Was it edited?")
    try:
        arrays = open_regular(file)
    except FileNotFoundError:
        raise ValueError(f"{file} is missing, though its JSON is there.") from None
    size = os.fstat(arrays.fileno()).st_size
    if size != metadata["bytes"]:
        arrays.close()
        raise ValueError(f"{file} is damaged: expected {metadata['bytes']} bytes, received {size}.")
    return arrays


@contextlib.contextmanager
def _advice(folder: Path, step: int, most: float) -> Iterator[None]:
    """Adds to an error about the checkpoint of `step` the name of another checkpoint that is intact."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} {_alternative(folder, step, most)}") from None


def _alternative(folder: Path, step: int | None = None, most: float = math.inf) -> str:
    with contextlib.suppress(OSError):
        for other in reversed(steps(folder)):
            if other != step and _is_whole(folder, other, most):
                return f"Step {other} is whole: use which={other} / --step {other}."
    return "No other checkpoint there is whole."


def _is_whole(folder: Path, step: int, most: float) -> bool:
    try:
        metadata = describe(folder, step)
        with _open_arrays(folder, metadata, most) as arrays:
            return hashlib.file_digest(arrays, "sha256").hexdigest() == metadata["sha256"]
    except (ValueError, OSError):
        return False
