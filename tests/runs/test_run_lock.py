"""One writer a run, also when the one before was killed, on another machine, or on a disk without locks."""

import fcntl
import os
import signal
import socket
import subprocess
import sys

import pytest

from jaxnn.runs.run_lock import NAME, one_writer

HOLD = """
import importlib.util, sys, types
for name in ("jaxnn.runs",):  # its __init__ would import much
    package = types.ModuleType(name)
    package.__path__ = [str(importlib.util.find_spec("jaxnn").submodule_search_locations[0]) + "/runs"]
    sys.modules[name] = package
from jaxnn.runs.run_lock import one_writer
with one_writer(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_told_who_the_first_is_and_a_later_one_is_let_in(tmp_path):
    for _ in range(2):
        with one_writer(tmp_path / "new" / "run"):
            told = rf"run is being written to by process {os.getpid()} on {socket.gethostname()}; a run has one writer"
            for _ in range(2):  # being refused takes nothing away
                with pytest.raises(BlockingIOError, match=told), one_writer(tmp_path / "new" / "run"):
                    pass


def test_a_lock_ends_with_its_process_even_if_that_is_killed(tmp_path, capsys):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=f"by process {holder.pid} on"), one_writer(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with one_writer(tmp_path):
        assert capsys.readouterr().err == ""


def test_a_writer_on_another_machine_that_has_not_said_that_it_ended_is_told_of(tmp_path, capsys):
    (tmp_path / NAME).write_text("process 3 on node-17.cluster")
    with one_writer(tmp_path):
        assert capsys.readouterr().err == (
            f"{tmp_path} was written to by process 3 on node-17.cluster, which has not said that it ended: "
            "make sure that it has.\n"
        )
    with one_writer(tmp_path):
        assert capsys.readouterr().err == ""


def test_where_there_are_no_locks_that_is_said(tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with one_writer(tmp_path):
        assert "lies on a file system without locks: make sure that no other process writes" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"\xff", b"process 3 on a\nb", b"x" * 10_000, b"\x1b[2J"])
def test_nothing_strange_is_repeated_from_the_file(tmp_path, capsys, content):
    (tmp_path / NAME).write_bytes(content)
    with one_writer(tmp_path):
        assert capsys.readouterr().err == ""


def test_what_stands_in_the_place_of_the_lock_is_neither_followed_nor_waited_for(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / NAME).symlink_to("mine")
    with pytest.raises(OSError, match=r"^cannot lock .*: Too many levels of symbolic links"), one_writer(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    with one_writer(tmp_path):
        pass
    with pytest.raises(FileExistsError, match="cannot make the folder"), one_writer(tmp_path / "mine"):
        pass
