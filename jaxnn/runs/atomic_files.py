"""Files that are written whole or not at all.

Bytes go to a temporary name in the same folder (`NAME.jaxnn-tmp`), are flushed and fsynced, and then take the real
name in one atomic rename; the folder is fsynced too, so that the name survives a power cut. Whoever reads `NAME` sees
the old file or the new one, never half of either, no matter when the writer is killed. One folder has one writer at a
time.
"""

import os
from pathlib import Path

_SUFFIX = ".jaxnn-tmp"


def write(path: Path, data: bytes) -> None:
    """Writes a file so that `path` holds either its old content or all of `data`.

    Args:
        path: the file to create or replace; its folder exists.
        data: the content.

    Raises:
        OSError: the file cannot be written; nothing is left behind and `path` is as it was.
    """
    publish(stage(path, data))


def stage(path: Path, data: bytes) -> Path:
    """Writes `data` durably beside `path`, under a temporary name, and returns that name; `publish` finishes the work.

    Two files that belong together are both staged before the first is published, so that a full disk spoils neither.
    """
    temporary = path.with_name(path.name + _SUFFIX)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def publish(temporary: Path) -> None:
    """Gives a staged file its real name, durably."""
    temporary.replace(temporary.with_name(temporary.name.removesuffix(_SUFFIX)))
    sync_folder(temporary.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing.

    Raises:
        OSError: it cannot be made, or a file or a broken link has its name.
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
    """Whether a file bears the temporary name of one that was not finished."""
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
