"""Files from outside are opened here so that no file can make the reader wait for ever or fill its memory.

A pipe, a device or a folder may be in the place of a file, and a sparse file of 30 GiB takes no room on a disk.
Therefore only regular files are opened, and no file is read beyond the size limit of its kind.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

# `open` would wait for ever on a pipe without a writer; with O_NONBLOCK the pipe opens at once and can be recognised.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a regular file, or a link to one, for reading.

    Args:
        path: the file.

    Returns:
        The file, open in binary mode. The caller must bound how much it reads.

    Raises:
        ValueError: `path` is a folder, a pipe or a device.
        OSError: the file cannot be opened; FileNotFoundError if it is missing.
    """
    descriptor = _open(path)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    raise ValueError(f"{path} must be a regular file; found {kind}. Put the file back, or move that away.")


def read_bounded(path: str | os.PathLike, *, most: int) -> bytes:
    """Reads a whole regular file of at most `most` bytes.

    Args:
        path: the file, or a link to it.
        most: the largest number of bytes that a file of its kind may have; memory for more is never allocated.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: the file is larger, or `path` is not a regular file.
        OSError: the file cannot be read; FileNotFoundError if it is missing.

    >>> read_bounded(__file__, most=10)
    Traceback (most recent call last):
    ...
    ValueError: ...bounded_files.py must have at most 10 bytes; it has ... Is it damaged, or another file?
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{path} must have at most {most} bytes; it has {size}. Is it damaged, or another file?")
        return file.read(size)  # bytes that are appended meanwhile are not read


def read_object(path: str | os.PathLike, *, most: int) -> dict[str, Any]:
    """Reads a JSON file of at most `most` bytes that holds an object.

    Args:
        path: the file.
        most: as for `read_bounded`.

    Returns:
        The object.

    Raises:
        ValueError: the file is larger, is not a regular file, or holds something else.
        OSError: the file cannot be read; FileNotFoundError if it is missing.
    """
    data = read_bounded(path, most=most)
    try:
        value = json.loads(data)
        received = "null" if value is None else f"a {type(value).__name__}"
    except (ValueError, RecursionError) as error:
        value, received = None, f"something else ({error})"
    if not isinstance(value, dict):
        raise ValueError(
            f"{path} is damaged: expected a JSON object, received {received}. "
            "Was the file edited? Restore it from a copy."
        )
    return value


def _open(path) -> int:
    try:
        return os.open(path, _FLAGS)
    except OSError as error:
        raise type(error)(f"cannot read {Path(path)}: {error.strerror}. Check the name and its permissions.") from error
