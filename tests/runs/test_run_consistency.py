"""What was lost of a run or edited is noticed before anything of the rest is cut off, trained on or reported."""

import shutil

import numpy as np
import pytest

from jaxnn.runs import checkpoints
from jaxnn.runs.loggers import MetricsFile, read_metrics
from jaxnn.runs.run_consistency import check_last, check_records
from jaxnn.runs.training_run import Recorder
from jaxnn.training import Evaluated, Stopped


def event(step, loss=0.5):
    return Evaluated(step, step // 2, {"loss": loss, "accuracy": step / 64}, {"x": np.float32(step)})


@pytest.fixture
def run(tmp_path):
    """Evaluated at steps 2, 4, 6, 8, of which the last two are kept, and stopped at 9."""
    recorder = Recorder(tmp_path, from_step=0, keep=3, tensorboard=False)
    for one in (
        event(2),
        event(4),
        event(6, float("nan")),
        event(8),
        Stopped(9, 4, {"x": np.float32(9)}, {"loss": (0.3, 1.0)}),
    ):
        recorder(one)
    return tmp_path


def test_an_undamaged_run_is_in_order_however_it_was_killed(run, tmp_path):
    check_records(tmp_path / "missing")
    check_records(run)
    assert checkpoints.describe(run / "checkpoints", 9)["totals"] == {"loss": (0.3, 1.0)}
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(lines[0])  # killed between the first line and the first checkpoint
    check_records(run)
    (run / "metrics.jsonl").write_bytes(lines[0][:10])
    check_records(run)


def test_a_line_without_its_checkpoint_is_forgotten_on_resume(run):
    MetricsFile(run / "metrics.jsonl", 9).write(10, {"loss": 0.5, "epoch": 5, "seconds": 1})
    Recorder(run, from_step=9, keep=3, tensorboard=False)
    assert [line["step"] for line in read_metrics(run / "metrics.jsonl")] == [2, 4, 6, 8]


def change(run, how):
    file, kept = run / "metrics.jsonl", run / "checkpoints"
    lines = file.read_bytes().splitlines(keepends=True)
    match how:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "torn":
            file.write_bytes(b"".join(lines)[:-5])
        case "last line gone":
            file.write_bytes(b"".join(lines[:-1]))
        case "edited":
            file.write_bytes(b"".join(lines).replace(b"0.125", b"0.525"))
        case "null":
            file.write_bytes(b"".join(lines).replace(b"0.125", b"null"))
        case "renamed":
            file.write_bytes(b"".join(lines).replace(b"epoch", b"epoche"))
        case "checkpoints moved":
            kept.rename(run / "moved")
        case "checkpoints emptied":
            for path in kept.iterdir():
                path.unlink()
        case "checkpoints a file":
            kept.rename(run / "moved")
            kept.write_text("mine")
        case "checkpoints a loop":
            kept.rename(run / "moved")
            kept.symlink_to("checkpoints")
        case "one line, no folder":
            kept.rename(run / "moved")
            file.write_bytes(lines[0])


LOST = r"metrics\.jsonl: expected {} of step {}, as its checkpoint has it; found {}\. Was the file cut"
PUT_BACK = r"metrics\.jsonl tells of checkpoints to step {}, and .*checkpoints holds none\. Put them back"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", LOST.format("loss nan", 6, "nothing")),
        ("empty", LOST.format("loss nan", 6, "nothing")),
        ("torn", LOST.format("loss 0.5", 8, "nothing")),
        ("last line gone", LOST.format("loss 0.5", 8, "nothing")),
        ("edited", LOST.format("accuracy 0.125", 8, "0.525")),
        ("null", LOST.format("accuracy 0.125", 8, "nan")),
        ("renamed", r"metrics\.jsonl: the line of step 2 has no 'epoch'"),
        ("checkpoints moved", PUT_BACK.format(8)),
        ("checkpoints emptied", PUT_BACK.format(8)),
        ("one line, no folder", PUT_BACK.format(2)),
        ("checkpoints a file", "cannot read the checkpoints in .*: Not a directory"),
        ("checkpoints a loop", "cannot read the checkpoints in .*: Too many levels"),
    ],
)
def test_what_was_lost_is_told_and_nothing_is_cut(run, how, message):
    change(run, how)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for read in (check_records, lambda run: Recorder(run, from_step=0, keep=3, tensorboard=False)):
        with pytest.raises((ValueError, OSError), match=message):
            read(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_stop_at_an_evaluation_leaves_what_was_measured_in_its_checkpoint(run):
    recorder = Recorder(run, from_step=9, keep=3, tensorboard=False)
    recorder(event(10))
    recorder(Stopped(10, 5, {"x": np.float32(10)}, {}))
    assert checkpoints.describe(run / "checkpoints", 10)["metrics"] == {"loss": 0.5, "accuracy": 10 / 64}


def test_a_history_that_does_not_tell_of_the_end_is_no_result(tmp_path):
    check_last(tmp_path, [{"step": 2}, {"step": 4}], 4)
    for history, told in (([], "none"), ([{"step": 2}], "2")):
        with pytest.raises(
            ValueError, match=rf"must tell of step 4, the last of the run; the last line is of {told}\."
        ):
            check_last(tmp_path, history, 4)
