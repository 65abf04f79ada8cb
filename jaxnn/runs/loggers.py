"""Loggers write the metrics to disk: one JSON line per evaluation, and TensorBoard events for live curves.

Both loggers are opened with the step from which the run resumes. `MetricsFile` removes the lines of later steps, and
TensorBoard hides the events of later steps, so each evaluation is shown once. Write the metrics of a step before its
checkpoint: every step from which a run can resume then has its line.
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

_LONGEST_LINE = 2**20  # bytes; enough for twenty thousand metrics
_EDITED = "Was the file edited? Remove that line, or move the file away."


def finite_numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Converts metrics into values that JSON can hold: floats, and None (`null`) for NaN and the infinities.

    JSON has no NaN, and a file that contains a bare `NaN` fails in browsers and jq. `null` is read as a gap everywhere.

    Args:
        metrics: names -> numbers of Python, NumPy or jax, each of shape () or of one element.

    Returns:
        The same names -> float or None.

    >>> finite_numbers({"loss": float("inf"), "accuracy": 1})
    {'loss': None, 'accuracy': 1.0}
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


class MetricsFile:
    """Writes `metrics.jsonl`, which has one JSON object per evaluation and strictly increasing steps.

    A line is on disk (fsynced) when `write` returns.

    Args:
        path: the file; created if missing, continued if it exists.
        from_step: the step from which the run starts. Lines of later steps, and an incomplete last line of a killed
            process, are cut off.

    Raises:
        ValueError: a complete line is not a metrics line, or `path` is not a regular file.
    """

    def __init__(self, path: str | os.PathLike, from_step: int = 0) -> None:
        self._path = Path(path)
        self._path.touch()
        self._rewind(from_step)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends one evaluation; if the step is not after the last one, the lines from that step on are replaced.

        Args:
            step: number of updates made so far.
            metrics: names -> scalars; NaN and the infinities become null.

        Raises:
            ValueError: a metric is called "step".
            OSError: the line cannot be written; a part of it is cut off when the run is resumed.
        """
        if "step" in metrics:
            raise ValueError(
                '`metrics` must not hold a metric called "step": the line has that field. Rename the metric.'
            )
        line = json.dumps({"step": int(step), **finite_numbers(metrics)}, allow_nan=False)
        if step <= self._last:
            self._rewind(step - 1)
        with atomic_files.errors_of(self._path), open(self._path, "ab") as file:
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
    """Reads a metrics file into one dict per evaluation, with "step" (int) and the metrics (floats; null becomes NaN).

    An incomplete last line is left out; it comes from a killed process or from a run that is writing at this moment.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a complete line is not a metrics line, a step is not larger than the one before, or `path` is not a
            regular file.
        OSError: the file cannot be read.
    """
    return [
        {name: math.nan if value is None else value for name, value in record.items()}
        for record, _ in _records(Path(path))
    ]


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields the object of every complete line, and the offset in bytes at which the line ends."""
    end, last = 0, -1
    with open_regular(path) as file:
        for number in itertools.count(1):
            line, where = file.readline(_LONGEST_LINE + 1), f"{path}, line {number}"
            if len(line) > _LONGEST_LINE:
                raise ValueError(f"{where}: expected at most {_LONGEST_LINE} bytes. {_EDITED}")
            if not line.endswith(b"\n"):
                return  # the end of the file, or an incomplete line
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
    """Writes TensorBoard events, one scalar per tag and evaluation; they are in the file when `write` returns.

    The events of a step are written before its checkpoint, as its metrics are. The `SummaryWriter` of tensorboardX
    passes events to a thread. Its `flush` does not wait for this thread, and a kill loses the events that are still in
    it. Therefore this class uses only the record writer of tensorboardX.

    Args:
        folder: the folder of the event files; made if missing. Every opening adds one file.
        from_step: the step from which the run starts; TensorBoard hides the events of later steps in older files.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, folder: str | os.PathLike, from_step: int = 0) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        atomic_files.make_folder(Path(folder))
        # TensorBoard reads files in the order of their names, and a run may be resumed within the same second.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{time.time_ns()}"
        self._records, self._event = RecordWriter(str(Path(folder) / name)), Event
        self._put(file_version="brain.Event:2")
        self._put(step=from_step + 1, session_log=SessionLog(status=SessionLog.START))
        self._records.flush()

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Writes one evaluation; each metric is a scalar (NaN is kept), and its name is the tag."""
        from tensorboardX.summary import scalar

        for tag, value in metrics.items():
            self._put(step=step, summary=scalar(tag, float(value)))
        self._records.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._records.close()

    def _put(self, **fields) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
