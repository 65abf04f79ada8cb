"""The metrics file across kills and resumes, and TensorBoard's events read back from the bytes."""

import json
import math
import os
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.runs.loggers import MetricsFile, TensorBoard, finite_numbers, read_metrics


@pytest.fixture
def file(tmp_path):
    return tmp_path / "metrics.jsonl"


def steps_in(file: Path) -> list[int]:
    return [record["step"] for record in read_metrics(file)]


def write(file: Path, steps, from_step=0, value=0.5) -> None:
    log = MetricsFile(file, from_step)
    for step in steps:
        log.write(step, {"loss": value})


def test_lines_are_on_disk_at_once_and_come_back(file):
    log = MetricsFile(file)
    assert read_metrics(file) == []
    log.write(10, {"test/accuracy": jnp.float32(0.5), "loss": np.float64(0.1), "count": 3})
    assert read_metrics(file) == [{"step": 10, "test/accuracy": 0.5, "loss": 0.1, "count": 3.0}]
    log.write(20, {"loss": 0.25})
    assert file.read_bytes().count(b"\n") == 2
    assert read_metrics(file)[1] == {"step": 20, "loss": 0.25}


def test_values_that_json_lacks_become_null_and_read_as_nan(file):
    MetricsFile(file).write(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.0})
    raw = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert raw == {"step": 1, "a": None, "b": None, "c": None, "d": 1.0}
    (record,) = read_metrics(file)
    assert all(math.isnan(record[name]) for name in "abc")
    assert record["d"] == 1.0
    assert finite_numbers({"x": jnp.bfloat16(jnp.inf)}) == {"x": None}


@pytest.mark.parametrize(("from_step", "kept"), [(0, []), (5, []), (10, [10]), (29, [10, 20]), (30, [10, 20, 30])])
def test_resume_cuts_off_what_lies_after_the_restored_step(file, from_step, kept):
    write(file, [10, 20, 30])
    MetricsFile(file, from_step)
    assert steps_in(file) == kept
    write(file, [40], from_step)
    assert steps_in(file) == [*kept, 40]


def test_every_torn_last_line_is_dropped(file):
    write(file, [10, 20])
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        file.write_bytes(whole[:length])
        assert steps_in(file) == [10]
        write(file, [20], from_step=20)
        assert file.read_bytes() == whole


def test_a_step_written_again_replaces_its_line_and_what_follows(file):
    write(file, [0, 10, 20])
    log = MetricsFile(file, from_step=20)
    log.write(10, {"loss": 7.0})
    assert read_metrics(file) == [{"step": 0, "loss": 0.5}, {"step": 10, "loss": 7.0}]
    log.write(20, {"loss": 8.0})
    assert steps_in(file) == [0, 10, 20]


@pytest.mark.parametrize(
    "line",
    [b"{broken", b"[1]", b'{"loss": 1}', b'{"step": "1"}', b'{"step": true}', b'{"step": 1, "a": "b"}', b"\xff", b""],
)
def test_a_broken_line_is_named_and_nothing_is_cut(file, line):
    write(file, [10])
    damaged = file.read_bytes() + line + b"\n" + b'{"step": 20}\n'
    file.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: expected a JSON object .* Remove that line"):
        read_metrics(file)
    with pytest.raises(ValueError, match="line 2"):
        MetricsFile(file, from_step=20)
    assert file.read_bytes() == damaged


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"step": 10}', r"line 2: expected a step after 10, received 10\."),
        (b'{"step": -1}', r"line 2: expected a step after 10, received -1\."),
        (b'{"step": 20, "loss": 1e999}', "line 2: expected a JSON object"),
        (b'{"step": 20, "loss": NaN}', "line 2: expected a JSON object"),
        (b'{"step": 20, "loss": 1' + 400 * b"0" + b"}", "line 2: expected a JSON object"),
        (b'{"step": 20' + 2**20 * b" " + b"}", "line 2: expected at most 1048576 bytes"),
    ],
)
def test_a_line_that_no_write_leaves_is_named_and_nothing_is_cut(file, line, message):
    write(file, [10])
    damaged = file.read_bytes() + line + b"\n"
    file.write_bytes(damaged)
    for read in (read_metrics, MetricsFile):
        with pytest.raises(ValueError, match=rf"metrics\.jsonl, {message}"):
            read(file) if read is read_metrics else read(file, from_step=20)
    assert file.read_bytes() == damaged


def test_what_stands_in_the_place_of_the_file_is_told(file):
    write(file, [10])
    os.truncate(file, 30 * 2**30)
    with pytest.raises(ValueError, match=r"line 2: expected at most 1048576 bytes"):
        read_metrics(file)
    file.unlink()
    os.mkfifo(file)
    for read in (read_metrics, MetricsFile):
        with pytest.raises(ValueError, match=r"metrics\.jsonl must be a regular file; found a pipe"):
            read(file)


def test_a_metric_called_step_is_refused(file):
    with pytest.raises(ValueError, match="Rename the metric"):
        MetricsFile(file).write(1, {"step": 2.0})
    assert read_metrics(file) == []


def test_missing_file(file):
    with pytest.raises(FileNotFoundError, match=r"metrics\.jsonl"):
        read_metrics(file)


def events(folder: Path) -> list:
    """Reads TFRecords: length (8 bytes), its checksum (4), the event, its checksum (4)."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("*tfevents*")):
        data, offset = path.read_bytes(), 0
        while offset < len(data):
            (length,) = struct.unpack_from("<Q", data, offset)
            found.append(Event.FromString(data[offset + 12 : offset + 12 + length]))
            offset += 16 + length
    return found


def test_tensorboards_events_are_in_the_file_when_write_returns(tmp_path):
    board = TensorBoard(tmp_path / "new" / "events")
    for step in range(1, 30):  # more than the queue of the library's own writer holds
        board.write(step, {"loss": step / 4})
        assert [event.step for event in events(tmp_path / "new" / "events") if event.summary.value][-1:] == [step]
    board.close()


def test_a_file_in_the_place_of_tensorboards_folder_is_told(tmp_path):
    (tmp_path / "events").write_text("mine")
    with pytest.raises(FileExistsError, match=r"^cannot make the folder .*events: File exists\. Move away what has"):
        TensorBoard(tmp_path / "events")


def test_tensorboard_scalars_and_purge(tmp_path):
    for from_step in (0, 10):  # within one second, which the library's own file names would not survive
        board = TensorBoard(tmp_path / "events", from_step)
        board.write(from_step + 10, {"loss": jnp.float32(0.5), "test/accuracy": 0.25})
        board.close()
    found = events(tmp_path / "events")
    scalars = [(event.step, value.tag, value.simple_value) for event in found for value in event.summary.value]
    assert scalars == [(step, tag, v) for step in (10, 20) for tag, v in (("loss", 0.5), ("test/accuracy", 0.25))]
    assert [event.step for event in found if event.HasField("session_log")] == [1, 11]
