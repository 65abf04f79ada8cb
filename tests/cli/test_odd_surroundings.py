"""Commands where odd things are: screens that show nothing, devices that are missing, disks that are full, no home."""

import errno
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest
from rings import first_of

from jaxnn.cli import missing_devices, process_supervision
from jaxnn.cli.main import main
from jaxnn.runs import atomic_files, loggers, make_next, one_writer, run_lock

TINY = ["train", "softmax_regression", "--data", "blobs", "--epochs", "1", "--batch-size", "950", "--no-pictures"]


@pytest.fixture(autouse=True)
def on_one_device(monkeypatch):
    """The tests' eight devices would compile every program for eight."""
    devices = jax.devices()
    monkeypatch.setattr(jax, "devices", lambda *args: devices[:1])


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


class Left(io.StringIO):
    """A pipe whose reader went away."""

    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def ascii_stream():
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


SCREENS = {"ascii": ascii_stream, "full": Full, "left": Left, "none": lambda: None}


@first_of("screen", ["full", "ascii", "left", "none"])
def test_a_training_is_finished_whatever_becomes_of_its_output(screen, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", SCREENS[screen]())
        patched.setattr(sys, "stderr", SCREENS[screen]())
        assert main([*TINY, "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run/result.json").read_text())["last"]["step"] == 1


@pytest.mark.parametrize(("screen", "status"), [("full", 2), ("left", 0), ("none", 0)])
def test_output_that_is_the_only_result_is_not_lost_in_silence(screen, status, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", SCREENS[screen]())
        assert main(["list"]) == status
    told = "jaxnn: the output could not be written: No space left on device. Make room, or write it elsewhere.\n"
    assert capsys.readouterr().err == (told if status else "")


def test_characters_of_tables_are_shown_in_ascii(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", shown := ascii_stream())
        with pytest.raises(SystemExit):
            main(["train", "--help"])
    assert b"--learning-rate" in shown.buffer.getvalue()


PROGRAMS = {  # the redirections of a shell
    "stderr closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "reader gone": "2>&1 | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}",
    "full disk": ">/dev/full 2>/dev/full",
}


@pytest.mark.full
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_finishes_its_training_too(program, tmp_path):
    folder = tmp_path / "run"
    environment = {**os.environ, "PYTHON": sys.executable, "LANG": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb"}
    command = f'"$PYTHON" -m jaxnn {" ".join(TINY)} --out {folder} {PROGRAMS[program]}'
    assert subprocess.run(["bash", "-c", command], env=environment, stderr=subprocess.DEVNULL).returncode == 0
    assert (folder / "result.json").exists()
    assert (folder / ".lock").read_bytes() == b""  # nothing that was said went into a file of the run


# ------------------------------------------------------------------------------------------------------------ devices


def no_devices(*args):
    raise RuntimeError("Unable to initialize backend 'gpu8': it is not in the list of known backends\nmore lines")


@pytest.mark.parametrize(
    ("platforms", "words"),
    [
        ("gpu8", "JAX_PLATFORMS must name devices that JAX can use here; received 'gpu8', and it finds none. Did you "),
        ("cuda", "received 'cuda', and it finds none. Say JAX_PLATFORMS=cpu, or leave it out for what there is"),
        (None, "JAX finds no device (Unable to initialize backend 'gpu8': it is not in the list of known backends)."),
    ],
)
def test_missing_devices_are_told_in_a_sentence(platforms, words, monkeypatch):
    asked = type("Config", (), {"jax_platforms": platforms})
    monkeypatch.setattr(jax, "devices", no_devices)
    monkeypatch.setattr(jax, "config", asked)
    told = missing_devices.describe_missing_devices()
    assert words in told
    assert "\n" not in told


@first_of("command", [TINY, ["verify", "--only", "relu"], ["race", "beale"]])
def test_every_command_tells_of_missing_devices_and_leaves_nothing_behind(command, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax, "devices", no_devices)
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("jaxnn: ") == said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_another_kind_keeps_its_traceback(monkeypatch):
    def broken(args):
        raise RuntimeError("a bug")

    monkeypatch.setattr("jaxnn.cli.listing_commands.list_command", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["list"])


@pytest.mark.full
@pytest.mark.parametrize("platforms", ["cuda", "gpu8"])
def test_the_program_ends_with_a_sentence_where_there_is_no_such_device(platforms, tmp_path):
    command = [sys.executable, "-m", "jaxnn", *TINY, "--out", str(tmp_path / "run")]
    environment = {**os.environ, "JAX_PLATFORMS": platforms, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("jaxnn: JAX_PLATFORMS must name devices that JAX can use here; rec")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


# -------------------------------------------------------------------------------------------------- disks and folders


def test_commands_that_start_at_once_take_one_number_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(make_next, ["mlp"] * 64))
    assert sorted(map(str, folders)) == [f"runs/mlp-{number:03d}" for number in range(1, 65)]


def test_a_launch_holds_its_number_and_gives_an_unused_one_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = []

    def supervise(command, environments):
        started.append(command[-1])
        assert make_next("softmax_regression").name == "softmax_regression-002"
        return process_supervision.Ending(0)

    monkeypatch.setattr(process_supervision, "supervise", supervise)
    assert main(["launch", "-n", "2", "--", *TINY]) == 0
    assert started == ["runs/softmax_regression-001"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["softmax_regression-002"]


def full_disk(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disks(tmp_path, monkeypatch, capsys):
    """A log that is not needed costs nothing; a file that is needed is named, with the remedy."""
    with monkeypatch.context() as patched:
        patched.setattr(loggers.TensorBoard, "write", full_disk)
        patched.setattr("jaxnn.runs.illustration.illustrate", full_disk)
        assert main([*TINY[:-1], "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    assert "no more TensorBoard events: No space left on device; metrics.jsonl goes on" in said
    assert f"`jaxnn resume {tmp_path / 'run'}` draws them again" in said
    for module, name in ((loggers, "metrics.jsonl"), (atomic_files, "result.json")):
        folder = tmp_path / module.__name__
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "fsync", lambda descriptor, name=name: _full_at(descriptor, name))
            assert main([*TINY, "--no-tensorboard", "--out", str(folder)]) == 2
        told = f"jaxnn: cannot use {folder / name}: No space left on device. Make room on that disk."
        assert capsys.readouterr().err.splitlines()[-1] == told
        assert main(["resume", str(folder)]) == 0


def _full_at(descriptor, name):
    if name in os.readlink(f"/proc/self/fd/{descriptor}"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_is_gone_or_unwritable(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(TINY) == 2
    assert "cannot write a run to runs/softmax_regression-001" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- other platforms


def test_a_lock_without_flock_or_the_calls_of_posix(tmp_path, monkeypatch, capsys):
    """NFS without a lock service; Windows."""

    def unsupported(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.delattr(os, "pread")
    monkeypatch.delattr(os, "pwrite")
    for change in (
        lambda: monkeypatch.setattr(run_lock.fcntl, "flock", unsupported),
        lambda: monkeypatch.delattr(run_lock, "fcntl"),
    ):
        change()
        with one_writer(tmp_path):
            assert f"process {os.getpid()} on " in (tmp_path / ".lock").read_text()
        assert "lies on a file system without locks" in capsys.readouterr().err


ELSEWHERE = """
import os, signal, sys
for name in ("pread", "pwrite", "fork", "set_blocking", "sysconf", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGALRM", "SIGXFSZ", "set_wakeup_fd"):
    delattr(signal, name)
sys.modules["fcntl"] = sys.modules["resource"] = None
from jaxnn.cli.main import main
sys.exit(main())
"""


@pytest.mark.full
def test_a_platform_without_the_calls_of_posix_trains(tmp_path):
    command = [sys.executable, "-c", ELSEWHERE, *TINY, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/result.json").exists()
