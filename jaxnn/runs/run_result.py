"""`result.json`: what a finished run measured on the test data, once, of its last state and of its best."""

import json
from pathlib import Path
from typing import Any

import jaxnn.runs.atomic_files as atomic_files
from jaxnn.runs.loggers import finite_numbers


def write_result(folder: Path, result: dict[str, dict[str, Any]]) -> None:
    """Writes it whole or not at all; NaN and the infinities become null."""
    rows = {
        name: finite_numbers(row) | {n: x for n, x in row.items() if type(x) is int} for name, row in result.items()
    }
    text = json.dumps(rows, indent=1, allow_nan=False)
    atomic_files.write(folder / "result.json", text.encode())
