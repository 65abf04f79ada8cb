"""The frame of every experiment: one question, three forms, and a record that nobody types.

An experiment is a file with a docstring (its question in the first line, then the command, what is expected and where
that is from), a frozen dataclass `Settings`, and a function `measure(settings) -> Outcome`:

    EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke={"epochs": 1}, full={"seeds": 5})

    if __name__ == "__main__":
        EXPERIMENT.main()

- plain: `Settings()`, a minute or so; tables and findings are printed, pictures go to `--out`;
- `--smoke`: seconds, figures without meaning; the tests run it;
- `--full`: what is recorded: `results/NAME.json` and its pictures, from which RESULTS.md is written anew.

Settings are flags in each form: `python experiments/ensembles.py --full --members 8` records what it was told.
"""

import argparse
import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tyro
from benchmarks.measuring import hardware, markdown, versions

RESULTS = Path(__file__).resolve().parent / "results"
TITLE = "# Results of the experiments\n\nWritten by the experiments themselves: `python experiments/NAME.py --full`.\n"
HEADER = ("figure", "measured", "expected", "source", "holds")
FORMS = """

forms (each of the settings below is a flag in all of them):
  --smoke       seconds; figures without meaning
  --full        the recorded form: writes experiments/results and RESULTS.md
  --out FOLDER  where the pictures go (default: runs/experiments)"""


class Finding(NamedTuple):
    """One figure of an experiment, beside what the literature or the theory says of it.

    Fields:
      figure: what was measured, with its unit.
      values: one number a seed; a single one where nothing is random.
      expected: in words, with numbers.
      source: author, year, section.
      holds: whether the values bear it out.
    """

    figure: str
    values: Sequence[float]
    expected: str
    source: str
    holds: bool


class Outcome(NamedTuple):
    """What an experiment found: its findings, its pictures (name -> matplotlib figure), its tables (markdown)."""

    findings: Sequence[Finding]
    pictures: Mapping[str, Any]
    tables: Sequence[str] = ()


@dataclass(frozen=True)
class Experiment:
    """A question, its settings and the function that answers it; `smoke` and `full` are changes of `Settings()`."""

    file: str
    doc: str
    settings: type
    measure: Callable[[Any], Outcome]
    smoke: Mapping[str, Any] = field(default_factory=dict)
    full: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return Path(self.file).stem

    @property
    def question(self) -> str:
        return self.doc.strip().splitlines()[0]

    def settings_of(self, form: str) -> Any:
        """The settings of the form "plain", "smoke" or "full"."""
        return self.settings(**{"plain": {}, "smoke": self.smoke, "full": self.full}[form])

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """The command line."""
        arguments = sys.argv[1:] if arguments is None else list(arguments)
        form, out, rest = _form(arguments)
        description = self.doc + FORMS
        settings = tyro.cli(self.settings, args=rest, default=self.settings_of(form), description=description)
        start = time.perf_counter()
        outcome = self.measure(settings)
        record = self.record(outcome, settings, arguments, seconds=time.perf_counter() - start)
        print(section(record, pictures=False))
        for path in save_pictures(self.name, outcome, RESULTS if form == "full" else out):
            print(f"picture: {path}")
        if form == "full":
            write_record(record)

    def record(self, outcome: Outcome, settings: Any, arguments: Sequence[str], *, seconds: float) -> dict:
        """Everything that RESULTS.md tells of a run, as JSON."""
        return {
            "name": self.name,
            "question": self.question,
            "command": shlex.join(["python", f"experiments/{self.name}.py", *arguments]),
            "date": date.today().isoformat(),
            "hardware": hardware(),
            "versions": versions(sys.executable),
            "minutes": round(seconds / 60, 1),
            "settings": json.loads(json.dumps(dataclasses.asdict(settings), default=str)),
            "findings": [_plain(finding) for finding in outcome.findings],
            "tables": list(outcome.tables),
            "pictures": [f"{picture_name(self.name, name)}" for name in outcome.pictures],
        }


