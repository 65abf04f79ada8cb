"""Functions that write and read the JSON file of a checkpoint; the file is checked before any of it is used.

| field      | what it is                                                                             |
| ---------- | -------------------------------------------------------------------------------------- |
| `format`   | 1                                                                                      |
| `step`     | number of updates made                                                                 |
| `metrics`  | name -> number, or null for NaN and the infinities                                     |
| `totals`   | name -> sum and count in an unfinished epoch; missing in older checkpoints             |
| `best`     | the metric whose best checkpoint is kept in addition to the newest ones, or null       |
| `written`  | the time of writing, in UTC                                                            |
| `bytes`    | the size of the file of the arrays                                                     |
| `sha256`   | the sha256 of that file                                                                |
| `tree`     | name -> shape and dtype, see `named_arrays`                                            |
| `digest`   | the sha256 of all other fields in canonical JSON                                       |
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jaxnn.runs.named_arrays as named_arrays
from jaxnn.bounded_files import read_object

FORMAT = 1
MOST_BYTES = 64 * 2**20  # enough for half a million leaves
_FIELDS = {"metrics": dict, "best": str | None, "written": str, "bytes": int, "sha256": str, "tree": dict}
_NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no numbers for these


def render(metadata: Mapping[str, Any]) -> bytes:
    """Returns the bytes of the JSON file of a checkpoint.

    Args:
        metadata: all fields except "format" and "digest"; `totals` holds pairs of floats, which may be NaN or infinite.

    Raises:
        ValueError: the JSON would be too long for `read`.
    """
    totals = {name: [_written(float(number)) for number in pair] for name, pair in metadata["totals"].items()}
    fields = {"format": FORMAT, **metadata, "totals": totals}
    text = json.dumps(fields | {"digest": digest(fields)}, indent=1, allow_nan=False).encode()
    if len(text) > MOST_BYTES:
        leaves = len(metadata["tree"])
        raise ValueError(f"`state` must have fewer leaves; the JSON of {leaves} is longer than {MOST_BYTES} bytes.")
    return text


def read(file: Path, step: int) -> dict[str, Any]:
    """Reads and checks the JSON file of the checkpoint of `step`.

    Returns:
        The fields; "totals" holds pairs of floats.

    Raises:
        ValueError: the file is damaged, was edited, or was written by another version of jaxnn.
        OSError: the file cannot be read.
    """
    metadata = read_object(file, most=MOST_BYTES)
    if metadata.get("digest") != digest(metadata):
        raise ValueError(f"{file} was edited or damaged: its content does not match the digest it carries.")
    if metadata.get("format") != FORMAT or metadata.get("step") != step or not _is_well_formed(metadata):
        raise ValueError(
            f"{file} does not describe step {step} in format {FORMAT}. Was it renamed, or is this jaxnn too old?"
        )
    totals = metadata.get("totals", {})
    return metadata | {"totals": {name: tuple(map(float, pair)) for name, pair in totals.items()}}


def digest(metadata: Mapping[str, Any]) -> str:
    """Returns the sha256 of the metadata in canonical JSON, without the field "digest"."""
    rest = {field: value for field, value in metadata.items() if field != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_well_formed(metadata: dict[str, Any]) -> bool:
    """Returns whether every field has its type; the digest cannot prove it, because an edit can renew the digest."""
    return (
        all(field in metadata and isinstance(metadata[field], kind) for field, kind in _FIELDS.items())
        and metadata["bytes"] >= 0
        and all(value is None or _is_finite(value) for value in metadata["metrics"].values())
        and all(named_arrays.is_spec(entry) for entry in metadata["tree"].values())
        and isinstance(metadata.get("totals", {}), dict)
        and all(_is_pair(pair) for pair in metadata.get("totals", {}).values())
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(n in _NOT_FINITE or _is_finite(n) for n in value)


def _is_finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _written(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)
