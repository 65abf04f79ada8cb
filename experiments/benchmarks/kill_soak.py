"""Does a run that is killed again and again end as one that nobody disturbed?

    python experiments/benchmarks/kill_soak.py --kills 100 --record

Trainings, searches, a cross-validation, an ensemble and a launched job, all small, are killed by SIGKILL at drawn
moments (as they start, make their folder, train and evaluate, write a file, draw pictures), resumed, and killed again,
until they finish. Some lives are ended by SIGTERM instead, which may stop a training within an epoch. Then each is
compared with one run of the same seed that was left alone (`run_comparison`): every byte of every checkpoint, every
line of metrics.jsonl, TensorBoard's events, tables, files; only clocks may differ. In a launched job one of its
processes is killed, drawn too. The exit status is 1 if anything differed. Linux only: processes are found in /proc.

Expected: nothing differs.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from measuring import ROOT, Report, Target, publish
from run_comparison import COLUMNS, differences

SMALL = ("--train-examples", "2000", "--test-examples", "200")
PLAIN = (*SMALL, "--no-pictures")
LONG = ("--epochs", "40", "--hidden", "32", *SMALL)
OVER = ("--over", "learning_rate=log:1e-3:1e-1", "--hidden", "16", "--train-examples", "1000")
KINDS = {
    "mlp, Adam, dropout": ("train", "mlp", *LONG, "--dropout-rate", "0.2", "--no-pictures"),
    "mlp, SGD, momentum": ("train", "mlp", *LONG, "--optimizer", "sgd", "--momentum", "0.9", "--no-pictures"),
    "lenet5, pictures": ("train", "lenet5", "--epochs", "6", *SMALL),
    "hyperband": ("search", "mlp", *OVER, "--strategy", "hyperband", "--epochs", "9"),
    "halving": ("search", "mlp", *OVER, "--strategy", "halving", "--trials", "9", "--epochs", "18"),
    "cross-validation": ("cross-validate", "mlp", "--over", "hidden=8,16", "--folds", "3", "--epochs", "12",
        "--train-examples", "1000"),
    "ensemble, bagging": ("ensemble", "mlp", "--members", "3", "--bagging", "--hidden", "16", "--epochs", "25", *SMALL),
    "launch -n 2": ("launch", "-n", "2", "--", "train", "mlp", *LONG, "--dropout-rate", "0.2", "--no-pictures"),
}  # fmt: skip
STAGES = {"start": 0.25, "folder": 0.05, "training": 0.4, "writing": 0.2, "pictures": 0.1}  # how often each is drawn
RECORDS, TEMPORARY, PICTURES = ("metrics.jsonl", "trials.csv"), ("**/*.jaxnn-tmp",), ("*.png",)
HEADER = ("kind", "runs", "kills", "killed in", "stops", *(f"same {column}" for column in COLUMNS))
SECONDS_TO_END = 120.0  # for the processes of a job when one of them was killed


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    kills: int = 20
    kinds: tuple[str, ...] = tuple(KINDS)
    most_kills: int = 7  # of one run
    stops: float = 0.15  # part of the lives that SIGTERM ends instead
    seed: int = 0  # of the moments
    smoke: bool = False  # three kills of one kind
    record: bool = False  # write the section of RESULTS.md


class Moment(NamedTuple):
    """`seconds` after a file of the patterns `after` was written (None: after the start), then at one of `at`."""

    stage: str
    seconds: float
    after: Sequence[str] | None = None
    at: Sequence[str] | None = None


class Lengths(NamedTuple):
    """Seconds of the undisturbed run until its first record, and from there to its end."""

    start: float
    rest: float


class Run(NamedTuple):
    """A run that was killed: in which stages, how often it was stopped, and column -> differences."""

    kind: str
    kills: tuple[str, ...]
    stops: int
    differences: dict[str, list[str]]


def main(settings: Settings) -> int:
    if settings.smoke:
        settings = dataclasses.replace(settings, kills=3, kinds=settings.kinds[:1])
    with tempfile.TemporaryDirectory() as folder:
        runs = soak(settings, Path(folder))
    publish(summarize(settings, runs), script=__file__, doc=__doc__, record=settings.record)
    return int(any(sentences for run in runs for sentences in run.differences.values()))


def soak(settings: Settings, folder: Path) -> list[Run]:
    """Runs of the kinds in turn, until there were as many kills as wanted."""
    rng, runs, lengths = np.random.default_rng(settings.seed), [], {}
    while (left := settings.kills - sum(len(run.kills) for run in runs)) > 0:
        kind = settings.kinds[len(runs) % len(settings.kinds)]
        undisturbed = folder / kind
        if kind not in lengths:
            lengths[kind] = run_undisturbed(kind, undisturbed)
        most = min(left, int(rng.integers(2, settings.most_kills + 1)))
        run = run_killed(kind, folder / "killed", undisturbed, lengths[kind], most=most, stops=settings.stops, rng=rng)
        runs.append(run)
        shutil.rmtree(folder / "killed")
        print(f"{left:4d} kills to go: {told(run)}", file=sys.stderr, flush=True)
    return runs


def run_undisturbed(kind: str, folder: Path) -> Lengths:
    process, start = begin(kind, folder), time.monotonic()
    while process.poll() is None and not newest(folder, RECORDS):
        time.sleep(0.01)
    recorded = time.monotonic()
    if process.wait():
        raise RuntimeError(f"the undisturbed run of {kind} ended with {process.returncode}:\n{process.stderr.read()}")
    return Lengths(recorded - start, time.monotonic() - recorded)


def run_killed(kind, folder, undisturbed, lengths, *, most: int, stops: float, rng) -> Run:
    """Lives until one finishes; the first `most` of them are killed, or stopped."""
    kills, stopped = [], 0
    while True:
        process, moment = begin(kind, folder), draw(rng, lengths, pictures="pictures" in kind)
        if len(kills) < most and comes(moment, process, folder):
            kind_of_end = signal.SIGTERM if rng.random() < stops else signal.SIGKILL
            end(process, kind_of_end, rng)
            stopped += kind_of_end == signal.SIGTERM
            kills += [moment.stage] if kind_of_end == signal.SIGKILL else []
        elif process.wait():
            failed = [f"a life ended with {process.returncode}: {process.stderr.read().strip()[-300:]}"]
            return Run(kind, tuple(kills), stopped, dict.fromkeys(COLUMNS, failed))
        else:
            return Run(kind, tuple(kills), stopped, differences(folder, undisturbed, stopped=stopped > 0))


def begin(kind: str, folder: Path) -> subprocess.Popen:
    """Starts the run, or goes on with it."""
    command = (*KINDS[kind], "--out", folder)
    if (folder / "config.json").exists():
        command = (*(KINDS[kind][:4] if KINDS[kind][0] == "launch" else ()), "resume", folder)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxnn.cli.main", *command],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
    )  # fmt: skip
    process.stderr = errors
    return process


def draw(rng: np.random.Generator, lengths: Lengths, *, pictures: bool) -> Moment:
    """A moment of a life as long as the undisturbed run's."""
    stages = {name: often for name, often in STAGES.items() if pictures or name != "pictures"}
    odds = np.array([*stages.values()])
    stage, uniform = str(rng.choice([*stages], p=odds / odds.sum())), float(rng.random())
    return {
        "start": Moment(stage, uniform * lengths.start),
        "folder": Moment(stage, 0, at=TEMPORARY),
        "training": Moment(stage, uniform * lengths.rest, after=RECORDS),
        "writing": Moment(stage, 0.7 * uniform * lengths.rest, after=RECORDS, at=TEMPORARY),
        "pictures": Moment(stage, 0.5 * uniform, after=PICTURES),
    }[stage]


