"""The log of a parameter server has a line for every push, written before anyone can read the push's effect.

A shard that is killed and restored begins a new *life*, with a new file, at a version of an earlier life. Pushes after
that version are lost to training, but they stay in the log. Every line says from which versions its gradient was
computed, so the logs of all lives together determine every number of the run (`log_replay`).

Each life has one file, `shard-0/life-0000.jsonl`. The first line is `{"shard", "life", "origin"}`, with the origin as
`[life, version]` or null. Every other line is a push: the `worker`, its `life` and local `step`, the version `read`
from this shard, the version to which the push was `applied`, and `fetches`, a list of `[step, [[life, version] of every
shard]]`. The files hold only JSON, so reading them cannot execute code.
"""

import json
import os
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxnn.asynchronous.event_logs import Log
from jaxnn.bounded_files import open_regular

_MOST_LINE = 2**20  # bytes; a push names some fetches, each with a version of every shard
_MOST = 2**31  # every count must be below this: devices count steps in 32 bits
_HEAD = {"shard", "life", "origin"}
_PUSH = {"worker", "life", "step", "fetches", "applied", "read"}
_REMEDY = "Restore the file from a copy, or begin in a new folder."


class Version(NamedTuple):
    """Identifies a version of a shard's parameters by its `number` of updates and the `life` of the server."""

    life: int
    number: int


class Fetch(NamedTuple):
    """Holds the `versions`, one of each shard, that a worker fetched before its local `step`."""

    step: int
    versions: tuple[Version, ...]


class Push(NamedTuple):
    """Describes the gradient that `worker` sent after its local `step`.

    life: the life of the worker. After its own death or that of a server a worker begins a new life, with only what it
      fetches.
    fetches: the newest fetch of the last push that has arrived, and all later fetches. The gradient was computed from
      the last of them.
    applied: the version of the server to which the push was applied; the push makes it the next version.
    """

    worker: int
    life: int
    step: int
    fetches: tuple[Fetch, ...]
    applied: int = -1

    def read(self, shard: int) -> Version:
        """Returns the version of the shard from which the gradient was computed."""
        return self.fetches[-1].versions[shard]


class Life(NamedTuple):
    """Holds the `pushes` of one life of a server, from `origin`: a version of an earlier life, or None at the start."""

    number: int
    origin: Version | None
    pushes: list[Push]


class PushLog:
    """Writes the file of a new life, the next after those in `folder`.

    Args:
      folder: the folder of the run; it is made if missing.
      shard: the shard whose log this is.
      origin: the version from which this life begins, None for the beginning of the run.
    """

    def __init__(self, folder: str | os.PathLike, shard: int, origin: Version | None):
        self.shard, here = shard, shard_folder(folder, shard)
        here.mkdir(parents=True, exist_ok=True)
        self.life = len(files_of_shard(folder, shard, ".jsonl"))
        self._file = open(here / f"life-{self.life:04d}.jsonl", "x", encoding="utf-8")  # noqa: SIM115
        self._write({"shard": shard, "life": self.life, "origin": origin})

    def append(self, push: Push) -> None:
        """Writes a line and flushes it to the operating system: it survives a kill of the process, not a power cut."""
        self._write(push._asdict() | {"read": push.read(self.shard)})

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, line):
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()


def shard_folder(folder: str | os.PathLike, shard: int) -> Path:
    """Returns the folder where a shard keeps its log and its checkpoints."""
    return Path(folder) / f"shard-{shard}"


def files_of_shard(folder: str | os.PathLike, shard: int, suffix: str) -> list[Path]:
    """Returns a shard's files of one kind, oldest first; an empty list if nothing has been written yet.

    Raises:
      OSError: the folder exists but cannot be listed; for example it is a file or a broken link.
    """
    here = shard_folder(folder, shard)
    try:
        names = os.listdir(here)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not os.path.lexists(here):
            return []
        raise type(error)(
            f"{here} must be a folder that can be listed: {error.strerror}. Mend it, or begin in a new folder."
        ) from None
    return [here / name for name in sorted(names) if name.endswith(suffix)]


