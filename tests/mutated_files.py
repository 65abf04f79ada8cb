"""Damaged files through every parser: which errors come out, and which of them are not documented.

    python tests/mutated_files.py --files 100000

Documented are ValueError and OSError that jaxnn itself raises, with a message that can be read. Everything else is
another error: a traceback from within, a message of Python's own, more than a GiB of memory beyond what the parser has
when it starts, ten seconds of the processor for a file, or two minutes of waiting. Each parser has a process of its
own, and a folder in memory. The exit status is 1 if there was another error; `--parser NAME --only I` reads the I-th
damaged file again and shows its traceback.
"""

import argparse
import contextlib
import io
import json
import linecache
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from file_mutations import write

GIB = 2**30
SECONDS, WAITING = 10, 120  # of the processor, and of the clock: the machine may have other work
LONGEST = 4000  # characters of a message
SHOWN = "JAXNN_TEST_TRACEBACK"
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = f"{ROOT}/jaxnn/"
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Outcome(NamedTuple):
    """`kind` is "accepted", "refused", or an error's class and place; `words` are its message."""

    kind: str
    words: str = ""


class TooSlowError(BaseException):
    """A file took longer than `SECONDS`, or `WAITING`."""


def main() -> int:
    options = read_options()
    from file_parsers import PARSERS

    if options.only is not None:
        return show(options)
    if options.parser:
        print(json.dumps(read_all(options.parser, options.files, options.seed)))
        return 0
    total = sum(parser.share for parser in PARSERS.values())
    print("| parser | files | accepted | refused | other errors |\n| --- | --- | --- | --- | --- |")
    found = {}
    for name, parser in PARSERS.items():
        found[name] = in_process(name, max(1, -(-options.files * parser.share // total)), options.seed)
        print(row(name, found[name]), flush=True)
        for told, count in found[name]["others"].items():
            print(f"{name}, {count} times: {told}", file=sys.stderr, flush=True)
    together = {key: sum(one[key] for one in found.values()) for key in ("accepted", "refused")}
    others = sum(sum(one["others"].values()) for one in found.values())
    print(row("all", together | {"others": {"": others}}))
    return int(others > 0)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="damaged files in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parser", help="one parser only, in this process")
    parser.add_argument("--only", type=int, help="one file of it, shown")
    return parser.parse_args()


def row(name: str, found: dict) -> str:
    others = sum(found["others"].values())
    files = found["accepted"] + found["refused"] + others
    return f"| {name} | {files} | {found['accepted']} | {found['refused']} | {others} |"


def in_process(name: str, files: int, seed: int) -> dict:
    """The counts of one parser; those of a process that died are what it had told."""
    command = [sys.executable, __file__, "--parser", name, "--files", str(files), "--seed", str(seed)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "JAX_PLATFORMS": "cpu"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    if finished.returncode:
        died = f"the process ended with {finished.returncode}: {finished.stderr.strip()[-500:]}"
        return {"accepted": 0, "refused": 0, "others": {died: 1}}
    return json.loads(finished.stdout.splitlines()[-1])


def read_all(name: str, files: int, seed: int) -> dict:
    """The counts; `others` tells a fault of one kind once, with the number of the first file that led to it."""
    counts, first = Counter(), {}
    for index, outcome in outcomes(name, range(files), seed):
        counts[outcome.kind] += 1
        first.setdefault(outcome.kind, f"{outcome.kind}: {outcome.words} (file {index})")
    others = {first[kind]: count for kind, count in counts.items() if kind not in ("accepted", "refused")}
    return {"accepted": counts["accepted"], "refused": counts["refused"], "others": others}


def outcomes(name: str, indices, seed: int) -> Iterator[tuple[int, Outcome]]:
    """What became of each damaged file."""
    from file_parsers import PARSERS

    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        subject = PARSERS[name].make(Path(folder))
        lay(Path(folder), subject.files)
        if (outcome := outcome_of(subject.parse)).kind != "accepted":
            raise RuntimeError(f"the valid file must be accepted: {outcome}")
        bound_memory()
        for index in indices:
            rng = Random(f"{name} {seed} {index}")
            lay(Path(folder), subject.files | rng.choice(subject.damages)(rng))
            yield index, outcome_of(subject.parse)


def show(options) -> int:
    """One damaged file, and the traceback of what it leads to."""
    os.environ[SHOWN] = "1"
    for _, outcome in outcomes(options.parser, [options.only], options.seed):
        print(*outcome)
    return 0


def lay(folder: Path, files: dict) -> None:
    """The folder holds these files and nothing else."""
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, content)


def bound_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + GIB, resource.RLIM_INFINITY))


def outcome_of(parse: Callable) -> Outcome:
    """Of one file; a whole command tells by its status that it refused."""
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with bounded_time():
                answer = parse()
    except (Exception, TooSlowError) as error:
        if os.environ.get(SHOWN):
            traceback.print_exc()
        return Outcome("refused", str(error)) if is_documented(error) else other(error)
    refused = type(answer) is int and answer == 2
    return Outcome("refused", said.getvalue()) if refused else Outcome("accepted")


@contextlib.contextmanager
def bounded_time() -> Iterator[None]:
    """Ends what is inside by TooSlowError."""

    def stop(number, frame):
        raise TooSlowError(f"more than {SECONDS} s of the processor, or {WAITING} s of the clock")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, SECONDS), (signal.ITIMER_REAL, signal.SIGALRM, WAITING))
    for timer, number, seconds in timers:
        signal.signal(number, stop)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)


def is_documented(error: BaseException) -> bool:
    """The system's, or raised by a statement of jaxnn's; with a message in words."""
    message = str(error)
    readable = message.replace("\n", "").isprintable() and 20 <= len(message) <= LONGEST
    own = isinstance(error, OSError) or (type(error) is ValueError and last_line(error).startswith("raise"))
    return own and readable


def last_line(error: BaseException) -> str:
    """The line of jaxnn's that raised it; nothing if another's did."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return linecache.getline(frame.filename, frame.lineno).strip() if PACKAGE in frame.filename else ""


def other(error: BaseException) -> Outcome:
    """Where in jaxnn it passed last."""
    frames = traceback.extract_tb(error.__traceback__)
    last = [*frames[-1:], *(frame for frame in frames if PACKAGE in frame.filename)][-1]
    words = " ".join(str(error).split())[:80].encode("ascii", "backslashreplace").decode()
    return Outcome(f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}", words)


if __name__ == "__main__":
    sys.exit(main())