def save_pictures(experiment: str, outcome: Outcome, folder: Path) -> list[Path]:
    """Each picture as a PNG; its name begins with the experiment's."""
    from jaxnn.plots import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    pictures = outcome.pictures.items()
    return [save_figure(figure, folder / picture_name(experiment, name)) for name, figure in pictures]


def picture_name(experiment: str, name: str) -> str:
    """The file's name; a picture without a name of its own has the experiment's.

    >>> picture_name("ensembles", "bagging"), picture_name("ensembles", "")
    ('ensembles_bagging.png', 'ensembles.png')
    """
    return f"{experiment}{'_' * bool(name)}{name}.png"


def write_record(record: Mapping, folder: Path = RESULTS) -> None:
    """Puts the record beside the others, and writes RESULTS.md of them all."""
    (folder / f"{record['name']}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (folder.parent / "RESULTS.md").write_text(render(read_records(folder)))


def read_records(folder: Path = RESULTS) -> list[dict]:
    """All records, by name."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def render(records: Sequence[Mapping]) -> str:
    """RESULTS.md: every finding in one table, then a section for each experiment."""
    rows = [(f"[{r['name']}](#{r['name']})", *_cells(f)) for r in records for f in r["findings"]]
    overview = markdown(("experiment", *HEADER), rows)
    return "\n\n".join([TITLE.strip(), overview, *(f"## {r['name']}\n\n{section(r)}" for r in records)]) + "\n"


def section(record: Mapping, *, pictures: bool = True) -> str:
    """Of one experiment: its question, how it was run, findings, tables and pictures."""
    seeds = record["settings"].get("seeds")
    told = {
        "command": f"`{record['command']}` ([source]({record['name']}.py), {record['minutes']:g} minutes)",
        "date": record["date"],
        "hardware": record["hardware"],
        "versions": record["versions"],
        "seeds": "none" if seeds is None else f"{seeds}",
    }
    facts = "\n".join(f"- {key}: {value}" for key, value in told.items())
    findings = markdown(HEADER, map(_cells, record["findings"]))
    shown = [f"![{record['question']}](results/{name})" for name in record["pictures"]] if pictures else []
    return "\n\n".join([record["question"], facts, findings, *record["tables"], *shown])


def measured(values: Sequence[float]) -> str:
    """Mean and standard deviation over the seeds, or the one value.

    >>> measured([97.0, 98.0, 99.0]), measured([1.06]), measured([0.5, float("nan")])
    ('98 ± 1 (3 seeds)', '1.06', 'nan ± nan (2 seeds)')
    """
    if len(values) == 1:
        return f"{values[0]:.4g}"
    return f"{np.mean(values):.4g} ± {np.std(values, ddof=1):.2g} ({len(values)} seeds)"


def _cells(finding: Mapping) -> tuple[str, ...]:
    values = [float(value) for value in finding["values"]]
    return finding["figure"], measured(values), finding["expected"], finding["source"], finding["holds"]


def _plain(finding: Finding) -> dict:
    """Of JSON's own types: NumPy's numbers are not, and NaN has no name there."""
    values = [float(value) for value in finding.values]
    told = [value if np.isfinite(value) else str(value) for value in values]
    return finding._asdict() | {"values": told, "holds": "yes" if finding.holds else "no"}


def _form(arguments: Sequence[str]) -> tuple[str, Path, list[str]]:
    """The form, the pictures' folder, and the arguments that are settings."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    forms = parser.add_mutually_exclusive_group()
    for form in ("smoke", "full"):
        forms.add_argument(f"--{form}", action="store_const", const=form, dest="form", default="plain")
    parser.add_argument("--out", type=Path, default=Path("runs/experiments"))
    known, rest = parser.parse_known_args(arguments)
    return known.form, known.out, rest
