"""The folder of a population command: new, made when training starts, and up to date after every epoch."""

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
    """Writes `trials.csv`, a line for every training so far, after every epoch; a stop loses one epoch at most.

    Args:
      out: the folder, a new one; None for the next free one in runs/.
      command: names it then.
      config: what `config.json` is to hold.
      is_made: the folder is there, and is gone on with.

    `folder` is known for certain when training has started: of two commands that begin at once, and are to find the
    next free folder, one takes that after it.

    Raises:
      FileExistsError: the folder is there and not empty, or is a file.
    """

    def __init__(self, out: str | None, command: str, config: dict[str, Any], *, is_made: bool = False):
        self.folder = Path(out) if out else default_path(command)
        self.out, self.command, self.config = out, command, config
        self.trainings, self.is_made, self.lock = [], is_made, contextlib.ExitStack()
        if not is_made:
            check_new(self.folder)

    def of(self, members: Sequence) -> Callable:
        """A hook for one call of `populations.fit`."""
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
        """The lines of a call that was trained before; they are written with those of the next one."""
        self.trainings.append([])
        self.trainings[-1] = self._lines(members, population)

    @contextlib.contextmanager
    def kept(self, training: Training):
        """Where a stop leaves what was measured until then, is said as it passes; a new folder is unlocked at the end.

        A folder that is gone on with is locked by who asks for that, before anything of it is read.
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
        """When all results are written, nothing is left to go on with."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def write_csv(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """A table; the first row has all the names."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        atomic_files.write(self.folder / name, text.getvalue().encode())

    def write_json(self, name: str, record: dict[str, Any]) -> None:
        """NaN and infinities become null."""
        text = json.dumps(for_json(record), indent=2, allow_nan=False)
        atomic_files.write(self.folder / name, text.encode())

    def save_figure(self, name: str, figure) -> None:
        """A picture."""
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
    """A population command's configuration, as the `config.json` of its folder holds it.

    Args:
      kind: the command's dataclass.
      record: as read.
      folder: becomes `out`.

    Raises:
      ValueError: it was edited: something is missing, of another type or out of range.
    """
    own = {name: value for name, value in record.items() if name != "command"} | {"out": str(folder)}
    return read_record(
        kind, own, where=str(folder / "config.json"), check=lambda config: check_runnable(config.training)
    )


def for_json(value):
    """NumPy's and our own values as JSON's.

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
    """A table in columns as wide as they must be.

    >>> print(columns([{"rank": "1", "accuracy": "97.10 %"}]))
    rank  accuracy
    1     97.10 %
    """
    names = list(rows[0])
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    lines = [names, *([row[name] for name in names] for row in rows)]
    return "\n".join("  ".join(f"{word:<{w}}" for word, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def score_told(value: float, metric: str) -> str:
    """A loss with digits, an accuracy in percent.

    >>> score_told(0.9712, "test/accuracy"), score_told(0.1, "test/loss"), score_told(float("nan"), "test/loss")
    ('97.12 %', '0.1000', 'diverged')
    """
    if not math.isfinite(value):
        return "diverged"
    return f"{100 * value:.2f} %" if metric.endswith(("accuracy", "error")) else f"{value:.4f}"
