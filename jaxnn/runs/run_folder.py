"""A run is a folder, and `config.json` is what makes a folder a run.

`config.json` holds all that is needed to repeat the run: the resolved configuration (seed included), the versions, the
machine and the command. It is written once, before anything else, and never changed.
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
    """Makes a new run folder with its `config.json`; of two processes that make the same one, one does.

    Args:
        path: the folder; missing, or there and empty. Missing parents are made. None for the next free one that
            `default_path` gives to `name`: of two processes that make it, the other takes the number after it.
        config: the resolved configuration, of what JSON can hold: dicts with string keys, lists, strings, finite
            numbers, bools and None.
        name: see `path`.

    Returns:
        The folder.

    Raises:
        FileExistsError: `path` is a file, or a folder with something in it.
        BlockingIOError: another process writes to the folder.
        ValueError: the folder cannot be made or written, or `config` is not JSON.
    """
    text = _render(config)
    path = make_next(name) if path is None else Path(path)
    check_new(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with one_writer(path):
            check_new(path)  # again: another process may have been here before the lock
            atomic_files.remove_leftovers(path)
            atomic_files.write(path / "config.json", text.encode())
    except (FileExistsError, BlockingIOError):
        raise
    except OSError as error:
        raise ValueError(_unwritable(path, error)) from error
    return path


def make_next(name: str) -> Path:
    """Makes the empty folder that `default_path` names; who finds that another was faster takes the number after it.

    Raises:
        ValueError: the folder cannot be made, or `name` is no plain name.
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
    """Raises FileExistsError if `path` is a file, or a folder with something in it; a killed start left nothing."""
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise FileExistsError(f"{path} is a file, expected the name of a new folder. Choose another --out.")
    if path.is_dir() and not all(map(_is_of_a_killed_start, path.iterdir())):
        remedy = f"Choose another --out, or continue that run with `jaxnn resume {path}`."
        raise FileExistsError(f"{path} is not empty, expected a new folder. {remedy}")


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a run's whole `config.json`; the configuration itself is its field "config".

    Args:
        path: the run folder.

    Returns:
        {"jaxnn", "versions", "platform", "created", "command", "config"}, as `create` wrote them.

    Raises:
        FileNotFoundError: no such folder, or a folder that is no run.
        ValueError: `config.json` is broken or no file, or its fields are not what `create` writes.
        OSError: it cannot be read.
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
    """The next free name for a run: `runs/lenet5-001`, then `runs/lenet5-002`, one past the highest number there.

    Args:
        model: the model's name: letters, digits, dot, dash, underscore.
        root: the folder of the runs; need not exist.

    Raises:
        ValueError: `model` would not be a plain folder name.
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
    """The machine, as jax sees it; jax is imported here, so that reading a configuration stays quick."""
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
    """Whether the folder is now there by this call, and not by another process, which was faster."""
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
