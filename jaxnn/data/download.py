"""Files from the network: whole, verified, or not there at all.

A file grows as NAME.part beside its final name and takes that name in one step, once its sha256 is right. So whatever
bears the final name is good, an interruption loses nothing (the next call asks the server for the rest), and no reader
ever sees half a file.
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
    """Download one file from the first of its mirrors that serves it whole and right; resume what an earlier call left.

    Args:
        urls: addresses of the same file, tried in order.
        path: where to put it; its folder is made if missing. A file that is there already is only verified.
        sha256: of the file, in hexadecimal.
        timeout: seconds without an answer until the next mirror is tried.

    Returns:
        `path`, where the verified file lies.

    Raises:
        ValueError: a file at `path` exists and is not the one expected.
        OSError: no mirror served the file; the message says for each what went wrong.
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
    """Copy the members of a tar archive that bear one of `names`, whatever their folder in it, into `folder`.

    Nothing else is unpacked, so no member can leave `folder`, make a link or set a mode.

    Raises:
        ValueError: the archive is damaged, or lacks one of the names.
    """
    missing = set(names)
    try:
        with open_regular(archive) as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if member.isfile() and not member.issparse() and name in missing:  # sparse: of any size, from nothing
                    _copy_member(tar, member, folder / name)
                    missing.remove(name)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{archive} is a damaged archive: {error}. Delete it, and it is fetched again.") from error
    if missing:
        raise ValueError(f"{archive}: expected members {', '.join(sorted(missing))}; received none. Delete the file.")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes that call this for the same `folder` waiting, where the platform can lock a folder.

    Several processes of one training script load the same dataset at once: one downloads, the others find it done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):  # Windows, some network file systems: every process for itself
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)  # closing, or dying, releases the lock
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _download(url: str, part: Path, sha256: str, timeout: float) -> None:
    """Complete and verify `part`; a resumed one that turns out wrong began as something else and is fetched anew."""
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
    """Append to `part` what it lacks, as the server tells it."""
    start = part.stat().st_size if part.exists() else 0
    resume = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urlopen(Request(url, headers={"User-Agent": "jaxnn", **resume}), timeout=timeout)
    except HTTPError as error:
        with error:
            if error.code == 416 and start:  # nothing beyond what is here: whole, or not this file; the hash decides
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
