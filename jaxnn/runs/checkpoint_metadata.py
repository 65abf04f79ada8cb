"""What the JSON of a checkpoint says of it, and the one check that stands before anything of it is used.

| field      | what it is                                                                             |
| ---------- | -------------------------------------------------------------------------------------- |
| `format`   | 1                                                                                      |
| `step`     | count of updates made                                                                  |
| `metrics`  | name -> number, or null for NaN and the infinities                                     |
| `totals`   | name -> sum and count of an epoch that is under way; missing in older checkpoints      |
| `best`     | the metric that earns a checkpoint a place beyond the newest, or null                  |
| `written`  | when, in UTC                                                                           |
| `bytes`    | the size of the arrays' file                                                           |
| `sha256`   | its sum                                                                                |
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
MOST_BYTES = 64 * 2**20  # of half a million leaves
_FIELDS = {"metrics": dict, "best": str | None, "written": str, "bytes": int, "sha256": str, "tree": dict}
_NOT_FINITE = ("nan", "inf", "-inf")  # which JSON has not


def render(metadata: Mapping[str, Any]) -> bytes:
    """The JSON file of a checkpoint.

    Args:
        metadata: the fields but "format" and "digest"; `totals` as pairs of floats, NaN and infinities too.

    Raises:
        ValueError: it would be too long to be read again.
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
        The fields; "totals" as pairs of floats.

    Raises:
        ValueError: it is damaged, was edited, or is of another version of jaxnn.
        OSError: it cannot be read.
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
    """The sha256 of the metadata in canonical JSON, its own field left out."""
    rest = {field: value for field, value in metadata.items() if field != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_well_formed(metadata: dict[str, Any]) -> bool:
    """Whether every field has its type: an edit may have brought the digest along."""
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
