"""The log of a parameter server: a line for every push, on disk before anyone can read what the push has changed.

A shard that is killed and restored begins a new *life*, with a new file, at a version of an earlier life; what was
applied after that is lost to training but not to the log. Since every line says which versions its gradient was
computed from, the logs of all lives together determine every number of the run (`log_replay`).

One file a life, `shard-0/life-0000.jsonl`. First line: `{"shard", "life", "origin"}`, origin `[life, version]` or null.
Then a push a line: who (`worker`, its `life` and local `step`), the version `read` from this shard, the version
`applied` to, and `fetches`, `[step, [[life, version] of every shard]]`. Only JSON: what is read cannot execute.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnn.parallel.event_logs import Log


class Version(NamedTuple):
    """Of a shard's parameters: `number` updates, counted in one `life` of its server."""

    life: int
    number: int


class Fetch(NamedTuple):
    """Before its local `step` a worker got these `versions`, one of each shard."""

    step: int
    versions: tuple[Version, ...]


class Push(NamedTuple):
    """The gradient that `worker` sent after its local `step`.

    life: of the worker; it begins anew, with nothing but what it fetches, after a death of its own or of a server.
    fetches: those since its last push, or the newest before that: the last says what the gradient was computed from.
    applied: the server's version when it was applied, which made it the next.
    """

    worker: int
    life: int
    step: int
    fetches: tuple[Fetch, ...]
    applied: int = -1

    def read(self, shard: int) -> Version:
        """The version of the shard that the gradient was computed from."""
        return self.fetches[-1].versions[shard]


class Life(NamedTuple):
    """What one server did: from `origin`, a version of an earlier life or None for the beginning, these `pushes`."""

    number: int
    origin: Version | None
    pushes: list[Push]


class PushLog:
    """Appends to the file of a new life, the next after those that `folder` has.

    Args:
      folder: of the run; made if missing.
      shard: whose log.
      origin: the version from which this life begins.
    """

    def __init__(self, folder: str | os.PathLike, shard: int, origin: Version | None):
        self.shard, here = shard, shard_folder(folder, shard)
        here.mkdir(parents=True, exist_ok=True)
        self.life = len(_files(here))
        self._file = open(here / f"life-{self.life:04d}.jsonl", "x", encoding="utf-8")  # noqa: SIM115
        self._write({"shard": shard, "life": self.life, "origin": origin})

    def append(self, push: Push) -> None:
        """Hands the line to the system: it survives a kill of the process, if not a power cut."""
        self._write(push._asdict() | {"read": push.read(self.shard)})

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _write(self, line):
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()


def shard_folder(folder: str | os.PathLike, shard: int) -> Path:
    """Where a shard keeps its log and its checkpoints."""
    return Path(folder) / f"shard-{shard}"


def read_log(folder: str | os.PathLike, shard: int = 0) -> list[Life]:
    """Every life of a shard, oldest first; a last line that was not finished is left out.

    Raises:
      FileNotFoundError: no log of that shard.
      ValueError: a line is not what a server writes.
    """
    files = _files(shard_folder(folder, shard))
    if not files:
        raise FileNotFoundError(f"{folder} holds no log of shard {shard}. Is it the folder of an asynchronous run?")
    return [_read(path) for path in files]


def push_rows(lives: Iterable[Life], shard: int = 0) -> Log:
    """A row for each push, as `staleness_of` takes them; worker, local step, version read and version applied.

    Pushes that were computed from an earlier life are left out: their versions cannot be compared.

    >>> from jaxnn.parallel.event_logs import staleness_of
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


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("life-*.jsonl"))


def _read(path: Path) -> Life:
    whole = path.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        head, *lines = (json.loads(line) for line in whole)
        origin = None if head["origin"] is None else _version(head["origin"])
        return Life(int(head["life"]), origin, [_push(line) for line in lines])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {error!r}. Every line must be what a server wrote.") from None


def _push(line) -> Push:
    fetches = (Fetch(int(step), tuple(map(_version, versions))) for step, versions in line["fetches"])
    numbers = (int(line[name]) for name in ("worker", "life", "step"))
    return Push(*numbers, tuple(fetches), int(line["applied"]))


def _version(pair) -> Version:
    life, number = pair
    return Version(int(life), int(number))
