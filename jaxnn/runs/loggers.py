"""Metrics on disk: one JSON line per evaluation, and TensorBoard events for those who like curves live.

Both are opened with the step the run resumes from and forget what lies after it, so each evaluation stands there once.
Write the metrics of a step before its checkpoint: whatever step a run resumes from, its line is then there.
"""

import itertools
import json
import math
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jaxnn.runs.atomic_files as atomic_files
from jaxnn.bounded_files import open_regular

_LONGEST_LINE = 2**20  # bytes: twenty thousand metrics
_EDITED = "Was the file edited? Remove that line, or move the file away."


def finite_numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Turns metrics into what JSON can hold: floats, and None (`null`) for NaN and the infinities.

    JSON has no NaN, and a file with a bare `NaN` in it fails in browsers and jq. `null` reads as a gap everywhere.

    Args:
        metrics: names -> numbers: Python's, NumPy's or jax's, each of shape () or of one element.

    Returns:
        The same names -> float or None.

    >>> finite_numbers({"loss": float("inf"), "accuracy": 1})
    {'loss': None, 'accuracy': 1.0}
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


class MetricsFile:
    """`metrics.jsonl`: one JSON object per evaluation, steps strictly increasing, durable when `write` returns.

    Args:
        path: the file; created if missing, continued if there.
        from_step: the step the run starts from. Lines of later steps, and a line torn by a kill, are cut off.

    Raises:
        ValueError: a line before the last is no metrics line, or `path` is no regular file.
    """

    def __init__(self, path: str | os.PathLike, from_step: int = 0) -> None:
        self._path = Path(path)
        self._path.touch()
        self._rewind(from_step)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends one evaluation; a step that is there already is written anew, and what follows it is cut off.

        Args:
            step: count of updates made so far.
            metrics: names -> scalars; NaN and the infinities become null.

        Raises:
            ValueError: a metric is called "step".
        """
        if "step" in metrics:
            raise ValueError(
                '`metrics` must not hold a metric called "step": the line has that field. Rename the metric.'
            )
        line = json.dumps({"step": int(step), **finite_numbers(metrics)}, allow_nan=False)
        if step <= self._last:
            self._rewind(step - 1)
        with open(self._path, "ab") as file:
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self._last = step

    def _rewind(self, last: int) -> None:
        kept, self._last = 0, -1
        for record, end in _records(self._path):
            if record["step"] > last:
                break
            kept, self._last = end, record["step"]
        os.truncate(self._path, kept)


def read_metrics(path: str | os.PathLike) -> list[dict[str, float | int]]:
    """Reads a metrics file: one dict per evaluation, "step" (int) and the metrics (floats; null comes back as NaN).

    A torn last line, from a kill or from a run that is writing just now, is left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a whole line is no metrics line, its step does not come after the one before, or `path` is no file.
        OSError: the file cannot be read.
    """
    return [
        {name: math.nan if value is None else value for name, value in record.items()}
        for record, _ in _records(Path(path))
    ]


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields every whole line's object, and the offset in bytes at which the line ends."""
    end, last = 0, -1
    with open_regular(path) as file:
        for number in itertools.count(1):
            line, where = file.readline(_LONGEST_LINE + 1), f"{path}, line {number}"
            if len(line) > _LONGEST_LINE:
                raise ValueError(f"{where}: expected at most {_LONGEST_LINE} bytes. {_EDITED}")
            if not line.endswith(b"\n"):
                return  # the end, or a line that was torn
            record, end = _parse(line, where), end + len(line)
            if record["step"] <= last:
                raise ValueError(f"{where}: expected a step after {last}, received {record['step']}. {_EDITED}")
            last = record["step"]
            yield record, end


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or type(record.get("step")) is not int or not all(map(_is_number, record.values())):
        raise ValueError(
            f'{where}: expected a JSON object with an integer "step" and numbers, received {line[:60]!r}. {_EDITED}'
        )
    return record


def _is_number(value: object) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) <= sys.float_info.max)


class TensorBoard:
    """TensorBoard events, one scalar per tag and evaluation, durable when `write` returns.

    The events of a step are written before its checkpoint, as its metrics are. tensorboardX's `SummaryWriter` hands
    events to a thread, for which its `flush` does not wait and a kill even less. Hence only its parts are used here.

    Args:
        folder: where the event files go; made if missing. Every opening adds one.
        from_step: the step the run starts from; TensorBoard hides the events of later steps that older files hold.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, folder: str | os.PathLike, from_step: int = 0) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        atomic_files.make_folder(Path(folder))
        # TensorBoard reads files in the order of their names, and a run may be resumed within the second.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{time.time_ns()}"
        self._records, self._event = RecordWriter(str(Path(folder) / name)), Event
        self._put(file_version="brain.Event:2")
        self._put(step=from_step + 1, session_log=SessionLog(status=SessionLog.START))
        self._records.flush()

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Writes one evaluation: each metric (a scalar; NaN is kept) under its own name as the tag."""
        from tensorboardX.summary import scalar

        for tag, value in metrics.items():
            self._put(step=step, summary=scalar(tag, float(value)))
        self._records.flush()

    def close(self) -> None:
        """Closes the file."""
        self._records.close()

    def _put(self, **fields) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
