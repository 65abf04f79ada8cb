"""`fetch` downloads a file and verifies it; the file is complete or does not exist.

A download is first written to NAME.part beside its final name. One rename gives it that name when its sha256 is right.
Therefore every file with the final name is correct, and no reader sees half a file. An interruption loses nothing: the
next call asks the server for the rest.
"""

import contextlib
import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPException
from os import PathLike
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from jaxnn.bounded_files import open_regular

_CHUNK = 1 << 16  # bytes


def fetch(urls: Sequence[str], path: str | PathLike, *, sha256: str, timeout: float = 30.0) -> Path:
    """Downloads a file from the first mirror that serves it correctly, and resumes an interrupted download.

    Args:
        urls: addresses of the same file, tried in order.
        path: the path of the file; its folder is made if missing. A file that already exists is only verified.
        sha256: the sha256 of the file, in hexadecimal.
        timeout: seconds without an answer until the next mirror is tried.

    Returns:
        `path`, where the verified file is.

    Raises:
        ValueError: a file at `path` exists and has another sha256.
        OSError: no mirror served the file; the message gives the error of each mirror.
    """
    path = Path(path)
    if path.exists():
        if (received := _sha256(path)) != sha256:
            raise ValueError(
                f"{path}: expected sha256 {sha256}; received {received}. Delete the file to fetch it again."
            )
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part, failures = path.with_name(path.name + ".part"), []
    for url in urls:
        try:
            _download(url, part, sha256, timeout)
            return part.replace(path)
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"\n  {url}: {error}")
    raise OSError(
        f"could not download {path.name}: put it at {path} by hand, or call again to resume.{''.join(failures)}"
    )


def extract(archive: Path, names: Iterable[str], folder: Path) -> None:
    """Copies the members of a tar archive that have one of `names`, in any folder of the archive, into `folder`.

    No other member is unpacked, so no member can leave `folder`, make a link or set a mode.

    Raises:
        ValueError: the archive is damaged, or lacks one of the names.
    """
    missing = set(names)
    try:
        with open_regular(archive) as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if member.isfile() and not member.issparse() and name in missing:  # a sparse one may have any size
                    _copy_member(tar, member, folder / name)
                    missing.remove(name)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, OverflowError, ValueError) as error:
        raise ValueError(f"{archive} is a damaged archive: {error}. Delete it, and it is fetched again.") from error
    if missing:
        raise ValueError(f"{archive}: expected members {', '.join(sorted(missing))}; received none. Delete the file.")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a lock on `folder`, for which other processes wait; without effect if the platform cannot lock a folder.

    When several processes of one training script load the same dataset at once, one downloads it and the others then
    find the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):  # no lock on Windows and some network file systems
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)  # closing the folder, or the end of the process, releases the lock
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _download(url: str, part: Path, sha256: str, timeout: float) -> None:
    """Completes and verifies `part`; a resumed file with a wrong sha256 began as another file and is fetched again."""
    resumed = part.exists()
    _receive(url, part, timeout)
    if (received := _sha256(part)) == sha256:
        return
    part.unlink()
    if not resumed:
        raise ValueError(f"expected sha256 {sha256}; received {received}")
    _download(url, part, sha256, timeout)


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url: str, part: Path, timeout: float) -> None:
    """Appends to `part` the bytes that it lacks, or writes it anew if the server sends the whole file."""
    start = part.stat().st_size if part.exists() else 0
    resume = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urlopen(Request(url, headers={"User-Agent": "jaxnn", **resume}), timeout=timeout)
    except HTTPError as error:
        with error:
            if error.code == 416 and start:  # no more bytes: complete, or another file; the hash decides
                return
            raise
    with response:
        resumes = response.status == 206  # 200: the server sends the file from its beginning
        _save(response, part, start if resumes else 0)


def _save(response, part: Path, start: int) -> None:
    from tqdm import tqdm

    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    bar = tqdm(
        desc=part.stem,
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        disable=None,  # shown on a terminal only
    )
    with bar, open(part, "ab" if start else "wb") as file:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    if total and part.stat().st_size < total:
        raise ConnectionError(f"the connection closed after {part.stat().st_size} of {total} bytes")


def _copy_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    with tar.extractfile(member) as source, open(part, "wb") as target:
        shutil.copyfileobj(source, target)
    part.replace(path)
