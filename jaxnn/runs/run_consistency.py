"""Functions that check that the records of a run agree, before anything is cut off, trained further or reported.

An evaluation is written to `metrics.jsonl` first, and then into a checkpoint. Therefore every checkpoint of an
evaluation has its line. At most one line is later than the last checkpoint: the writer was killed between the two
writes. Any other difference means that a record was lost or edited.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jaxnn.runs.checkpoints as checkpoints
from jaxnn.runs.loggers import read_metrics

_OF_EVERY_LINE = ("epoch", "seconds")


def check_records(folder: Path) -> None:
    """Compares `metrics.jsonl` with the checkpoints.

    Args:
        folder: the folder of the run.

    Raises:
        ValueError: the records contradict each other, or a file is damaged; the message says what is missing.
        OSError: the checkpoints or the metrics cannot be read.
    """
    file, kept = folder / "metrics.jsonl", folder / "checkpoints"
    lines = {line["step"]: line for line in read_metrics(file)} if os.path.lexists(file) else {}
    saved = checkpoints.steps(kept)
    later = [step for step in lines if step > max(saved, default=-1)]
    if len(later) > 1 or (later and not kept.exists()):
        newest = f"the newest in {kept} is of step {saved[-1]}" if saved else f"{kept} holds none"
        raise ValueError(
            f"{file} tells of checkpoints to step {later[-1]}, and {newest}. Put them back, or remove those lines."
        )
    for record in checkpoints.readable(kept, saved):
        _check_line(file, lines.get(record["step"], {}), record)
    for step, line in lines.items():
        if lost := [name for name in _OF_EVERY_LINE if name not in line]:
            raise ValueError(f"{file}: the line of step {step} has no {lost[0]!r}. Was the file edited? Restore it.")


def check_last(folder: Path, history: Sequence[Mapping[str, Any]], step: int) -> None:
    """Raises ValueError unless the last line in the history of a finished run is the one of its last step, `step`."""
    last = history[-1]["step"] if history else "none"
    if last != step:
        raise ValueError(
            f"{folder / 'metrics.jsonl'} must tell of step {step}, the last of the run; the last line is of {last}. "
            "Was the file cut? Restore it from a copy. `jaxnn evaluate` needs only the checkpoint."
        )


def _check_line(file: Path, line: dict[str, Any], record: dict[str, Any]) -> None:
    """Raises ValueError unless a line has exactly the metrics of its checkpoint, bit for bit."""
    for name, value in record["metrics"].items():
        expected = math.nan if value is None else value
        found = line.get(name)
        if found != expected and not (value is None and found is not None and math.isnan(found)):
            told = "nothing" if found is None else found
            raise ValueError(
                f"{file}: expected {name} {expected} of step {record['step']}, as its checkpoint has it; found {told}. "
                "Was the file cut or edited? Restore it from a copy. `jaxnn evaluate` needs only the checkpoint."
            )
