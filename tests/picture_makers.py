"""Files of pictures, byte by byte, that Pillow does not write: PNG and TIFF with any tag, a colour profile."""

import struct
import zlib

import numpy as np

GREY = (np.arange(48).reshape(6, 8) * 5 + 10).astype(np.uint8)  # 10 to 245; no two pixels are alike


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels: np.ndarray, *, bits: int = 8, colour: int = 0, **chunks: bytes) -> bytes:
    """A PNG file of the samples, with the chunks before them: png(GREY, gAMA=...)."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    if bits < 8:
        rows = np.packbits(np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[:, :, -bits:].reshape(height, -1), 1)
    lines = [b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in rows]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    extra = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    body = chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + extra + body


TYPES = {"short": (3, "H"), "long": (4, "I"), "float": (11, "f"), "text": (2, "s"), "sbyte": (6, "b")}


def tiff(pixels: np.ndarray | bytes, *, bits: int | tuple, white_is_zero: bool = False, size=(8, 6), **tags) -> bytes:
    """A little-endian TIFF file of one strip; a tag is given as t281=("short", 3012)."""
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    entries = {256: ("short", size[0]), 257: ("short", size[1]), 258: ("short", bits), 259: ("short", 1)}
    entries |= {
        262: ("short", 0 if white_is_zero else 1),
        277: ("short", 1 if isinstance(bits, int) else len(bits)),
        278: ("short", size[1]),
    }
    entries |= {273: ("long", 8), 279: ("long", len(data))} | {int(name[1:]): value for name, value in tags.items()}
    start = 8 + len(data) + len(data) % 2
    table, beyond, place = [], b"", start + 2 + 12 * len(entries) + 4
    for tag, (kind, value) in sorted(entries.items()):
        code, letter = TYPES[kind]
        values = value if isinstance(value, tuple) else (value,)
        packed = value.encode() + b"\0" if kind == "text" else struct.pack(f"<{len(values)}{letter}", *values)
        count = len(packed) if kind == "text" else len(values)
        if len(packed) > 4:
            packed, beyond = struct.pack("<I", place + len(beyond)), beyond + packed + b"\0" * (len(packed) % 2)
        table.append(struct.pack("<HHI", tag, code, count) + packed.ljust(4, b"\0"))
    head = b"II*\0" + struct.pack("<I", start) + data + b"\0" * (len(data) % 2)
    return head + struct.pack("<H", len(table)) + b"".join(table) + b"\0\0\0\0" + beyond


def linear_grey_profile() -> bytes:
    """An ICC profile (ICC.1:2001-04) of grey levels that are proportional to the light."""
    fixed = lambda *values: b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    text = b"linear grey\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0) + bytes(4),
    }
    table, body, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data
    head = struct.pack(">I", place + len(body)) + b"\0\0\0\0\x02\x40\0\0mntrGRAYXYZ " + bytes(12) + b"acsp"
    head += bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body
