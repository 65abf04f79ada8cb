import ast
import dataclasses
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import jaxnn.data
from jaxnn.data import Dataset, load, read_cifar10, subset
from jaxnn.data.sources import SOURCES, Source, read_cifar10_splits

PACKAGED = Path(jaxnn.data.__file__).parent / "mnist"
NAMES = ("mnist", "fashion_mnist", "cifar10")
LABELS = {  # the published counts of each class
    "mnist": (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ),
    "fashion_mnist": ([6000] * 10, [1000] * 10),
    "cifar10": ([5000] * 10, [1000] * 10),
}


@pytest.fixture(scope="module", params=NAMES)
def dataset(request):
    source = SOURCES[request.param]
    places = [source.folder, Path("~/.cache/jaxnn").expanduser() / request.param]
    here = [place for place in places if place and all((place / file).is_file() for file in source.contents)]
    if not here:
        pytest.skip(f"the real files of {request.param} are not on this machine; nothing is downloaded by a test")
    return load(request.param, folder=here[0])


def test_the_real_data_keep_the_contract(dataset):
    side, channels, train = (32, 3, 50_000) if dataset.name == "cifar10" else (28, 1, 60_000)
    for split, n in ((dataset.train, train), (dataset.test, 10_000)):
        assert set(split) == {"image", "label"}
        assert split["image"].shape == (n, side, side, channels)
        assert split["image"].dtype == np.uint8
        assert split["label"].shape == (n,)
        assert split["label"].dtype == np.int32
        assert split["image"].flags.c_contiguous
        assert not any(array.flags.writeable for array in split.values())


def test_the_real_labels_are_counted(dataset):
    train, test = LABELS[dataset.name]
    assert np.bincount(dataset.train["label"]).tolist() == train
    assert np.bincount(dataset.test["label"]).tolist() == test
    assert len(dataset.classes) == len(set(dataset.classes)) == 10


def test_mean_and_std_are_those_of_the_training_pixels(dataset):
    pixels = dataset.train["image"].reshape(-1, dataset.train["image"].shape[-1])
    counts = [np.bincount(channel, minlength=256) / len(pixels) for channel in pixels.T]  # exact, unlike a float32 mean
    levels = np.arange(256) / 255
    mean = [p @ levels for p in counts]
    std = [np.sqrt(p @ levels**2 - m**2) for p, m in zip(counts, mean, strict=True)]
    np.testing.assert_allclose(dataset.mean, mean, rtol=0, atol=1e-4)
    np.testing.assert_allclose(dataset.std, std, rtol=0, atol=1e-4)


def test_a_class_looks_like_its_name():
    """Images and labels belong together: nearest class mean is far above chance, as is known of MNIST (0.82)."""
    mnist = load("mnist")
    x, y = mnist.train["image"].reshape(60_000, -1)[::10] / 255, mnist.train["label"][::10]
    means = np.stack([x[y == k].mean(0) for k in range(10)])
    z = mnist.test["image"].reshape(10_000, -1)[::10] / 255
    guess = ((z[:, None] - means) ** 2).sum(-1).argmin(-1)
    assert (guess == mnist.test["label"][::10]).mean() > 0.75


def test_says_what_it_is():
    mnist = load("mnist")
    assert (mnist.name, mnist.licence, mnist.classes[3]) == ("mnist", "CC BY-SA 3.0", "3")
    assert "LeCun" in mnist.source
    assert "array" not in repr(mnist)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mnist.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        mnist.train["label"][0] = 1


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(
        ValueError, match="unknown dataset 'fashon_mnist'; did you mean 'fashion_mnist'\\? Known: blobs, cifar"
    ):
        load("fashon_mnist")


@pytest.fixture
def copied(tmp_path):
    for file in SOURCES["mnist"].contents:
        shutil.copy(PACKAGED / file, tmp_path)
    return tmp_path


def repack(path, content):
    path.write_bytes(gzip.compress(content, 1))


def test_loads_from_a_folder_however_the_files_were_packed(copied):
    labels = copied / "t10k-labels-idx1-ubyte.gz"
    repack(labels, gzip.decompress(labels.read_bytes()))
    assert labels.read_bytes() != (PACKAGED / labels.name).read_bytes()
    mnist = load("mnist", folder=copied)
    np.testing.assert_array_equal(mnist.test["label"], load("mnist").test["label"])


