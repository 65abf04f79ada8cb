"""`read_keras_archive` reads the file in which Keras keeps MNIST, and never unpickles any of it.

`mnist.npz` is a zip file of four arrays in the format of NumPy, `x_train`, `y_train`, `x_test` and `y_test`. The format
can also hold pickled objects, which execute code when they are read. Here only plain bytes (uint8) are accepted. The
arrays are returned as IDX files, so their sha256 is that of the files which LeCun published.
"""

import io
import math
import zipfile
import zlib
from os import PathLike
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

from jaxnn.bounded_files import open_regular

_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ValueError, SyntaxError, TokenError)
MOST_BYTES = 2**26  # of an array; the largest one has 47 040 128


def read_keras_archive(path: str | PathLike, names: dict[str, str], *, most: int = MOST_BYTES) -> dict[str, bytes]:
    """Reads arrays of an archive of NumPy as the bytes of IDX files.

    Args:
        path: the archive.
        names: the name of a result -> the name of its array in the archive.
        most: the largest allowed size of an array in bytes; memory for more is never allocated.

    Returns:
        The name of a result -> the bytes of an IDX file, uncompressed.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no whole archive, or an array is missing, too large or not of plain uint8.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return {name: _as_idx(_member(archive, f"{array}.npy", most)) for name, array in names.items()}
    except _DAMAGES as error:
        raise ValueError(
            f"{path} must be an archive as Keras has it, of plain arrays of bytes: {error}. Fetch it again."
        ) from error


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    member = archive.getinfo(name)
    size = max(member.file_size, member.compress_size)  # no more is read or unpacked, whatever follows
    if size > most:
        raise ValueError(f"{name} must have at most {most} bytes; it has {size}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others may ask for any memory
        raise ValueError(f"{name} must be stored or deflated; it is packed by method {member.compress_type}")
    return archive.read(name)


def _as_idx(content: bytes) -> bytes:
    """Returns an array in the format of NumPy as an IDX file; only the header is interpreted."""
    file = io.BytesIO(content)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(file))
    if read_header is None:
        raise ValueError("expected version 1 or 2 of the format of NumPy")
    shape, is_fortran, dtype = read_header(file)
    data = content[file.tell() :]
    if dtype != np.uint8 or is_fortran or len(data) != math.prod(shape):
        raise ValueError(f"expected uint8 in C order; found {dtype}, shape {shape}, in {len(data)} bytes")
    return bytes([0, 0, 0x08, len(shape)]) + np.array(shape, ">u4").tobytes() + data
