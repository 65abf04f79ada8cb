"""How every benchmark here measures: programs in processes of their own, taken in turn, medians, one table.

PyTorch and JAX in one process fight over threads, and a machine drifts within minutes; so each program gets its own
process, a round runs each of them once, and a ratio is the median of the ratios round by round.
"""

import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
RESULTS = FOLDER / "RESULTS.md"
TITLE = "# Benchmark results\n\nWritten by the benchmarks themselves: `--record` replaces a benchmark's section.\n"
NOT_INSTALLED = "not installed: pip install jaxnn[peers]"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch", "keras")

_VERSIONS = """
import json, platform, sys
from importlib import metadata
installed = {distribution.name: distribution.version for distribution in metadata.distributions()}
wanted = {name: installed[name] for name in sys.argv[1:] if name in installed}
print(json.dumps({"python": platform.python_version(), **wanted}))
"""


class Finished(NamedTuple):
    """A process that ended well: wall time, peak memory of the largest process among it and its children, stdout."""

    seconds: float
    peak_bytes: int
    output: str


class Program(NamedTuple):
    """A contestant: its name in the table, its file in `peers/`, and the package that jaxnn does not bring along."""

    name: str
    file: str
    requires: str | None = None


class Target(NamedTuple):
    """What the project promises; `measured` is None where the peer is missing."""

    claim: str
    bound: float
    measured: float | None
    at_least: bool = True

    @property
    def reached(self) -> str:
        """`yes`, `no` or `not measured`."""
        if self.measured is None:
            return "not measured"
        reached = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return "yes" if reached else "no"


class Report(NamedTuple):
    """A table, the targets it answers, and remarks to print below."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()
    remarks: Sequence[str] = ()


def spawn(command: Sequence[str]) -> Finished:
    """Runs a command to its end, without a compilation cache and with this checkout importable.

    The peak memory that the system reports starts at this process's own: keep the caller small (import no jax).

    Raises:
      RuntimeError: it failed; the message ends with its stderr.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=_environment())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            raise RuntimeError(f"{shlex.join(command)[:300]} exited with {process.returncode}:\n{err.read()[-2000:]}")
        kilo = 1 if sys.platform == "darwin" else 1024
        return Finished(seconds, usage.ru_maxrss * kilo, out.read())


def run_program(program: Program, workload: Mapping, *, peers_python: str) -> tuple[dict, Finished]:
    """The JSON object that a program of `peers/` prints as its last line, and how its process went."""
    finished = spawn([_interpreter(program, peers_python), str(FOLDER / "peers" / program.file), json.dumps(workload)])
    return json.loads(finished.output.strip().splitlines()[-1]), finished


def installed(program: Program, peers_python: str) -> bool:
    """Whether the program's interpreter has the package that it requires."""
    if program.requires is None:
        return True
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({program.requires!r}) is None)"
    return not subprocess.run([peers_python, "-c", find]).returncode


def in_turn(contestants: Mapping[str, Callable[[int], object]], *, rounds: int) -> dict[str, list]:
    """Every contestant's measurements, one a round; a contestant is a function of the round's index."""
    measured = {name: [] for name in contestants}
    for i in range(rounds):
        for name, measure in contestants.items():
            print(f"round {i + 1}/{rounds}: {name}", file=sys.stderr, flush=True)
            measured[name].append(measure(i))
    return measured


def median_ratio(measured: Mapping[str, Sequence[float]], a: str, b: str) -> float | None:
    """The median over rounds of a / b; None where one of them was not measured."""
    if not measured.get(a) or not measured.get(b):
        return None
    return statistics.median(x / y for x, y in zip(measured[a], measured[b], strict=True))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in markdown.

    >>> print(markdown(("a", "b"), [("1", "2")]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def publish(report: Report, *, script: str, doc: str, record: bool, peers_python: str = sys.executable) -> None:
    """Prints the report; with `record` also makes it the section of `script` (and of the accelerator) in RESULTS.md."""
    tables = [markdown(report.header, report.rows)]
    if report.targets:
        tables.append(markdown(("target", "bound", "measured", "reached"), map(_target_row, report.targets)))
    body = "\n\n".join([*tables, *report.remarks])
    print(body)
    if record:
        name = " on ".join([Path(script).stem, *accelerators()])
        facts = {"command": f"`{_command(script)}`", "date": date.today().isoformat(), "hardware": hardware()}
        facts["versions"] = versions(peers_python)
        listed = "\n".join(f"- {key}: {value}" for key, value in facts.items())
        text = RESULTS.read_text() if RESULTS.exists() else TITLE
        RESULTS.write_text(replace_section(text, name, f"{doc.splitlines()[0]}\n\n{listed}\n\n{body}"))


def replace_section(text: str, name: str, body: str) -> str:
    """`text` with `body` under the heading `## name`: in its old place, or at the end.

    >>> replace_section("# T\\n\\n## a\\n\\n1\\n\\n## b\\n\\n2\\n", "a", "3")
    '# T\\n\\n## a\\n\\n3\\n\\n## b\\n\\n2\\n'
    """
    head, *sections = text.split("\n## ")
    bodies = dict(section.split("\n", 1) for section in sections) | {name: body}
    return "\n\n## ".join([head.strip(), *(f"{key}\n\n{value.strip()}" for key, value in bodies.items())]) + "\n"


def hardware() -> str:
    """CPU model, cores that this process may use, memory, and the accelerator where there is one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return ", ".join([_cpu_model(), f"{cores()} cores", f"{memory:.0f} GiB", *accelerators()])


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(peers_python: str) -> str:
    """The versions of this interpreter's packages, and of the peers' where they differ."""
    ours, theirs = _versions(sys.executable), _versions(peers_python)
    peers = [f"{name} {version}" for name, version in theirs.items() if ours.get(name) != version]
    return ", ".join(f"{name} {version}" for name, version in ours.items()) + "".join(f"; {peer}" for peer in peers)


def _versions(python: str) -> dict[str, str]:
    return json.loads(spawn([python, "-c", _VERSIONS, *PACKAGES]).output)


def _interpreter(program: Program, peers_python: str) -> str:
    return peers_python if program.requires else sys.executable


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return kept | {"PYTHONPATH": path}


def _target_row(target: Target) -> tuple[str, str, str, str]:
    measured = "-" if target.measured is None else f"{target.measured:.4g}"
    return target.claim, f"{'>=' if target.at_least else '<='} {target.bound:g}", measured, target.reached


def _command(script: str) -> str:
    arguments = [Path(arg).name if Path(arg).is_absolute() else arg for arg in sys.argv[1:]]
    return shlex.join(["python", f"experiments/benchmarks/{Path(script).name}", *arguments])


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def accelerators() -> list[str]:
    """The names of the GPUs, as their driver tells them."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.strip().splitlines()
