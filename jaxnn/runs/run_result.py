"""`result.json`: what a finished run measured on the test data, once, of its last state and of its best."""

import json
from pathlib import Path
from typing import Any

from jaxnn.bounded_files import read_bounded
from jaxnn.runs import atomic_files
from jaxnn.runs.loggers import finite_numbers

_MOST_BYTES = 2**20


def write_result(folder: Path, result: dict[str, dict[str, Any]]) -> None:
    """Writes it whole or not at all; NaN and the infinities become null."""
    rows = {
        name: finite_numbers(row) | {n: x for n, x in row.items() if type(x) is int} for name, row in result.items()
    }
    text = json.dumps(rows, indent=1, allow_nan=False)
    atomic_files.write(folder / "result.json", text.encode())


def read_result(folder: Path) -> dict[str, dict[str, float | None]]:
    """Reads it.

    Raises:
        FileNotFoundError: the run is not finished.
        ValueError: the file is damaged.
    """
    file = folder / "result.json"
    try:
        result = json.loads(read_bounded(file, most=_MOST_BYTES))
    except (ValueError, RecursionError):
        result = None
    rows = result.values() if isinstance(result, dict) else [None]
    if not all(isinstance(row, dict) and all(_is_number(x) for x in row.values()) for row in rows):
        raise ValueError(f"{file} is damaged: expected what was measured. `jaxnn evaluate` measures it again.")
    return result


def _is_number(value) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
