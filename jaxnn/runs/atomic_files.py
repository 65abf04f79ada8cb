"""Functions that write a file completely or not at all.

The bytes are written to a temporary file in the same folder (`NAME.jaxnn-tmp`), which is flushed and fsynced. One
atomic rename then gives this file its real name. The folder is fsynced too, so that the name survives a power cut. A
program that reads `NAME` sees the old file or the new one, never half of either, no matter when the writer is killed.
One folder has one writer at a time.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".jaxnn-tmp"


def write(path: Path, data: bytes) -> None:
    """Writes a file so that `path` holds either its old content or all of `data`.

    Args:
        path: the file to create or replace; its folder exists.
        data: the content.

    Raises:
        OSError: the file cannot be written; no temporary file is left, and `path` is unchanged.
    """
    publish(stage(path, data))


def stage(path: Path, data: bytes) -> Path:
    """Writes `data` durably beside `path` under a temporary name, and returns the temporary path.

    `publish` then gives the file its real name. Two files that belong together are both staged before the first is
    published, so that a full disk damages neither.
    """
    temporary = path.with_name(path.name + _SUFFIX)
    try:
        with errors_of(path), open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def publish(temporary: Path) -> None:
    """Gives a staged file its real name; the new name is on disk when the function returns."""
    temporary.replace(temporary.with_name(temporary.name.removesuffix(_SUFFIX)))
    sync_folder(temporary.parent)


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Gives the name of the file to the errors of its writes, which the system reports without a name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and its parent folders if they are missing.

    Raises:
        OSError: the folder cannot be made, or a file or a broken link has its name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"cannot make the folder {folder}: {reason}. Move away what has its name.") from error


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that a killed writer left in `folder`."""
    for temporary in folder.glob(f"*{_SUFFIX}"):
        temporary.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Returns whether a path has the temporary name of a file that was not finished."""
    return path.name.endswith(_SUFFIX)


def sync_folder(folder: Path) -> None:
    """Makes renames and removals in `folder` durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
