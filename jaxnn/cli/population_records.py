"""`Records` writes the folder of a population command, which is made when training starts and updated every epoch."""

import contextlib
import csv
import io
import json
import math
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnn.cli.field_records import read_record
from jaxnn.cli.hyperparameters import told
from jaxnn.cli.interruption import raised
from jaxnn.cli.recorded_places import resumption
from jaxnn.cli.training_flags import Training, check_runnable
from jaxnn.runs import atomic_files, check_new, create, default_path, one_writer
from jaxnn.training import Evaluated, Started


class Records:
    """Writes `trials.csv` after every epoch, with a line for every training so far; a stop loses at most one epoch.

    Args:
      out: the new folder; None for the next free folder in runs/.
      command: the name of that next free folder.
      config: the content of `config.json`.
      is_made: whether the folder exists and its run is continued.

    `folder` is final only when training has started: if two commands start at once and both ask for the next free
    folder, one of them gets the folder after it.

    Raises:
      FileExistsError: the folder exists and is not empty, or is a file.
    """

    def __init__(self, out: str | None, command: str, config: dict[str, Any], *, is_made: bool = False):
        self.folder = Path(out) if out else default_path(command)
        self.out, self.command, self.config = out, command, config
        self.trainings, self.is_made, self.lock = [], is_made, contextlib.ExitStack()
        if not is_made:
            check_new(self.folder)

    def of(self, members: Sequence) -> Callable:
        """Returns a hook for one call of `populations.train`; it makes the folder and writes `trials.csv`."""
        self.trainings.append([])

        def record(event):
            if isinstance(event, Started) and not self.is_made:
                self.folder = create(self.out, self.config, name=self.command)
                self.lock.enter_context(one_writer(self.folder))
                self.is_made = True
            if isinstance(event, Evaluated):
                self.trainings[-1] = self._lines(members, event.state())
                self.write_csv("trials.csv", [line for lines in self.trainings for line in lines])

        return record

    def add(self, members: Sequence, population) -> None:
        """Adds the lines of a call that was trained before; they are written with the lines of the next call."""
        self.trainings.append([])
        self.trainings[-1] = self._lines(members, population)

    @contextlib.contextmanager
    def kept(self, training: Training):
        """Prints, if the user stops the block, where the measurements are; at the end it unlocks a new folder.

        A folder whose run is continued is not locked here; the caller locks it before any file in it is read.
        """
        try:
            with raised():
                yield
        except KeyboardInterrupt:
            if (self.folder / "trials.csv").exists():
                advice = f"go on with: {shlex.join(resumption(self.folder, training))}"
                print(f"\nmeasured until now: {self.folder / 'trials.csv'}; {advice}", file=sys.stderr, flush=True)
            raise
        finally:
            self.lock.close()

    def finish(self) -> None:
        """Removes the checkpoints; call it when all results are written."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def write_csv(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Writes a table; the first row has the names of all columns."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        atomic_files.write(self.folder / name, text.getvalue().encode())

    def write_json(self, name: str, record: dict[str, Any]) -> None:
        """Writes a record as JSON; NaN and the infinities become null."""
        text = json.dumps(for_json(record), indent=2, allow_nan=False)
        atomic_files.write(self.folder / name, text.encode())

    def save_figure(self, name: str, figure) -> None:
        """Writes a picture."""
        from jaxnn.plots.figure_style import save_figure

        save_figure(figure, self.folder / name)

    def _lines(self, members, population):
        metrics = sorted((name for name in population.history if not name.endswith("/count")), reverse=True)
        values = {name: population.last(name) for name in metrics}
        return [
            {
                "call": len(self.trainings),
                "member": i,
                "seed": member.seed,
                **told(member.hyperparameters, digits=9),
                "epochs": int(population.epochs[i]),
                "diverged": bool(population.diverged[i]),
                **{name: f"{values[name][i]:.6g}" for name in metrics},
            }
            for i, member in enumerate(members)
        ]


def read_settings(kind: type, record: dict[str, Any], *, folder: Path):
    """Returns the configuration of a population command from the `config.json` of its folder.

    Args:
      kind: the dataclass of the command.
      record: the record that was read.
      folder: the folder; it becomes `out`.

    Raises:
      ValueError: the record was edited: a field is missing, has another type or is out of range.
    """
    own = {name: value for name, value in record.items() if name != "command"} | {"out": str(folder)}
    return read_record(
        kind, own, where=str(folder / "config.json"), check=lambda config: check_runnable(config.training)
    )


def for_json(value):
    """Converts tuples and the values of NumPy to values that JSON can hold.

    >>> for_json({"scores": np.array([0.5, np.nan]), "hidden": (32,)})
    {'scores': [0.5, None], 'hidden': [32]}
    """
    if isinstance(value, dict):
        return {str(name): for_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [for_json(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def columns(rows: Sequence[dict[str, str]]) -> str:
    """Returns a table as text, with every column as wide as its longest entry.

    >>> print(columns([{"rank": "1", "accuracy": "97.10 %"}]))
    rank  accuracy
    1     97.10 %
    """
    names = list(rows[0])
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    lines = [names, *([row[name] for name in names] for row in rows)]
    return "\n".join("  ".join(f"{word:<{w}}" for word, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def score_told(value: float, metric: str) -> str:
    """Formats a score: an accuracy or an error in percent, any other metric with four decimals.

    >>> score_told(0.9712, "test/accuracy"), score_told(0.1, "test/loss"), score_told(float("nan"), "test/loss")
    ('97.12 %', '0.1000', 'diverged')
    """
    if not math.isfinite(value):
        return "diverged"
    return f"{100 * value:.2f} %" if metric.endswith(("accuracy", "error")) else f"{value:.4f}"
