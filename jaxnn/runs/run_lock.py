"""One run, one writer: a lock that ends with its process, however that ends.

The lock is the kernel's (`flock` on the file `.lock` in the run folder), not the file, which stays. The kernel gives it
back when a process is killed, and network file systems pass it on to their server, if they were mounted to. Where there
are no such locks, and where the last writer was on another machine and has not said that it ended, nobody can know
whether it still writes; that is said, and the user decides.
"""

import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import jaxnn.runs.atomic_files as atomic_files

if os.name != "nt":
    import fcntl

NAME = ".lock"
# A link there may lead to a file of the user's, which must not be written to; a pipe must not keep `open` waiting.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def one_writer(folder: str | os.PathLike) -> Iterator[None]:
    """Holds the lock of a run folder, for who writes in it; readers need none.

    Args:
        folder: of the run; made if missing.

    Raises:
        BlockingIOError: another process, or another part of this one, holds it; the message says which.
        OSError: the folder cannot be written to.
    """
    atomic_files.make_folder(Path(folder))
    descriptor = _open(folder)
    try:
        _take(descriptor, folder)
        with _signing(descriptor, f"process {os.getpid()} on {socket.gethostname()}"):
            yield
    finally:
        os.close(descriptor)


def _open(folder) -> int:
    try:
        return os.open(Path(folder, NAME), _FLAGS, 0o666)
    except OSError as error:
        raise type(error)(f"cannot lock {folder}, to write to it: {error.strerror} ({NAME}).") from error


def _take(descriptor: int, folder) -> None:
    before = _signed(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"{folder} is being written to by {before or 'another process'}; a run has one writer. Wait for its end."
        ) from None
    except (OSError, NameError):  # Windows, and file systems without locks
        _say(f"{folder} lies on a file system without locks: make sure that no other process writes to it.")
        return
    if before and not before.endswith(f" on {socket.gethostname()}"):
        _say(f"{folder} was written to by {before}, which has not said that it ended: make sure that it has.")


def _signed(descriptor: int) -> str:
    """Who wrote last and has not said that it ended; nothing that is not of the form in which it is signed."""
    with contextlib.suppress(OSError):
        found = re.fullmatch(rb"process \d+ on [\w.-]+", os.pread(descriptor, 200, 0))
        return found[0].decode() if found else ""
    return ""


@contextlib.contextmanager
def _signing(descriptor: int, name: str) -> Iterator[None]:
    _write(descriptor, name)
    try:
        yield
    finally:
        _write(descriptor, "")


def _write(descriptor: int, name: str) -> None:
    """For messages only: a full disk is no reason to stop here."""
    with contextlib.suppress(OSError):
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, name.encode(), 0)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