def test_loads_from_the_subfolder_of_its_name(copied):
    below = copied / "mnist"
    below.mkdir()
    for file in SOURCES["mnist"].contents:
        shutil.move(copied / file, below)
    assert len(load("mnist", folder=str(copied)).train["label"]) == 60_000


def test_an_altered_file_is_refused(copied):
    labels = copied / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] ^= 1  # one label: a valid IDX file, but not MNIST's
    repack(labels, bytes(content))
    expected = SOURCES["mnist"].contents[labels.name]
    with pytest.raises(ValueError, match=f"{labels}: expected content of sha256 {expected}; received .*reinstall"):
        load("mnist", folder=copied)


def test_another_dataset_in_the_same_layout_is_refused(copied):
    with pytest.raises(ValueError, match="is another dataset's"):
        load("fashion_mnist", folder=copied)


def test_a_damaged_file_is_refused(copied):
    images = copied / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="no intact IDX file"):
        load("mnist", folder=copied)


def test_a_missing_file_or_folder_is_missing(copied):
    (copied / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected train-images-idx3-ubyte\.gz, .*reinstall"):
        load("mnist", folder=copied)
    with pytest.raises(FileNotFoundError, match="`folder` must exist"):
        load("mnist", folder=copied / "nowhere")


def test_subset_keeps_the_first():
    mnist = load("mnist")
    small = subset(mnist, train=100, test=1)
    assert small.train["image"].shape == (100, 28, 28, 1)
    assert small.test["label"].tolist() == [7]
    np.testing.assert_array_equal(small.train["label"], mnist.train["label"][:100])
    assert np.shares_memory(small.train["image"], mnist.train["image"])
    assert subset(mnist, test=5).train is mnist.train
    assert small.mean == mnist.mean


@pytest.mark.parametrize("n", [-1, 0, 60_001])
def test_subset_refuses_what_is_not_there(n):
    with pytest.raises(ValueError, match=f"`train` must be 1 to 60000, the examples there are; received {n}"):
        subset(load("mnist"), train=n)


def test_a_split_has_one_length():
    split = {"image": np.zeros((3, 2, 2, 1), np.uint8), "label": np.zeros(2, np.int32)}
    with pytest.raises(
        ValueError, match=r"the fields of `test` must have one length; received \{'image': 3, 'label': 2"
    ):
        Dataset("d", {}, split, (), (), (), "", "")


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A dataset of twelve pictures in CIFAR-10's layout, published as an archive by a server on this machine."""
    generator = np.random.default_rng(0)
    records = generator.integers(0, 256, (6, 2, 3073), np.uint8)
    records[..., 0] %= 10
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    files = {name: batch.tobytes() for name, batch in zip(names, records, strict=True)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    published = tmp_path / "published"
    published.mkdir()
    (published / "tiny.tar.gz").write_bytes(buffer.getvalue())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=published))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    source = Source(
        classes=SOURCES["cifar10"].classes,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        licence="none",
        page="here",
        contents={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        read=read_cifar10_splits,
        mirrors=(f"http://127.0.0.1:{server.server_port}/",),
        downloads={"tiny.tar.gz": hashlib.sha256(buffer.getvalue()).hexdigest()},
    )
    monkeypatch.setitem(SOURCES, "tiny", source)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("JAXNN_DATA", raising=False)
    thread.start()
    yield files
    server.shutdown()
    server.server_close()
    thread.join()


def put(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def hide_the_mirror(tmp_path):
    (tmp_path / "published" / "tiny.tar.gz").unlink()


def test_downloads_unpacks_and_finds_it_again(tiny, tmp_path):
    dataset = load("tiny")
    train = read_cifar10(b"".join(tiny[f"data_batch_{i}.bin"] for i in range(1, 6)))
    np.testing.assert_array_equal(dataset.train["image"], train["image"])
    np.testing.assert_array_equal(dataset.test["label"], read_cifar10(tiny["test_batch.bin"])["label"])
    assert names(tmp_path / "home/.cache/jaxnn/tiny") == sorted(tiny)
    hide_the_mirror(tmp_path)
    assert len(load("tiny").train["label"]) == 10


def test_downloads_to_the_folder_asked_for(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNN_DATA", str(tmp_path / "by environment"))
    (tmp_path / "by argument").mkdir()
    load("tiny", folder=tmp_path / "by argument")
    assert names(tmp_path / "by argument/tiny") == sorted(tiny)
    load("tiny")
    assert names(tmp_path / "by environment/tiny") == sorted(tiny)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("place", ["by environment/tiny", "home/.cache/jaxnn/tiny", "by distribution"])
def test_finds_the_files_where_they_lie(tiny, tmp_path, monkeypatch, place):
    monkeypatch.setenv("JAXNN_DATA", str(tmp_path / "by environment"))
    source = dataclasses.replace(SOURCES["tiny"], folder=tmp_path / "by distribution")
    monkeypatch.setitem(SOURCES, "tiny", source)
    hide_the_mirror(tmp_path)
    put(tmp_path / place, tiny)
    assert len(load("tiny").test["label"]) == 2
    (tmp_path / "by argument").mkdir()
    with pytest.raises(OSError, match="could not download"):  # a folder asked for is not replaced by another
        load("tiny", folder=tmp_path / "by argument")


def test_unpacking_resumes_from_the_archive_after_an_interruption(tiny, tmp_path, monkeypatch):
    extractfile = tarfile.TarFile.extractfile

    def interrupted(tar, member):
        if member.name.endswith("data_batch_2.bin"):
            raise KeyboardInterrupt
        return extractfile(tar, member)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractfile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load("tiny")
    place = tmp_path / "home/.cache/jaxnn/tiny"
    assert names(place) == ["data_batch_1.bin", "tiny.tar.gz"]
    hide_the_mirror(tmp_path)
    assert len(load("tiny").train["label"]) == 10
    assert names(place) == sorted(tiny)


def test_an_altered_batch_is_refused(tiny, tmp_path):
    tiny["data_batch_3.bin"] = tiny["data_batch_3.bin"][::-1]
    put(tmp_path / "home/.cache/jaxnn/tiny", tiny)
    with pytest.raises(ValueError, match=r"data_batch_3.bin: expected content of sha256 .* delete it"):
        load("tiny")


def test_only_the_missing_file_is_downloaded_beside_a_repacked_one(tmp_path, monkeypatch):
    """Debian packs Fashion-MNIST anew: other gzip bytes, the same content."""
    content = {"a.gz": b"\0\0\x08\1\0\0\0\1a", "b.gz": b"\0\0\x08\1\0\0\0\1b"}
    published = gzip.compress(content["b.gz"], mtime=1)
    source = Source(
        classes=(),
        mean=(),
        std=(),
        licence="",
        page="",
        contents={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        read=lambda contents: ({"x": np.array([contents["a.gz"][-1]])}, {"x": np.array([contents["b.gz"][-1]])}),
        mirrors=("",),
        downloads={"a.gz": "0" * 64, "b.gz": hashlib.sha256(published).hexdigest()},
    )
    asked = []

    def fetch(urls, path, *, sha256):
        asked.append(path.name)
        path.write_bytes(published)
        return path

    monkeypatch.setattr("jaxnn.data.datasets.fetch", fetch)
    monkeypatch.setitem(SOURCES, "pair", source)
    put(tmp_path / "pair", {"a.gz": gzip.compress(content["a.gz"], mtime=2)})
    pair = load("pair", folder=tmp_path)
    assert asked == ["b.gz"]
    assert (pair.train["x"][0], pair.test["x"][0]) == (ord("a"), ord("b"))


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_whole(name):
    source = SOURCES[name]
    hashes = [*source.contents.values(), *(source.downloads or {}).values()]
    assert len(set(hashes)) == len(hashes)
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in hashes)
    assert bool(source.mirrors) == bool(source.downloads)
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in source.mirrors)
    assert len(source.mean) == len(source.std) == (3 if name == "cifar10" else 1)


@pytest.mark.parametrize("file", sorted(Path(jaxnn.data.__file__).parent.glob("*.py")), ids=lambda file: file.name)
def test_data_imports_the_standard_library_numpy_pillow_and_tqdm_only(file):
    tree = ast.walk(ast.parse(file.read_text()))
    imported = {
        name
        for node in tree
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    ours = {name for name in imported if name.startswith("jaxnn")}
    assert all(name in ("jaxnn.naming", "jaxnn.bounded_files") or name.startswith("jaxnn.data.") for name in ours)
    assert {name.split(".")[0] for name in imported - ours} <= {*sys.stdlib_module_names, "numpy", "PIL", "tqdm"}


def test_importing_and_loading_never_imports_jax():
    code = "import jaxnn.data, sys; jaxnn.data.load('mnist'); assert not {'jax', 'tqdm', 'flax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(jaxnn.data.__file__).parents[2])