def read_log(folder: str | os.PathLike, shard: int = 0) -> list[Life]:
    """Reads every life of a shard, oldest first; a last line that was not finished is left out.

    Raises:
      FileNotFoundError: there is no log of that shard.
      ValueError: a line is not in the form that a server writes.
      OSError: a file cannot be read.
    """
    files = files_of_shard(folder, shard, ".jsonl")
    if not files:
        raise FileNotFoundError(f"{folder} holds no log of shard {shard}. Is it the folder of an asynchronous run?")
    return [_read(path, shard, number) for number, path in enumerate(files)]


def push_rows(lives: Iterable[Life], shard: int = 0) -> Log:
    """Returns a row for each push, for `staleness_of`: worker, local step, version read and version applied.

    Pushes whose gradient was computed from an earlier life are left out, because their versions cannot be compared.

    >>> from jaxnn.asynchronous.staleness_counts import staleness_of
    >>> push = Push(worker=0, life=0, step=4, fetches=(Fetch(4, (Version(0, 7),)),), applied=9)
    >>> staleness_of(push_rows([Life(0, None, [push])])).tolist()
    [2]
    """
    rows = [
        (push.worker, push.step, push.read(shard).number, push.applied)
        for life in lives
        for push in life.pushes
        if push.read(shard).life == life.number
    ]
    return Log(*np.array(rows, np.int64).reshape(-1, 4).T)


def parse_count(value: Any) -> int:
    """Returns a number of steps, updates, workers or lives from JSON; raises ValueError for any other value."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f"expected an integer of 0 to {_MOST - 1}, received {reprlib.repr(value)}")
    return value


def parse_version(value: Any) -> Version:
    """Returns a version from its JSON form `[life, number]`; raises ValueError for any other value."""
    return Version(*map(parse_count, _list_of(value, 2)))


def _read(path: Path, shard: int, life: int) -> Life:
    """Reads one file line by line, and checks each line before its values are used."""
    number, origin, pushes = 0, None, []
    with open_regular(path) as file:
        try:
            for number, line in enumerate(_lines(file), start=1):
                if number == 1:
                    origin = _origin(json.loads(line), shard, life)
                else:
                    pushes.append(_push(json.loads(line), shard))
            if not number:
                raise ValueError("expected a first line that says which life it is, received none")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is damaged near line {max(number, 1)}: {error}. {_REMEDY}") from None
    return Life(life, origin, pushes)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yields the finished lines of a file."""
    while (line := file.readline(_MOST_LINE)).endswith(b"\n"):
        yield line
    if len(line) == _MOST_LINE:
        raise ValueError(f"expected lines of less than {_MOST_LINE} bytes, received a longer one")


def _origin(line, shard, life) -> Version | None:
    _check_keys(line, _HEAD)
    if (parse_count(line["shard"]), parse_count(line["life"])) != (shard, life):
        raise ValueError(
            f"expected life {life} of shard {shard}, received life {line['life']} of shard {line['shard']}"
        )
    origin = None if line["origin"] is None else parse_version(line["origin"])
    if origin and origin.life >= life:
        raise ValueError(f"expected an origin in an earlier life, received life {origin.life} of life {life}")
    return origin


def _push(line, shard) -> Push:
    _check_keys(line, _PUSH)
    fetches = tuple(map(_fetch, _list_of(line["fetches"])))
    steps = [fetch.step for fetch in fetches]
    worker, life, step, applied = (parse_count(line[name]) for name in ("worker", "life", "step", "applied"))
    if not steps or steps != sorted(set(steps)) or steps[-1] > step:
        raise ValueError(f"expected fetches one after the other, up to step {step}, received {reprlib.repr(steps)}")
    counts = {len(fetch.versions) for fetch in fetches}
    if len(counts) != 1 or min(counts) <= shard:
        raise ValueError("expected a version of every shard in each fetch, received fewer")
    return Push(worker, life, step, fetches, applied)


def _fetch(value) -> Fetch:
    step, versions = _list_of(value, 2)
    return Fetch(parse_count(step), tuple(map(parse_version, _list_of(versions))))


def _check_keys(line, keys):
    if type(line) is not dict or line.keys() != keys:
        raise ValueError(f"expected an object of {', '.join(sorted(keys))}, received {reprlib.repr(line)}")


def _list_of(value, length: int | None = None) -> list:
    if type(value) is not list or length not in (None, len(value)):
        raise ValueError(f"expected a list{f' of {length}' if length else ''}, received {reprlib.repr(value)}")
    return value
