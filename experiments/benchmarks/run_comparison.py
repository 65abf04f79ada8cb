"""What two run folders differ in, clocks apart: states, metrics, TensorBoard's events, tables, files.

The files are read here by other code than jaxnn's, which may be wrong. A sentence is returned for every difference.
"""

import hashlib
import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog

CLOCKS = ("seconds",)  # fields that two equal runs differ in
COLUMNS = ("states", "metrics", "events", "tables", "files")


def differences(folder: Path, other: Path, *, stopped: bool = False) -> dict[str, list[str]]:
    """Column -> sentences that say in what `folder` differs from `other`; empty where nothing does.

    Args:
      folder, other: of two runs of one command and seed; `other` is believed.
      stopped: whether a signal let `folder` write checkpoints within an epoch, which may have displaced others.
    """
    compared = (
        _state_differences(folder, other, stopped),
        _metric_differences(folder, other),
        _event_differences(folder, other),
        _table_differences(folder, other),
        _file_differences(folder, other),
    )
    return dict(zip(COLUMNS, compared, strict=True))


def event_values(folder: Path) -> dict[tuple[str, int], list[float]]:
    """(tag, step) -> values, as TensorBoard shows them: a file that begins at a step hides what older ones hold of it.

    A file is read up to a record that is torn.
    """
    shown = defaultdict(list)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in map(Event.FromString, _records(path.read_bytes())):
            if event.HasField("session_log") and event.session_log.status == SessionLog.START:
                for hidden in [key for key in shown if key[1] >= event.step]:
                    del shown[hidden]
            for value in event.summary.value:
                shown[value.tag, event.step].append(value.simple_value)
    return dict(shown)


def _records(data: bytes) -> Iterator[bytes]:
    """TFRecord: length (8 bytes), its sum (4), so many bytes, their sum (4)."""
    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + 12 + length
        if end + 4 > len(data):
            return
        yield data[start + 12 : end]
        start = end + 4


def _state_differences(folder: Path, other: Path, stopped: bool) -> list[str]:
    """Of all checkpoints in both, by the sums of their bytes: parameters, moments, keys and steps."""
    ours, theirs = _sums(folder), _sums(other)
    told = [f"{name} has other bits" for name in ours if name in theirs and ours[name] != theirs[name]]
    last = max(theirs, default=None)
    if ours.keys() != theirs.keys() and not (stopped and max(ours, default=None) == last):
        told.append(f"checkpoints {sorted(ours)} instead of {sorted(theirs)}")
    return told


def _sums(folder: Path) -> dict[str, str]:
    paths = folder.glob("checkpoints/**/*.safetensors")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _metric_differences(folder: Path, other: Path) -> list[str]:
    ours, theirs = _metrics(folder), _metrics(other)
    pairs = [(a, b) for a, b in zip_longest(ours, theirs, fillvalue={}) if a != b]
    return [_told_line(a, b) for a, b in pairs]


def _metrics(folder: Path) -> list[dict]:
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [_without_clocks(json.loads(line)) for line in lines]


def _told_line(ours: dict, theirs: dict) -> str:
    names = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
    values = (f"{name} {ours.get(name)} instead of {theirs.get(name)}" for name in names[:2])
    return f"metrics of step {theirs.get('step', ours.get('step'))}: {', '.join(values)}"


def _event_differences(folder: Path, other: Path) -> list[str]:
    ours, theirs = event_values(folder / "tensorboard"), event_values(other / "tensorboard")
    common = ours.keys() & theirs.keys()
    doubled = [key for key in common if len(ours[key]) > len(theirs[key])]
    counts = {
        "missing": len(theirs.keys() - common),
        "not expected": len(ours.keys() - common),
        "doubled": len(doubled),
        "of other values": sum(ours[key] != theirs[key] for key in common.difference(doubled)),
    }
    return [f"{count} of {len(theirs)} events {how}" for how, count in counts.items() if count]


def _table_differences(folder: Path, other: Path) -> list[str]:
    """Of the results in CSV and JSON, and of what the run was asked for."""
    names = sorted({path.name for pattern in ("*.csv", "*.json") for path in other.glob(pattern)})
    return [
        f"{name} differs" for name in names if (folder / name).exists() and _table(folder, name) != _table(other, name)
    ]


def _table(folder: Path, name: str):
    text = (folder / name).read_text()
    if name.endswith(".csv"):
        return text
    table = _without_clocks(json.loads(text))
    return {k: v for k, v in table["config"].items() if k != "out"} if name == "config.json" else table


def _without_clocks(table: dict) -> dict:
    return {name: value for name, value in table.items() if name not in CLOCKS}


def _file_differences(folder: Path, other: Path) -> list[str]:
    """Of the names that lie in the folder, and of temporary files anywhere in it."""
    ours, theirs = ({path.name for path in one.iterdir()} for one in (folder, other))
    left = [f"{path.relative_to(folder)} is left over" for path in folder.rglob("*.jaxnn-tmp")]
    lacking, foreign = sorted(theirs - ours), sorted(ours - theirs)
    return [*(f"{name} is missing" for name in lacking), *(f"{name} is not expected" for name in foreign), *left]
