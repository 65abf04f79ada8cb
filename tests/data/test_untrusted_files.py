"""What stands in the place of a data file and is none: it is refused at once, and no memory is taken for it."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxnn import data
from jaxnn.data.cifar import read_cifar10
from jaxnn.data.idx import read_idx, unpack_idx
from jaxnn.data.picture_files import MOST_PIXELS
from jaxnn.data.pictures import read_picture
from jaxnn.data.sources import MOST_BYTES, SOURCES

READERS = {"idx": read_idx, "cifar": read_cifar10, "picture": lambda path: read_picture(path, (28, 28, 1))}
HEADS = {"idx": bytes([0, 0, 8, 1]) + (2**32 - 1).to_bytes(4, "big"), "cifar": b"", "picture": b"\x89PNG\r\n\x1a\n"}


def make(kind, path, head=b"") -> str:
    """Something that is no data file; returns what an error says of it."""
    if kind == "pipe":
        os.mkfifo(path)
        return "found a pipe"
    if kind == "device":
        path.symlink_to("/dev/zero")
        return "found a device"
    if kind == "folder":
        path.mkdir()
        return "found a folder"
    if kind == "loop":
        path.symlink_to(path)
        return "loop|cannot read|not there"
    path.write_bytes(head)
    os.truncate(path, 30 * 2**30)
    return "must have at most"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "sparse"])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_what_is_no_file_of_its_kind(reader, kind, tmp_path):
    words = make(kind, tmp_path / "file", HEADS[reader])
    with pytest.raises((ValueError, OSError), match=words):
        READERS[reader](tmp_path / "file")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "sparse"])
def test_a_data_set_with_such_a_file_is_refused(kind, tmp_path):
    for name in SOURCES["mnist"].contents:
        (tmp_path / name).symlink_to(SOURCES["mnist"].folder / name)
    victim = tmp_path / "t10k-images-idx3-ubyte.gz"
    victim.unlink()
    make(kind, victim, HEADS["idx"])
    with pytest.raises((ValueError, OSError), match=r"ubyte.gz must have at most|a folder without them"):
        data.load("mnist", folder=tmp_path)


def test_a_download_that_would_be_a_pipe_is_refused(tmp_path):
    (tmp_path / "cifar10").mkdir()
    os.mkfifo(tmp_path / "cifar10/cifar-10-binary.tar.gz")
    with pytest.raises(ValueError, match="must be a regular file; found a pipe"):
        data.load("cifar10", folder=tmp_path)


def test_the_header_and_the_bound_are_held_together_before_unpacking():
    import gzip

    packed = gzip.compress(bytes([0, 0, 8, 1]) + (5000).to_bytes(4, "big") + bytes(5000))
    assert len(unpack_idx(packed, most=5008)) == 5008
    with pytest.raises(ValueError, match="at most 5007 bytes after gunzip; received a header that claims 5008"):
        unpack_idx(packed, most=5007)


def test_the_bound_of_the_table_holds_its_largest_file():
    folder = SOURCES["mnist"].folder
    assert max(len(unpack_idx(folder / name)) for name in SOURCES["mnist"].contents) <= MOST_BYTES
    assert MOST_BYTES < 2 * 47_040_016


def test_a_picture_of_too_many_pixels_is_not_unpacked(tmp_path):
    side = int(MOST_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="pixels; expected at most 2\\^26"):
        read_picture(tmp_path / "large.png", (28, 28, 1), resize=True)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_mutated_picture_is_a_picture_or_a_sentence(format, tmp_path):
    rng, path, said = np.random.default_rng(0), tmp_path / "image", []
    Image.fromarray(rng.integers(0, 255, (28, 28), np.uint8)).save(path, format=format)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(200):
        mutated = whole[: rng.integers(1, len(whole) + 1)].copy()
        mutated[rng.integers(0, len(mutated), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(mutated.tobytes())
        try:
            assert read_picture(path, (28, 28, 1), resize=True).shape == (28, 28, 1)
        except ValueError as error:
            said.append(str(error))
    assert said
    assert not any("\n" in sentence for sentence in said)
