"""`load` returns a dataset by name: its files are found in a folder or downloaded, then verified and read.

The files are searched in these places, in this order:

1. the argument `folder` of `load`: its subfolder with the name of the dataset, then the folder itself, then the
   subfolders in which torchvision and Keras keep the files (`MNIST/raw`). If `folder` is given, no other place is
   searched.
2. $JAXNN_DATA/NAME
3. ~/.cache/jaxnn/NAME
4. the place where a distribution keeps the files (/usr/share/datasets/fashion-mnist)

If the files are in none of these places, they are downloaded to the first one. MNIST is part of the
package and is found there unless `folder` is given. The point clouds have no files; they are drawn. A file of MNIST may
be unpacked, and `mnist.npz` of Keras is read as well. Nothing is ever unpickled, so the version of CIFAR-10 for Python
is refused.
"""

import dataclasses
import hashlib
import os
from os import PathLike
from pathlib import Path

import numpy as np

from jaxnn.bounded_files import read_bounded
from jaxnn.data.download import alone, extract, fetch
from jaxnn.data.idx import unpack_idx
from jaxnn.data.keras_archives import read_keras_archive
from jaxnn.data.point_clouds import POINT_CLOUDS, Cloud
from jaxnn.data.sources import IN_KERAS, MOST_BYTES, SOURCES, Source
from jaxnn.naming import unknown


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Holds two splits of named arrays and their description; `jaxnn.data` defines the fields.

    Raises:
        ValueError: the fields of a split differ in length.
    """

    name: str
    train: dict[str, np.ndarray] = dataclasses.field(repr=False)
    test: dict[str, np.ndarray] = dataclasses.field(repr=False)
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    source: str

    def __post_init__(self):
        for name, split in (("train", self.train), ("test", self.test)):
            lengths = {field: len(array) for field, array in split.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(
                    f"the fields of `{name}` must have one length; received {lengths}. Is a label missing?"
                )


def load(name: str, *, folder: str | PathLike | None = None) -> Dataset:
    """Loads a dataset: "mnist" (packaged), "fashion_mnist", "cifar10" (from a folder, else downloaded) or points.

    Args:
        name: a name of the table `jaxnn.data.sources.SOURCES`, or of `jaxnn.data.point_clouds.POINT_CLOUDS`.
        folder: the folder of the files, or the folder to download them to; None searches the places listed in
            `jaxnn.data.datasets`.

    Returns:
        The dataset with read-only arrays.

    Raises:
        ValueError: the name is unknown, a file is damaged or changed (its sha256 is not the expected one), or a
            `folder` is given for a dataset that has no files.
        FileNotFoundError: `folder` is missing, or lacks the files of a dataset that is not downloaded.
        OSError: no mirror served a correct file.

    >>> mnist = load("mnist")
    >>> mnist.train["image"].shape, mnist.test["label"][:5]
    ((60000, 28, 28, 1), array([7, 2, 1, 0, 4], dtype=int32))
    >>> load("moons").train["point"].shape
    (1000, 2)
    >>> load("minst")
    Traceback (most recent call last):
    ValueError: unknown dataset 'minst'; did you mean 'mnist'? Known: blobs, cifar10, circles, fashion_mnist, mnist, ...
    """
    if name in POINT_CLOUDS:
        return _drawn(name, POINT_CLOUDS[name], folder)
    place = find(name, folder=folder)
    source = SOURCES[name]
    train, test = source.read(_contents(place, source))
    train, test = _read_only(train), _read_only(test)
    return Dataset(name, train, test, source.classes, source.mean, source.std, source.licence, source.page)


def _drawn(name: str, cloud: Cloud, folder) -> Dataset:
    """Draws the training points from seed 0 and the test points from seed 1; `mean` and `std` are per coordinate."""
    if folder is not None:
        raise ValueError(f"`folder` is for datasets that have files; {name!r} is drawn. Leave it out.")
    train, test = _read_only(cloud.sample(seed=0)), _read_only(cloud.sample(seed=1))
    mean, std = (tuple(map(float, of(train["point"], axis=0))) for of in (np.mean, np.std))
    return Dataset(name, train, test, cloud.classes, mean, std, "none: drawn from a seed", cloud.source)


def _read_only(split: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for array in split.values():
        array.setflags(write=False)
    return split


def subset(dataset: Dataset, *, train: int | None = None, test: int | None = None) -> Dataset:
    """Keeps the first `train` training and the first `test` test examples; None keeps all, and nothing is copied.

    Raises:
        ValueError: a number is below 1 or above the number of examples.

    >>> small = subset(load("mnist"), train=100)
    >>> small.train["label"].shape, small.test["label"].shape
    ((100,), (10000,))
    """
    return dataclasses.replace(
        dataset, train=_first(dataset.train, train, "train"), test=_first(dataset.test, test, "test")
    )


def _first(split: dict[str, np.ndarray], n: int | None, name: str) -> dict[str, np.ndarray]:
    if n is None:
        return split
    size = len(next(iter(split.values())))
    if not 1 <= n <= size:
        raise ValueError(f"`{name}` must be 1 to {size}, the examples there are; received {n}. None keeps them all.")
    return {field: array[:n] for field, array in split.items()}


def find(name: str, *, folder: str | PathLike | None = None, download: bool = True) -> Path | None:
    """Finds the folder that has every file of a dataset, and downloads the files if there is no such folder.

    After `find`, `load` imports no further module, so a thread may then load the dataset.

    Args:
        name, folder: as for `load`.
        download: whether missing files are downloaded; if not, the message of FileNotFoundError describes what to do.

    Returns:
        The folder, or None for points, which have no files.

    Raises:
        ValueError, FileNotFoundError, OSError: as `load`.
    """
    if name in POINT_CLOUDS:
        return None
    if name not in SOURCES:
        raise unknown("dataset", name, {**SOURCES, **POINT_CLOUDS})
    source = SOURCES[name]
    places = _places(name, source, folder)
    for place in places:
        if _is_complete(place, source):
            return place
    _check_pickles(name, places, source)
    if source.mirrors and not download:
        raise FileNotFoundError(
            f"dataset {name!r} must be on this machine; it is not in {' or '.join(map(str, places))}. "
            "Name the folder where it lies, or where it may be put: --data-folder FOLDER"
        )
    if source.mirrors:
        return _download(places[0], source)
    raise FileNotFoundError(
        f"dataset {name!r}: expected {', '.join(source.contents)} in {places[-1]}; received a folder without them. "
        "Leave `folder` out to use the packaged files; if they are gone, reinstall jaxnn."
    )


def _places(name: str, source: Source, folder: str | PathLike | None) -> list[Path]:
    """Returns the folders where the files may be, in order; downloads go to the first."""
    if folder is not None:
        folder = Path(os.path.expanduser(folder))
        if not folder.is_dir():
            raise FileNotFoundError(f"`folder` must exist; received {folder}. Create it, or leave it out.")
        return [folder / name, folder, *(folder / layout for layout in source.layouts)]
    roots = [os.environ.get("JAXNN_DATA"), "~/.cache/jaxnn"] if source.mirrors else []
    known = [root for root in map(os.path.expanduser, filter(None, roots)) if not root.startswith("~")]
    if source.mirrors and not known:
        raise FileNotFoundError(
            f"a folder for the files of dataset {name!r} must be known; HOME and JAXNN_DATA are not set. "
            "Name one: --data-folder FOLDER"
        )
    return [Path(root) / name for root in known] + [source.folder] * (source.folder is not None)


def _is_complete(place: Path, source: Source) -> bool:
    return all(_find_file(place, file) for file in source.contents) or _has_archive(place, source)


def _has_archive(place: Path, source: Source) -> bool:
    return source.archive is not None and (place / source.archive).is_file()


def _find_file(place: Path, file: str) -> Path | None:
    """Returns the path of a file as it was published, or unpacked, as `train-images-idx3-ubyte` or with a dot."""
    unpacked = file.removesuffix(".gz")
    names = file, unpacked, unpacked.replace("-idx", ".idx")
    return next((place / name for name in names if (place / name).is_file()), None)


def _contents(place: Path, source: Source) -> dict[str, bytes]:
    """Returns the verified content of every file in a complete place."""
    found = {file: _find_file(place, file) for file in source.contents}
    if all(found.values()):
        return {file: _read(path, source.contents[file]) for file, path in found.items()}
    path = place / source.archive
    return {file: _verified(path, x, source.contents[file]) for file, x in read_keras_archive(path, IN_KERAS).items()}


def _check_pickles(name: str, places: list[Path], source: Source) -> None:
    """Raises ValueError for a folder with the version for Python, whose pickles can execute code."""
    for place in (place / sub for place in places for sub in ("", "cifar-10-batches-py")):
        if source.pickles is not None and (place / source.pickles).is_file():
            raise ValueError(
                f"{place} has the Python version of {name}, whose pickles can execute code and are not read. "
                f"Get the binary version there, {', '.join(source.downloads)} of {source.page}, or leave the folder "
                "out to have it downloaded."
            )


def _download(place: Path, source: Source) -> Path:
    with alone(place):
        if _is_complete(place, source):  # another process downloaded the files while this one waited
            return place
        wanted = [file for file in source.downloads if not (file in source.contents and (place / file).exists())]
        for file in wanted:
            path = fetch([mirror + file for mirror in source.mirrors], place / file, sha256=source.downloads[file])
            if file not in source.contents:  # an archive
                extract(path, source.contents, place)
                path.unlink()
    return place


def _read(path: Path, expected: str) -> bytes:
    """Returns the content of the file (uncompressed if its name ends in .gz) if its sha256 is `expected`."""
    content = unpack_idx(path, most=MOST_BYTES) if path.suffix == ".gz" else read_bounded(path, most=MOST_BYTES)
    return _verified(path, content, expected)


def _verified(path: Path, content: bytes, expected: str) -> bytes:
    received = hashlib.sha256(content).hexdigest()
    if received != expected:
        raise ValueError(
            f"{path}: expected content of sha256 {expected}; received {received}. The file was altered, or is another "
            "dataset's: delete it to have it fetched again; if it came with jaxnn, reinstall jaxnn."
        )
    return content
