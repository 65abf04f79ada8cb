"""Damage to files, drawn from a seed: bytes, JSON values, the arrays of safetensors, sums that are right again.

A mutation takes a `random.Random` and the valid content, and returns other content. `Sparse` and `Special` stand for
what is no ordinary file.
"""

import json
import math
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

HUGE = 2**35  # bytes of a sparse file: more than a machine's memory
DEEP, LONG = "@deep@", "@long@"  # stand for nested lists and a number of many digits, which `json.dumps` refuses
DEPTH, DIGITS = 100_000, 5000
NUMBERS = (0, 1, -1, 1.5, -0.0, 1e-320, 1e308, 2**31, 2**53, 2**63, 2**64, 10**30, -(10**400), LONG)
NUMBERS += (math.nan, math.inf, -math.inf)
OTHERS = (
    None,
    True,
    False,
    "",
    "0",
    "1",
    "x" * 100_000,
    "\ud800",
    "a\nb\x1b[31m",
    "../../x",
    [],
    {},
    [[]],
    {"": None},
    DEEP,
)
TEXT_TOKENS = (b"NaN", b"-Infinity", b"null", b"1e999", b'""', b"{}", b"[", b"}", b"\n", b"\xff\xfe", b"\x00")
LIMITS = (0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


class Sparse(bytes):
    """Content that goes on with zeros, `HUGE` bytes in all."""


class Special(NamedTuple):
    """What lies in the place of a file."""

    kind: str  # "fifo", "folder", "loop", "missing", "foreign"


def write(path: Path, content: bytes | Special) -> None:
    """Puts the content there, where nothing is."""
    match content:
        case Special("fifo"):
            os.mkfifo(path)
        case Special("folder"):
            path.mkdir()
        case Special("loop"):
            path.symlink_to(path.name)
        case Special("foreign"):
            path.symlink_to("/dev/zero")
        case Special():
            pass
        case _:
            path.write_bytes(content)
            if isinstance(content, Sparse):
                os.truncate(path, HUGE)


def damaged(rng: Random, data: bytes) -> bytes | Special:
    """Any bytes: bits flipped, slices cut, repeated, moved, overwritten, numbers made large, and now and then more."""
    if rng.random() < 0.02:
        return rng.choice([Sparse(data), *map(Special, ("fifo", "folder", "loop", "missing", "foreign"))])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = rng.choice(_BYTE_MUTATIONS)(rng, data)
    return data


def damaged_json(rng: Random, data: bytes) -> bytes:
    """A JSON document in which values are swapped for others, of any type; names too."""
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = _with_change(rng, value)
    return rendered(value)


def damaged_lines(rng: Random, data: bytes) -> bytes:
    """JSON lines: one of them damaged as JSON, or lines lost, repeated and moved."""
    lines = data.splitlines()
    i = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            del lines[i]
        case 1:
            lines.insert(rng.randrange(len(lines)), lines[i])
        case 2:
            rng.shuffle(lines)
        case _:
            lines[i] = damaged_json(rng, lines[i])
    return b"".join(line + b"\n" for line in lines)


def damaged_safetensors(rng: Random, data: bytes) -> bytes:
    """A safetensors file whose header says something else, or whose header's length does."""
    (length,) = struct.unpack_from("<Q", data)
    header, rest = data[8 : 8 + length], data[8 + length :]
    match rng.randrange(4):
        case 0:
            return struct.pack("<Q", rng.choice(LIMITS)) + header + rest
        case 1:
            swapped = json.loads(header)
            named = rng.choice([name for name in swapped if name != "__metadata__"])
            swapped[named]["dtype"] = rng.choice(("I32", "F32", "F64", "U8", "BOOL", "BF16", "I64", "F8_E4M3", "C64"))
            header = rendered(swapped)
        case _:
            header = damaged_json(rng, header)
    return struct.pack("<Q", len(header)) + header + rest


def damaged_png(rng: Random, data: bytes) -> bytes:
    """A PNG with a chunk damaged, lost or repeated, whose sums are right."""
    chunks, start = [], 8
    while start < len(data):
        (length,) = struct.unpack_from(">I", data, start)
        chunks.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += 12 + length
    i = rng.randrange(len(chunks))
    name, body = chunks[i]
    new = damaged(rng, body)
    match rng.randrange(4):
        case 0:
            del chunks[i]
        case 1:
            chunks.insert(rng.randrange(len(chunks)), (name, body))
        case _ if isinstance(new, bytes):
            chunks[i] = rng.choice((name, name, b"tRNS", b"PLTE", b"zTXt", b"iCCP", b"eXIf")), bytes(new)
    sealed = (struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    return data[:8] + b"".join(sealed)


def rendered(value: Any) -> bytes:
    """JSON, as Python writes it, NaN included; the stand-ins become what they stand for."""
    text = json.dumps(value)
    for stand_in, meant in ((DEEP, "[" * DEPTH + "]" * DEPTH), (LONG, "9" * DIGITS)):
        text = text.replace(f'"{stand_in}"', meant)
    return text.encode()


def _with_change(rng: Random, value: Any) -> Any:
    """One place somewhere in the value is another; the deeper places are as likely as those above."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice([*value])
        match rng.randrange(8):
            case 0:
                return {k: v for k, v in value.items() if k != name}
            case 1:
                return value | {rng.choice(("", name + "x", "__metadata__", "\n", "x" * 100_000)): value[name]}
            case 2:
                return value | {name: value[rng.choice([*value])]}
            case _:
                return value | {name: _with_change(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        i = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                return value[:i] + value[i + 1 :]
            case 1:
                return value[:i] + [value[i]] * rng.choice((2, 1000)) + value[i:]
            case _:
                return [*value[:i], _with_change(rng, value[i]), *value[i + 1 :]]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice((value + 1, -value, value * 10, value / 2 if abs(value) < 1e300 else 0, [value], value == 0))
    return rng.choice(rng.choice((NUMBERS, OTHERS)))


def _flip(rng, data):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _slice(rng, data):
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 64, len(data))))


def _cut(rng, data):
    return data[: rng.choice((0, 1, len(data) // 2, max(0, len(data) - 1), rng.randrange(len(data) + 1)))]


def _delete(rng, data):
    start, end = _slice(rng, data)
    return data[:start] + data[end:]


def _repeat(rng, data):
    start, end = _slice(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 1, 3, 100)) + data[end:]


def _insert(rng, data):
    start, _ = _slice(rng, data)
    return data[:start] + rng.choice((rng.randbytes(rng.choice((1, 4, 32))), rng.choice(TEXT_TOKENS))) + data[start:]


def _overwrite(rng, data):
    start, end = _slice(rng, data)
    return data[:start] + rng.choice((b"\0", b"\xff", b"9", b" ")) * (end - start) + data[end:]


def _swap(rng, data):
    (a, b), (c, d) = sorted((_slice(rng, data), _slice(rng, data)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _number(rng, data):
    """A field of a binary header holds the least or most that it can."""
    layout = rng.choice(("B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(layout)
    start = rng.randrange(rng.choice((16, 64, len(data) + 1)))
    if start + size > len(data):
        return data
    number = rng.choice([limit for limit in LIMITS if limit < 256**size])
    return data[:start] + struct.pack(layout, number) + data[start + size :]


def _digits(rng, data):
    """A decimal number becomes another."""
    places = [i for i, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        return data
    i = rng.choice(places)
    return data[:i] + rng.choice((b"-1", b"0", b"9" * 30, b"1e400", b"9" * 5000, b"0.5")) + data[i + 1 :]


_BYTE_MUTATIONS: Sequence[Callable[[Random, bytes], bytes]] = (
    _flip, _flip, _cut, _delete, _repeat, _insert, _overwrite, _swap, _number, _number, _digits,
)  # fmt: skip
