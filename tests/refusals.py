"""Whether malformed inputs are refused: with status 2, in one readable sentence, soon, and in little memory.

As a program it runs them all, many in one process, and prints what is wrong and a table:

    python tests/refusals.py [SHARE]        a share of 0.1 is every tenth
"""

import contextlib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from malformed_inputs import Case, all_cases

from jaxnn.cli.main import COMMANDS, main

MOST_CHARACTERS, MOST_SECONDS, MOST_WAITED, MOST_MIB = 400, 10, 100, 1024
BATCH = 60  # cases in one process


class Answer(NamedTuple):
    """What became of a case: seconds of the processor and by the clock, and the most memory of its process so far."""

    status: Any
    said: str
    seconds: float
    waited: float
    mebibytes: float


def answer(case: Case) -> Answer:
    """Runs one case in this process."""
    said, began, worked = io.StringIO(), time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(case.args)
        except BaseException as error:  # what main lets through is what is looked for
            status = f"{type(error).__name__}: {error}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Answer(status, said.getvalue(), time.process_time() - worked, time.perf_counter() - began, peak)


def faults(answered: Answer) -> list[str]:
    """What is wrong with an answer."""
    *before, last = answered.said.splitlines() or [""]  # before it: what search is about to train
    checks = {
        f"status {answered.status}": answered.status != 2,
        f"{len(before) + 1} lines": len(before) > 1 or any(line.startswith("jaxnn:") for line in before),
        "no sentence": not re.fullmatch(r"jaxnn: .*([.?]|Known: [\w, -]+|Say [^\n]+)", last),
        f"{len(answered.said)} characters": len(answered.said) > MOST_CHARACTERS + 200 * ("/tmp/" in answered.said),
        "jargon": any(
            word in answered.said for word in ("Traceback", "[Errno", "instantiated", "NoneType", "invalid lit")
        ),
        "not printable": not answered.said.replace("\n", "").isprintable(),
        f"{answered.seconds:.0f} s of the processor": answered.seconds > MOST_SECONDS,
        f"{answered.waited:.0f} s": answered.waited > MOST_WAITED,
        f"{answered.mebibytes:.0f} MiB": answered.mebibytes > MOST_MIB,
    }
    return [fault for fault, is_so in checks.items() if is_so]


def run_apart(cases: list[Case]) -> list[Answer]:
    """Runs cases in a process of their own."""
    ran = subprocess.run(
        [sys.executable, __file__, "--answer"], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    return [Answer(*json.loads(line)) for line in ran.stdout.splitlines()]


def _report(share: float) -> int:
    folder = Path(tempfile.mkdtemp(prefix="malformed"))
    cases = all_cases(folder)[:: round(1 / share)]
    os.chdir(folder)
    table, wrong = {}, []
    for first in range(0, len(cases), BATCH):
        batch = cases[first : first + BATCH]
        for case, answered in zip(batch, run_apart(batch), strict=True):
            table.setdefault(case.kind, []).append(answered)
            if found := faults(answered):
                wrong.append(case)
                print(f"{', '.join(found)}: {[arg[:60] for arg in case.args]}: {answered.said[-300:]!r}", flush=True)
    print(f"{'kind':<26}{'inputs':>7}{'slowest s':>11}{'peak MiB':>10}{'longest':>9}")
    for kind, rows in table.items():
        slowest, peak = max(row.seconds for row in rows), max(row.mebibytes for row in rows)
        print(f"{kind:<26}{len(rows):>7}{slowest:>11.2f}{peak:>10.0f}{max(len(row.said) for row in rows):>9}")
    print(f"{len(cases)} inputs of {len(COMMANDS)} commands, {len(wrong)} not refused as they should be")
    shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    if "--answer" in sys.argv:
        for one in json.load(sys.stdin):
            print(json.dumps(answer(Case(*one))), flush=True)
    else:
        sys.exit(_report(float(sys.argv[1]) if len(sys.argv) > 1 else 1))
