"""Checkpoints of one server: its part of the training state in one safetensors file, written whole or not at all.

`shard-0/0000-00000500.safetensors`: life and version. The bytes go to a temporary name, are flushed to the disk, and
take the real name in one rename. The newest two stay. Nothing that is read can execute.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxnn.parallel.parameter_shards import named_leaves, with_named_leaves
from jaxnn.parallel.push_log import Version, shard_folder
from jaxnn.training.train_state import TrainState

_KEPT = 2


class ShardCheckpoint(NamedTuple):
    """A server at one moment: its part, which version that is (None: of nothing yet), each worker's next local step."""

    part: TrainState
    version: Version | None
    next_steps: dict[int, int]


def save_shard(folder: str | os.PathLike, shard: int, checkpoint: ShardCheckpoint) -> Path:
    """Writes a checkpoint and removes those older than the last but one.

    Raises:
      OSError: it cannot be written; the earlier ones are as they were.
    """
    here = shard_folder(folder, shard)
    here.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in named_leaves(checkpoint.part).items()}
    about = {"version": json.dumps(checkpoint.version), "next_steps": json.dumps(list(checkpoint.next_steps.items()))}
    path = here / "{:04d}-{:08d}.safetensors".format(*checkpoint.version)
    _write(path, safetensors.numpy.save(arrays, metadata=about))
    for old in _files(here)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest_shard(folder: str | os.PathLike, shard: int, like: TrainState) -> ShardCheckpoint | None:
    """The newest checkpoint of a shard that can be read, or None.

    Args:
      folder: of the run.
      shard: which server's.
      like: a part of the same names, shapes and dtypes.

    Raises:
      ValueError: the arrays are not those of `like`: the folder is of another model or optimizer.
    """
    for path in reversed(_files(shard_folder(folder, shard))):
        try:
            arrays, about = _read(path)
        except safetensors.SafetensorError:  # the disk's fault: a kill leaves no half of a file
            continue
        _check(path, arrays, like)
        version, steps = json.loads(about["version"]), json.loads(about["next_steps"])
        part = with_named_leaves(like, {name: jnp.array(array) for name, array in arrays.items()})
        return ShardCheckpoint(part, Version(*map(int, version)), {int(worker): int(step) for worker, step in steps})
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".jaxnn-tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path: Path):
    with safetensors.safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def _check(path, arrays, like):
    expected = {name: (np.shape(leaf), str(jnp.result_type(leaf))) for name, leaf in named_leaves(like).items()}
    received = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    differing = sorted(name for name in expected.keys() | received if expected.get(name) != received.get(name))
    if differing:
        raise ValueError(
            f"{path} is of another model, optimizer or number of servers: {', '.join(differing[:5])} differ. "
            "Choose a new folder, or the settings that the run was begun with."
        )
