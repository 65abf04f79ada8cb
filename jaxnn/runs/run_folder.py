"""A run is a folder that contains a `config.json`.

`config.json` holds the information that is needed to repeat the run: the resolved configuration with its seed, the
versions, the machine and the command. It is written once, before any other file, and never changed.
"""

import contextlib
import json
import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jaxnn.runs.atomic_files as atomic_files
import jaxnn.runs.run_lock as run_lock
from jaxnn.bounded_files import read_object
from jaxnn.runs.run_lock import one_writer
from jaxnn.version import __version__

_FIELDS = {"jaxnn": str, "versions": dict, "platform": dict, "created": str, "command": list, "config": dict}
_MOST_BYTES = 2**20
_RESTORE = "Was the file edited? Restore it from a copy, or start a new run."


def create(path: str | os.PathLike | None, config: dict[str, Any], *, name: str = "run") -> Path:
    """Makes a new run folder with its `config.json`; if two processes make the same folder, only one succeeds.

    Args:
        path: the folder, which is missing or empty. Missing parents are made. None makes the next free folder that
            `default_path` gives for `name`; if two processes do so at once, the second uses the next number.
        config: the resolved configuration in values that JSON can hold: dicts with string keys, lists, strings, finite
            numbers, bools and None.
        name: the name of the run if `path` is None.

    Returns:
        The path of the folder.

    Raises:
        FileExistsError: `path` is a file, or a folder that is not empty.
        BlockingIOError: another process writes to the folder.
        ValueError: the folder cannot be made or written to, or JSON cannot hold `config`.
    """
    text = _render(config)
    path = make_next(name) if path is None else Path(path)
    check_new(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with one_writer(path):
            check_new(path)  # checked again: another process may have written here before the lock was held
            atomic_files.remove_leftovers(path)
            atomic_files.write(path / "config.json", text.encode())
    except (FileExistsError, BlockingIOError):
        raise
    except OSError as error:
        raise ValueError(_unwritable(path, error)) from error
    return path


def make_next(name: str) -> Path:
    """Makes the empty folder that `default_path` names, or the next one if another process made that folder first.

    Raises:
        ValueError: the folder cannot be made, or `name` is not a plain name.
    """
    path = default_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _is_made(path):
            path = default_path(name)
    except OSError as error:
        raise ValueError(_unwritable(path, error)) from error
    return path


def check_new(path: str | os.PathLike) -> None:
    """Raises FileExistsError if `path` is a file or a folder that is not empty.

    A folder counts as empty if it has only the lock and temporary files of a start that was killed.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise FileExistsError(f"{path} is a file, expected the name of a new folder. Choose another --out.")
    if path.is_dir() and not all(map(_is_of_a_killed_start, path.iterdir())):
        remedy = f"Choose another --out, or continue that run with `jaxnn resume {path}`."
        raise FileExistsError(f"{path} is not empty, expected a new folder. {remedy}")


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the whole `config.json` of a run; the configuration itself is the field "config".

    Args:
        path: the run folder.

    Returns:
        {"jaxnn", "versions", "platform", "created", "command", "config"}, as `create` wrote them.

    Raises:
        FileNotFoundError: the folder does not exist, or it has no `config.json`.
        ValueError: `config.json` is damaged or not a regular file, or a field is missing or of another type.
        OSError: the file cannot be read.
    """
    path = Path(path)
    file = path / "config.json"
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is no folder, expected a run. Check the name; runs lie in runs/ unless --out said otherwise."
        )
    if not os.path.lexists(file):
        raise FileNotFoundError(f"{path} is no run: it has no config.json. Give the folder that `jaxnn train` made.")
    record = read_object(file, most=_MOST_BYTES)
    for field, kind in _FIELDS.items():
        if not isinstance(record.get(field), kind):
            received = type(record[field]).__name__ if field in record else "nothing"
            raise ValueError(f'{file}: expected "{field}" to be a {kind.__name__}, received {received}. {_RESTORE}')
    return record


def default_path(model: str, root: str | os.PathLike = "runs") -> Path:
    """Returns the next free path for a run, such as `runs/lenet5-001`, then `runs/lenet5-002`.

    The number is the highest existing one plus 1.

    Args:
        model: the name of the model, made of letters, digits, dot, dash and underscore.
        root: the folder of the runs; it may be missing.

    Raises:
        ValueError: `model` is not a plain folder name.
    """
    if not re.fullmatch(r"\w[\w.-]*", model):
        raise ValueError(
            f"`model` must be made of letters, digits, '.', '-' and '_'; received {model!r}. Give --out a path."
        )
    root = Path(root)
    names = [entry.name for entry in root.iterdir()] if root.is_dir() else []
    matches = (re.fullmatch(rf"{re.escape(model)}-(\d{{3,}})", name, re.ASCII) for name in names)
    number = 1 + max((int(match[1]) for match in matches if match), default=0)
    return root / f"{model}-{number:03d}"


def _render(config: dict[str, Any]) -> str:
    record = {
        "jaxnn": __version__,
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "numpy")},
        "platform": _platform(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "config": config,
    }
    try:
        text = json.dumps(record, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`config` must hold what JSON can hold: {error}. Convert arrays and objects first."
        ) from error
    if json.loads(text)["config"] != config:
        raise ValueError(
            "`config` must come back from JSON as it went in: use string keys, and lists instead of tuples."
        )
    return text


def _platform() -> dict[str, Any]:
    """Describes the machine as jax sees it; jax is imported here, so that reading a configuration stays fast."""
    import jax

    devices = jax.devices()
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "backend": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
    }


def _is_made(path: Path) -> bool:
    """Makes the folder; returns False if another process made it first."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        return True
    return False


def _is_of_a_killed_start(entry: Path) -> bool:
    return entry.name == run_lock.NAME or atomic_files.is_leftover(entry)


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"cannot write a run to {path}: {error.strerror or error}. Choose another --out, in a folder you may write to."
    )
