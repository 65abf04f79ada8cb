"""A lock lets only one process write to a run folder; it ends with its process, also if the process is killed.

The lock is `flock` of the kernel on the file `.lock` in the run folder. The file itself stays; it is not the lock. The
kernel releases the lock when a process is killed. A network file system passes the lock to its server if it was mounted
with that option.

In two cases it is unknown whether another process still writes: the platform or the file system has no such locks, or
the last writer was on another machine and left its signature in the file. Then a warning is printed, and the user
decides.
"""

import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import jaxnn.runs.atomic_files as atomic_files
from jaxnn.lenient_streams import LenientStream

with contextlib.suppress(ImportError):  # Windows
    import fcntl

NAME = ".lock"
# A link at this place may lead to a file of the user, which must not be written to; a pipe must not block `open`.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def one_writer(folder: str | os.PathLike) -> Iterator[None]:
    """Holds the lock of a run folder while a process writes to it; readers need no lock.

    Args:
        folder: the folder of the run; made if missing.

    Raises:
        BlockingIOError: another process, or another part of this process, holds the lock; the message names the
            process if it is known.
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
    """Returns the signature of the last writer if the writer did not remove it; "" for any other content."""
    with contextlib.suppress(OSError):
        found = re.fullmatch(rb"process \d+ on [\w.-]+", _read(descriptor))
        return found[0].decode() if found else ""
    return ""


def _read(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)  # `os.pread` would do both, but not on Windows
    return os.read(descriptor, 200)


@contextlib.contextmanager
def _signing(descriptor: int, name: str) -> Iterator[None]:
    _write(descriptor, name)
    try:
        yield
    finally:
        _write(descriptor, "")


def _write(descriptor: int, name: str) -> None:
    """Writes the signature; it is only used in messages, so a full disk is not an error."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, name.encode())


def _say(sentence: str) -> None:
    print(sentence, file=LenientStream(sys.stderr), flush=True)
