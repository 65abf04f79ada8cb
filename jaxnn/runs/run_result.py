"""`result.json` holds the test metrics of the last and the best state of a finished run, which are measured once."""

import json
from pathlib import Path
from typing import Any

import jaxnn.runs.atomic_files as atomic_files
from jaxnn.runs.loggers import finite_numbers


def write_result(folder: Path, result: dict[str, dict[str, Any]]) -> None:
    """Writes `result.json` completely or not at all; NaN and the infinities become null."""
    rows = {
        name: finite_numbers(row) | {n: x for n, x in row.items() if type(x) is int} for name, row in result.items()
    }
    text = json.dumps(rows, indent=1, allow_nan=False)
    atomic_files.write(folder / "result.json", text.encode())
