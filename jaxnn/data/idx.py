"""`read_idx` reads the IDX format of the MNIST database: a big-endian header, then the array in C order.

    byte 0, 1    zero
    byte 2       type code: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
    byte 3       number of dimensions, d
    4 d bytes    the dimensions, uint32 each
    the rest     the elements, exactly as many as the product of the dimensions

LeCun, Cortes and Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/.

A header can claim any size. The claimed size is compared with the size of the file before memory is allocated, and a
gzip stream is unpacked no further than that size. So neither a damaged file nor a hostile one can exhaust the memory.
"""

import math
import zlib
from os import PathLike

import numpy as np

from jaxnn.bounded_files import read_bounded

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 32  # the limit of NumPy 1
_MAX_HEADER = 4 + 4 * _MAX_DIMENSIONS
_MAX_RATIO = 1032  # the largest compression ratio of deflate (technical notes of zlib)
MOST_BYTES = 2**30  # more than any known file of this format
_GZIP = 16 + zlib.MAX_WBITS  # zlib: expect a gzip header and check its CRC


def read_idx(source: str | PathLike | bytes, *, most: int = MOST_BYTES) -> np.ndarray:
    """Reads an array from an IDX file, which may be compressed by gzip.

    Args:
        source: the path of the file, or its bytes.
        most: the largest allowed size in bytes of the file and of its unpacked content; memory for more is never
            allocated.

    Returns:
        The array in the byte order of the machine, read-only, with the type and shape of the header.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the magic number, the type code, the dimensions, the length or the gzip checksum are wrong, the file
            is larger than `most`, or it is not a regular file.

    >>> read_idx(bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + b"abcdef")
    array([[ 97,  98,  99],
           [100, 101, 102]], dtype=uint8)
    """
    content = unpack_idx(source, most=most)
    dtype, shape, start = _parse_header(content, "bytes")
    array = np.ndarray(shape, dtype, buffer=content, offset=start).astype(dtype.newbyteorder("="), copy=False)
    array.setflags(write=False)
    return array


def unpack_idx(source: str | PathLike | bytes, *, most: int = MOST_BYTES) -> bytes:
    """Returns the bytes of an IDX file, uncompressed, exactly as many as its header states.

    Args, Raises: as `read_idx`.

    >>> import gzip
    >>> unpack_idx(gzip.compress(bytes([0, 0, 0x08, 1, 0, 0, 0, 2]) + b"ab"))
    b'\\x00\\x00\\x08\\x01\\x00\\x00\\x00\\x02ab'
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, raw = "bytes", bytes(source)
    else:
        name, raw = str(source), read_bounded(source, most=most)
    if raw.startswith(b"\x1f\x8b"):
        return _gunzip(raw, name, most)
    size = _content_size(raw, name)
    if len(raw) != size:
        raise _damaged(name, f"{size} bytes, as the header says", f"{len(raw)} bytes")
    return raw


def _parse_header(content: bytes, name: str) -> tuple[np.dtype, tuple[int, ...], int]:
    """Returns the type of the elements, the shape, and the offset of the first element."""
    if len(content) < 4 or content[:2] != b"\0\0":
        raise _damaged(
            name, "magic bytes 00 00, a type code and a number of dimensions", content[:4].hex(" ") or "nothing"
        )
    code, dimensions = content[2], content[3]
    if code not in _TYPES:
        raise _damaged(name, f"a type code of {', '.join(f'{known:02x}' for known in _TYPES)}", f"{code:02x}")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise _damaged(name, f"1 to {_MAX_DIMENSIONS} dimensions", f"{dimensions}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise _damaged(name, f"a header of {start} bytes for {dimensions} dimensions", f"{len(content)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=dimensions, offset=4))
    return np.dtype(_TYPES[code]), shape, start


def _content_size(content: bytes, name: str) -> int:
    """Returns the size of the whole uncompressed file in bytes, as its header states it."""
    dtype, shape, start = _parse_header(content, name)
    if math.prod(filter(None, shape)) * dtype.itemsize >= 2**63:
        raise _damaged(name, "dimensions that can be addressed", f"{shape}")
    return start + math.prod(shape) * dtype.itemsize


def _gunzip(raw: bytes, name: str, most: int) -> bytes:
    try:
        head = zlib.decompressobj(_GZIP).decompress(raw[:65536], _MAX_HEADER)
        size = _content_size(head, name)
        if size > _MAX_RATIO * len(raw):
            raise _damaged(
                name,
                f"at most {_MAX_RATIO * len(raw)} bytes, all that {len(raw)} gzipped bytes can hold",
                f"a header that claims {size}",
            )
        if size > most:
            raise _damaged(name, f"at most {most} bytes after gunzip", f"a header that claims {size}")
        stream = zlib.decompressobj(_GZIP)
        content = stream.decompress(raw, size + 1)  # one byte more, to see the end of the stream or a surplus
    except zlib.error as error:
        raise _damaged(name, "an intact gzip stream", str(error)) from error
    if len(content) != size:
        raise _damaged(
            name,
            f"{size} bytes after gunzip, as the header says",
            "more" if len(content) > size else f"{len(content)} bytes",
        )
    if not stream.eof or stream.unused_data:
        raise _damaged(
            name, "one whole gzip stream", "bytes after its end" if stream.eof else "a stream without its end"
        )
    return content


def _damaged(name: str, expected: str, received: str) -> ValueError:
    return ValueError(
        f"{name} is no intact IDX file: expected {expected}; received {received}. "
        "Delete it and fetch it again from its source."
    )
