"""Data files as torchvision, Keras and gunzip leave them: served, or refused in a sentence; never unpickled."""

import dataclasses
import gzip
import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest

from jaxnn.data import find, load
from jaxnn.data.keras_archives import read_keras_archive
from jaxnn.data.sources import IN_KERAS, SOURCES

IMAGES = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2)
ARRAYS = {"x_train": IMAGES, "y_train": np.uint8([3, 1, 2]), "x_test": IMAGES[:2] + 1, "y_test": np.uint8([0, 9])}


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


CONTENTS = {file: idx(ARRAYS[name]) for file, name in IN_KERAS.items()}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """MNIST and Fashion-MNIST of three examples, and no way to download."""
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in CONTENTS.items()}
    for name in ("mnist", "fashion_mnist"):
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], contents=hashes, mirrors=()))


def lay(folder, name, *, pack=lambda content: content):
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in CONTENTS.items():
        (folder / name(file)).write_bytes(pack(content))


unpacked = lambda file: file.removesuffix(".gz")
LAYOUTS = {
    "unpacked by hand": lambda root: lay(root, unpacked),
    "unpacked, with a dot": lambda root: lay(root, lambda file: unpacked(file).replace("-idx", ".idx")),
    "torchvision": lambda root: lay(root / "MNIST/raw", unpacked),
    "torchvision's folder itself": lambda root: lay(root / "raw", str, pack=gzip.compress),
    "Keras": lambda root: np.savez(root / "mnist.npz", **ARRAYS),
    "Keras, compressed": lambda root: np.savez_compressed(root / "mnist.npz", **ARRAYS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_is_served(layout, tmp_path):
    LAYOUTS[layout](tmp_path)
    mnist = load("mnist", folder=tmp_path)
    np.testing.assert_array_equal(mnist.train["image"][..., 0], ARRAYS["x_train"])
    np.testing.assert_array_equal(mnist.train["label"], ARRAYS["y_train"])
    np.testing.assert_array_equal(mnist.test["image"][..., 0], ARRAYS["x_test"])
    np.testing.assert_array_equal(mnist.test["label"], ARRAYS["y_test"])


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "fashion-mnist"])
def test_fashion_mnist_lies_where_torchvision_and_keras_put_it(folder, tmp_path):
    lay(tmp_path / folder, str, pack=gzip.compress)
    assert find("fashion_mnist", folder=tmp_path) == tmp_path / folder


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    lay(tmp_path / "digits", unpacked)
    assert find("mnist", folder="~/digits") == tmp_path / "digits"


def test_another_content_is_refused_in_every_layout(tmp_path):
    np.savez(tmp_path / "mnist.npz", **ARRAYS | {"y_test": np.uint8([0, 8])})
    with pytest.raises(ValueError, match=r"mnist.npz: expected content of sha256"):
        load("mnist", folder=tmp_path)
    lay(tmp_path, unpacked)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.uint8([3, 1, 1])))
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte: expected content of sha256"):
        load("mnist", folder=tmp_path)


class Bomb:
    """Would leave a trace if it were unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(array, **changes):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    content = file.getvalue()
    for old, new in changes.values():
        content = content.replace(old, new)
    return content


HOSTILE = {
    "pickled": archive(x=npy(np.array([Bomb()], object))),
    "floats": archive(x=npy(np.float64([1.0]))),
    "a shape that is a lie": archive(x=npy(np.uint8([1, 2, 3]), shape=(b"(3,), }", b"(9,), }"))),
    "a bomb": archive(x=b"\x93NUMPY" + bytes(2**21)),
    "a header that is no text of Python": archive(x=npy(np.uint8([1]), shape=(b"{'descr'", b"((('descr'"))),
    "another version": archive(x=b"\x93NUMPY\x09\x00" + bytes(100)),
    "an array that is missing": archive(y=npy(np.uint8([1]))),
    "truncated": archive(x=npy(np.uint8([1])))[:-30],
    "no zip": b"x" * 100,
    "empty": b"",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_never_unpickled(kind, tmp_path, capsys):
    (tmp_path / "mnist.npz").write_bytes(HOSTILE[kind])
    with pytest.raises(ValueError, match=r"mnist.npz must be an archive as Keras has it, of plain arrays of bytes"):
        read_keras_archive(tmp_path / "mnist.npz", {"x": "x"}, most=2**20)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("sub", ["", "cifar-10-batches-py"])
def test_the_python_version_of_cifar_is_refused_with_the_remedy(sub, tmp_path, capsys):
    (tmp_path / sub).mkdir(exist_ok=True)
    (tmp_path / sub / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"pickles can execute code.* binary version.* cifar-10-binary.tar.gz"):
        load("cifar10", folder=tmp_path)
    assert capsys.readouterr().out == ""


def test_without_a_home_folder_a_place_is_asked_for(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: str(path))  # as where nobody has that user number
    monkeypatch.delenv("JAXNN_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"HOME and JAXNN_DATA are not set. Name one: --data-folder FOLDER"):
        load("cifar10")
