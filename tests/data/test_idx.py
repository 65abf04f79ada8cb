import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxnn.data import read_idx
from jaxnn.data.idx import unpack_idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def encode(array):
    """The IDX file of an array, written from LeCun's page and not from the reader."""
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda name: hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
PLAIN = encode(IMAGES)
GZIPPED = gzip.compress(PLAIN, mtime=0)


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@given(array=arrays, packed=st.booleans())
def test_reads_back_what_an_independent_encoder_wrote(array, packed):
    content = encode(array)
    result = read_idx(gzip.compress(content) if packed else content)
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, array, strict=True)


@pytest.mark.parametrize("content", [PLAIN, GZIPPED], ids=["plain", "gzipped"])
def test_reads_a_file_by_its_content_not_its_name(tmp_path, content):
    path = tmp_path / "anything.gz"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_idx(path), IMAGES, strict=True)
    np.testing.assert_array_equal(read_idx(str(path)), IMAGES, strict=True)
    assert unpack_idx(path) == PLAIN


@pytest.mark.parametrize("name", sorted(CODES))
def test_the_array_is_read_only(name):
    with pytest.raises(ValueError, match="read-only"):
        read_idx(encode(np.zeros(3, name)))[0] = 1


DAMAGED = {
    "empty file": (b"", "expected magic bytes 00 00.*received nothing"),
    "two bytes": (PLAIN[:2], "received 00 00"),
    "bad magic": (flip(PLAIN, 0), "expected magic bytes 00 00.*received ff 00 08 03"),
    "not IDX at all": (b"<html>404</html>", "magic"),
    "unknown type code": (b"\0\0\x0a\1\0\0\0\1x", "expected a type code of 08, 09, 0b, 0c, 0d, 0e; received 0a"),
    "no dimensions": (b"\0\0\x08\0x", "expected 1 to 32 dimensions; received 0"),
    "too many dimensions": (b"\0\0\x08\xff" + bytes(4 * 255), "dimensions; received 255"),
    "header cut short": (PLAIN[:9], "expected a header of 16 bytes for 3 dimensions; received 9 bytes"),
    "payload cut short": (PLAIN[:-1], "expected 40 bytes, as the header says; received 39 bytes"),
    "trailing byte": (PLAIN + b"\0", "expected 40 bytes, as the header says; received 41 bytes"),
    "absurd size": (b"\0\0\x0e\1" + b"\xff" * 4, "expected 34359738368 bytes, as the header says; received 8 bytes"),
    "unaddressable": (b"\0\0\x0e\4" + b"\xff" * 16, "dimensions that can be addressed"),
    "unaddressable but empty": (b"\0\0\x0e\5\0\0\0\0" + b"\xff" * 16, "dimensions that can be addressed"),
    "gzip: CRC": (flip(GZIPPED, -8 % len(GZIPPED)), "intact gzip stream; received.*incorrect data check"),
    "gzip: length": (flip(GZIPPED, len(GZIPPED) - 1), "intact gzip stream; received.*incorrect length check"),
    "gzip: deflate data": (GZIPPED[:10] + b"\xff" * 20 + GZIPPED[30:], "intact gzip stream"),
    "gzip: cut in its header": (GZIPPED[:5], "received nothing"),
    "gzip: cut in its data": (GZIPPED[: len(GZIPPED) // 2], "received"),
    "gzip: cut in its trailer": (GZIPPED[:-4], "expected one whole gzip stream; received a stream without its end"),
    "gzip: bytes after the end": (GZIPPED + b"junk", "expected one whole gzip stream; received bytes after its end"),
    "gzip: of a truncated file": (gzip.compress(PLAIN[:-1]), "expected 40 bytes after gunzip.*received 39 bytes"),
    "gzip: of a file too long": (gzip.compress(PLAIN + b"\0"), "expected 40 bytes after gunzip.*received more"),
    "gzip: absurd size": (gzip.compress(b"\0\0\x08\1\xff\xff\xff\xff"), "a header that claims 4294967303"),
    "gzip: bad magic": (gzip.compress(flip(PLAIN, 1)), "magic"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_refuses_what_is_damaged(tmp_path, content, message):
    path = tmp_path / "damaged-idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_idx(path)
    assert str(path) in str(raised.value)
    assert "Delete it and fetch it again" in str(raised.value)
    with pytest.raises(ValueError, match=message):
        read_idx(content)


@given(at=st.integers(0, len(GZIPPED) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_gzipped_file_is_refused_or_harmless(at, bit):
    content = bytearray(GZIPPED)
    content[at] ^= 1 << bit
    try:
        result = read_idx(bytes(content))
    except ValueError:
        return
    np.testing.assert_array_equal(result, IMAGES)  # the flip hit the gzip header's time or system


@given(length=st.integers(0, len(GZIPPED) - 1))
def test_any_truncation_is_refused(length):
    with pytest.raises(ValueError, match="no intact IDX file"):
        read_idx(GZIPPED[:length])


def test_a_gzip_bomb_is_not_unpacked_beyond_its_header():
    import tracemalloc

    bomb = gzip.compress(PLAIN + bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match="received more"):
        read_idx(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nowhere")
