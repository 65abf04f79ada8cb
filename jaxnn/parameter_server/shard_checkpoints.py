"""A checkpoint of a server holds its part of the training state in one safetensors file, written whole or not at all.

The name `shard-0/0000-00000500.safetensors` has the life and the version. The bytes are written to a temporary name,
flushed to the disk, and renamed in one step. The newest two files stay. Reading a file cannot execute code.
"""

import json
import os
import reprlib
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxnn.bounded_files import open_regular
from jaxnn.parameter_server.parameter_shards import named_leaves, with_named_leaves
from jaxnn.parameter_server.push_log import Version, files_of_shard, parse_count, parse_version, shard_folder
from jaxnn.training.train_state import TrainState

_KEPT = 2
_SUFFIX = ".safetensors"
_MOST_BESIDE = 2**24  # bytes of a file besides its arrays: their names, and each worker's next step
_ABOUT = {"version", "next_steps"}


class ShardCheckpoint(NamedTuple):
    """Holds a server's part, its version (None before the run has begun), and each worker's next local step."""

    part: TrainState
    version: Version | None
    next_steps: dict[int, int]


def save_shard(folder: str | os.PathLike, shard: int, checkpoint: ShardCheckpoint) -> Path:
    """Writes a checkpoint and removes all except the newest two.

    Raises:
      OSError: the checkpoint cannot be written; the earlier ones stay unchanged.
    """
    here = shard_folder(folder, shard)
    here.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in named_leaves(checkpoint.part).items()}
    about = {"version": json.dumps(checkpoint.version), "next_steps": json.dumps(list(checkpoint.next_steps.items()))}
    path = here / _name(checkpoint.version)
    _write(path, safetensors.numpy.save(arrays, metadata=about))
    for old in files_of_shard(folder, shard, _SUFFIX)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest_shard(folder: str | os.PathLike, shard: int, like: TrainState) -> ShardCheckpoint | None:
    """Reads the newest whole checkpoint of a shard; returns None if the shard has no checkpoint.

    Args:
      folder: the folder of the run.
      shard: the number of the server.
      like: a part with the same names, shapes and dtypes.

    Raises:
      ValueError: the arrays do not match `like`, because the folder is of another model or optimizer; the version or
        the next steps are not in the form that a server writes; or there are checkpoints but none is whole.
      OSError: a checkpoint cannot be read.
    """
    files = files_of_shard(folder, shard, _SUFFIX)
    for path in reversed(files):
        try:
            arrays, about = _read(path, like)
        except safetensors.SafetensorError:  # a fault of the disk: a kill never leaves half a file under this name
            continue
        _check(path, arrays, like)
        part = with_named_leaves(like, {name: jnp.array(array) for name, array in arrays.items()})
        return ShardCheckpoint(part, *_parse(path, about, int(part.step)))
    if files:
        raise ValueError(
            f"{shard_folder(folder, shard)} must hold a checkpoint that is whole; found {len(files)}, all damaged. "
            "Restore one from a copy, or begin in a new folder."
        )
    return None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".jaxnn-tmp")
    temporary.unlink(missing_ok=True)  # a file that a kill has left, or a link to another place
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path, like):
    """Returns the arrays of a file, and its metadata."""
    most = sum(np.asarray(leaf).nbytes for leaf in named_leaves(like).values()) + _MOST_BESIDE
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    if size > most:
        raise ValueError(f"{path} must have at most {most} bytes, by its model; it has {size}. {_FOREIGN}")
    with safetensors.safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _parse(path, about, step) -> tuple[Version, dict[int, int]]:
    """Returns version and next steps; checks that the version agrees with the file's name and the arrays' step."""
    try:
        if about.keys() != _ABOUT:
            raise ValueError(f"expected {' and '.join(sorted(_ABOUT))}, received {reprlib.repr(sorted(about))}")
        version, steps = parse_version(json.loads(about["version"])), json.loads(about["next_steps"])
        if path.name != _name(version) or version.number != step:
            raise ValueError(f"expected version {version.number} of life {version.life}, received one of step {step}")
        if type(steps) is not list or any(type(pair) is not list or len(pair) != 2 for pair in steps):
            raise ValueError(f"expected pairs of a worker and its next step, received {reprlib.repr(steps)}")
        return version, {parse_count(worker): parse_count(step) for worker, step in steps}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}. Restore it from a copy, or remove it.") from None


def _name(version: Version) -> str:
    return "{:04d}-{:08d}".format(*version) + _SUFFIX


def _check(path, arrays, like):
    expected = {name: (np.shape(leaf), str(jnp.result_type(leaf))) for name, leaf in named_leaves(like).items()}
    received = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    differing = sorted(name for name in expected.keys() | received if expected.get(name) != received.get(name))
    if differing:
        raise ValueError(
            f"{path} is of another model, optimizer or number of servers: {', '.join(differing[:5])} differ. {_FOREIGN}"
        )


_FOREIGN = "Choose a new folder, or the settings that the run was begun with."