def comes(moment: Moment, process: subprocess.Popen, folder: Path) -> bool:
    """Waits for the moment; False if the process ends before."""
    born = time.time_ns()
    waiting_since = None if moment.after else time.monotonic()
    while process.poll() is None:
        if waiting_since is None and newest(folder, moment.after) > born:
            waiting_since = time.monotonic()
        is_over = waiting_since is not None and time.monotonic() - waiting_since >= moment.seconds
        if is_over and (moment.at is None or newest(folder, moment.at)):
            return True
        time.sleep(0.0005 if moment.at else 0.002)
    return False


def newest(folder: Path, patterns: Sequence[str]) -> int:
    """When the newest file of the patterns was written, in ns; 0 where there is none."""
    try:
        return max((path.stat().st_mtime_ns for pattern in patterns for path in folder.glob(pattern)), default=0)
    except FileNotFoundError:  # it has its real name by now
        return 0


def end(process: subprocess.Popen, number: signal.Signals, rng: np.random.Generator) -> None:
    """Kills one of the job's processes, or asks its first to stop, and waits until none is left."""
    job = [process.pid, *children(process.pid)]
    victim = process.pid if number == signal.SIGTERM else int(rng.choice(job))
    os.kill(victim, number)
    process.wait(SECONDS_TO_END)
    patience = time.monotonic() + SECONDS_TO_END
    while any(Path(f"/proc/{pid}").exists() for pid in job[1:]):
        if time.monotonic() > patience:
            raise RuntimeError(f"processes {job[1:]} outlived their job by {SECONDS_TO_END} s.")
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    listed = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for words in listed for child in words]


def told(run: Run) -> str:
    found = [sentence for sentences in run.differences.values() for sentence in sentences]
    said = f"{len(found)} differences, as: {found[0]}" if found else "nothing differs"
    return f"{run.kind}, {len(run.kills)} kills ({', '.join(run.kills)}), {run.stops} stops: {said}"


def summarize(settings: Settings, runs: Sequence[Run]) -> Report:
    """A row for each kind; the remarks say what differed."""
    rows = [row(kind, [run for run in runs if run.kind == kind]) for kind in settings.kinds]
    kills = sum(len(run.kills) for run in runs)
    targets = [
        Target(f"kills of {kills} in runs that end with the same {column}", kills,
            sum(len(run.kills) for run in runs if not run.differences[column]))
        for column in COLUMNS
    ]  # fmt: skip
    remarks = [f"- {told(run)}." for run in runs if any(run.differences.values())]
    return Report(
        HEADER, rows, targets, ["What differed, run by run:", "\n".join(remarks)] if remarks else ["Nothing differed."]
    )


def row(kind: str, runs: Sequence[Run]) -> tuple[str, ...]:
    stages = Counter(stage for run in runs for stage in run.kills)
    where = ", ".join(f"{stage} {count}" for stage, count in stages.items())
    same = (f"{sum(not run.differences[column] for run in runs)} of {len(runs)}" for column in COLUMNS)
    return kind, f"{len(runs)}", f"{stages.total()}", where or "-", f"{sum(run.stops for run in runs)}", *same


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings, description=__doc__)))
