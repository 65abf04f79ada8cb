"""Files of data, archives and pictures, and what reads them."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from damaged_subjects import Subject, damages_of
from file_mutations import damaged, damaged_png
from PIL import Image

IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 4]) + bytes(range(80))
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 5]) + bytes(5)


def zipped(mutate):
    return lambda rng, content: gzip.compress(mutate(rng, content), 1)


def plain_damage(rng: Random, content: bytes) -> bytes:
    """Bytes only, nothing in the place of a file."""
    return bytes(changed) if isinstance(changed := damaged(rng, content), bytes) else content


def idx(folder: Path) -> Subject:
    from jaxnn.data.idx import read_idx

    parse = lambda: read_idx(folder / "images")
    return Subject({"images": IMAGES}, damages_of("images", IMAGES, damaged), parse)


def idx_gz(folder: Path) -> Subject:
    from jaxnn.data.idx import read_idx

    packed = gzip.compress(IMAGES)
    damages = (*damages_of("images.gz", packed, damaged), *damages_of("images.gz", IMAGES, zipped(plain_damage)))
    return Subject({"images.gz": packed}, damages, lambda: read_idx(folder / "images.gz"))


def cifar(folder: Path) -> Subject:
    from jaxnn.data.cifar import read_cifar10

    content = bytes([1, *range(256), *bytes(2816)]) * 2
    return Subject({"a.bin": content}, damages_of("a.bin", content, damaged), lambda: read_cifar10(folder / "a.bin"))


def data_folder(name: str) -> Callable[[Path], Subject]:
    """`load` from a folder, of files whose sums are known."""

    def make(folder: Path) -> Subject:
        from jaxnn.data import load
        from jaxnn.data.sources import SOURCES

        record = bytes([1]) + bytes(3072)
        batches = dict.fromkeys(SOURCES["cifar10"].contents, record)
        known = {"mnist": dict.fromkeys(SOURCES["mnist"].contents, IMAGES), "cifar10": batches}[name]
        plain = {file: LABELS if "labels" in file else content for file, content in known.items()}
        sums = {file: hashlib.sha256(content).hexdigest() for file, content in plain.items()}
        SOURCES[name] = replace(SOURCES[name], contents=sums, mirrors=())
        files = {file: gzip.compress(one) if file.endswith(".gz") else one for file, one in plain.items()}
        damages = (one for file, content in files.items() for one in damages_of(file, content, damaged))
        return Subject(files, tuple(damages), lambda: load(name, folder=folder))

    return make


def tar_archive(folder: Path) -> Subject:
    from jaxnn.data.download import extract

    names = [f"data_batch_{i}.bin" for i in range(1, 4)]
    packed, plain = (tar_of(names, mode) for mode in ("w:gz", "w"))
    damages = (
        *damages_of("cifar.tar.gz", packed, damaged),
        *damages_of("cifar.tar.gz", plain, plain_damage, zipped(plain_damage), damaged_tar),
    )
    return Subject({"cifar.tar.gz": packed}, damages, lambda: extract(folder / "cifar.tar.gz", names, folder))


def tar_of(names, mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        for name in names:
            member = tarfile.TarInfo(f"cifar/{name}")
            member.size = 600
            tar.addfile(member, io.BytesIO(bytes(600)))
    return packed.getvalue()


def damaged_tar(rng: Random, content: bytes) -> bytes:
    """A header's fields are others, and its sum is right."""
    start = 512 * rng.choice(
        [i for i in range(len(content) // 512) if content[512 * i + 257 : 512 * i + 262] == b"ustar"]
    )
    header = bytearray(content[start : start + 512])
    at, size = rng.choice(((0, 100), (124, 12), (156, 1), (157, 100), (345, 155), (100, 8), (263, 2)))
    field = plain_damage(rng, bytes(header[at : at + size]))
    if rng.random() < 0.5:
        field = rng.choice(
            (b"77777777777", b"-1", b"\x80" + b"\xff" * 10, b"../../x", b"S", b"K", b"L", b"x", b"2", b"5", b"g")
        )
    header[at : at + size] = field[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return content[:start] + bytes(header) + content[start + 512 :]


def keras_archive(folder: Path) -> Subject:
    """Damage of the zip file, and of an array that is packed whole again."""
    from jaxnn.data.keras_archives import read_keras_archive

    array = io.BytesIO()
    np.save(array, np.arange(80, dtype=np.uint8).reshape(5, 4, 4))

    def archive(content: bytes) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x_train.npy", content)
        return packed.getvalue()

    whole = archive(array.getvalue())
    repacked = lambda rng, content: archive(plain_damage(rng, content))
    damages = (*damages_of("mnist.npz", whole, damaged), *damages_of("mnist.npz", array.getvalue(), repacked))
    parse = lambda: read_keras_archive(folder / "mnist.npz", {"images": "x_train"}, most=2**16)
    return Subject({"mnist.npz": whole}, damages, parse)


def picture(form: str) -> Callable[[Path], Subject]:
    """An image file of the format."""

    def make(folder: Path) -> Subject:
        from jaxnn.data.pictures import read_picture

        path, packed = folder / "image", io.BytesIO()
        Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(packed, form)
        content = packed.getvalue()
        hows = (damaged, damaged_png) if form == "PNG" else (damaged,)

        def parse():
            assert read_picture(path, (28, 28, 1)).shape == (28, 28, 1)
            read_picture(path, (14, 14, 3), resize=True, invert=True, background="white")
            read_picture(path, (28, 28, 1), prepare="mnist", invert="auto", ground="dark")

        return Subject({"image": content}, damages_of("image", content, *hows), parse)

    return make
