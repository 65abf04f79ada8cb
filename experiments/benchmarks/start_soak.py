"""Does every start of `jaxnn train` succeed, and does a signal end it at whatever moment it comes?

    python experiments/benchmarks/start_soak.py --record

Undisturbed starts import everything and read the data, and end, before anything is compiled, by the refusal of a batch
larger than the data: the part in which a thread and the main thread were once importing side by side. Interrupted ones
train for an epoch; a signal is sent at moments spread evenly over the time that one takes undisturbed, a second one if
the process is still there after ten seconds. Expected: 500 starts of 500, and status 130 (SIGINT) or 143 (SIGTERM) at
every moment from the first import of jaxnn on, in less than ten seconds. In the milliseconds before that, while Python
itself starts, it ends by the signal, which a shell calls 130 and 143 too.
"""

import dataclasses
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tyro
from measuring import Report, Target, publish

from jaxnn.cli.process_supervision import describe_end

TRAIN = (sys.executable, "-m", "jaxnn", "train", "mlp", "--train-examples", "256", "--test-examples", "100")
TRAIN += ("--epochs", "1", "--no-pictures", "--no-tensorboard")
REFUSED = "--batch-size must be at most the number of training examples"
PATIENCE = 10.0  # seconds until the second signal
HEADER = ("what was done", "how it ended", "times", "seconds from the signal to the end, most")


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    starts: int = 500  # undisturbed
    moments: int = 60  # at which each of the signals is sent
    signals: tuple[str, ...] = ("SIGINT", "SIGTERM")
    smoke: bool = False  # seconds, figures without meaning
    record: bool = False  # write the section of RESULTS.md


class End(NamedTuple):
    """Of one process: what was done to it, how it ended, seconds after the signal, and whether that is well."""

    done: str
    how: str
    seconds: float
    well: bool


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, starts=1, moments=3, signals=("SIGINT",))
    ends = [start(i) for i in range(settings.starts)]
    whole = end_of(0.0, None).seconds
    for name in settings.signals:
        moments = [(i + 0.5) * whole / settings.moments for i in range(settings.moments)]
        ends += [end_of(moment, signal.Signals[name]) for moment in moments]
    publish(summarize(ends), script=__file__, doc=__doc__, record=settings.record)


def start(number: int) -> End:
    """An undisturbed start up to the first thing that is refused."""
    done = subprocess.run([*TRAIN, "--batch-size", "512"], capture_output=True, text=True)
    well = done.returncode == 2 and REFUSED in done.stderr
    how = "all imported and read" if well else f"{describe_end(done.returncode)}: {done.stderr.strip()[-200:]}"
    _tell(f"start {number + 1}: {how}")
    return End("nothing", how, 0.0, well)


def end_of(moment: float, number: signal.Signals | None) -> End:
    """A training that gets the signal so many seconds after its start, and another ten seconds later."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        child = subprocess.Popen([*TRAIN, "--out", str(Path(folder, "run"))], **streams)
        if number is not None:
            time.sleep(moment)
            began = time.perf_counter()
            child.send_signal(number)
        said, signals = None, 1
        while said is None:
            try:
                said = child.communicate(timeout=None if number is None else PATIENCE)[1]
            except subprocess.TimeoutExpired:
                child.send_signal(number if signals < 3 else signal.SIGKILL)
                signals += 1
        seconds = time.perf_counter() - began
    return _judged(child.returncode, number, moment, seconds, signals, said)


def _judged(returncode, number, moment, seconds, signals, said) -> End:
    how = describe_end(returncode).removesuffix(", as it said") + f" after {signals} signals" * (signals > 1)
    if number is None:
        return End("nothing, to the end", how, seconds, returncode == 0)
    well = signals == 1 and returncode in (0, 128 + number, -number)
    _tell(f"{number.name} after {moment:.2f} s: {how}, {seconds:.2f} s later; {(said.splitlines() or ['silent'])[-1]}")
    return End(number.name, how, seconds, well)


def summarize(ends: list[End]) -> Report:
    """How often each end was met, and the two promises."""
    counts = Counter((end.done, end.how) for end in ends)
    most = {key: max(end.seconds for end in ends if (end.done, end.how) == key) for key in counts}
    rows = [(*key, str(count), f"{most[key]:.2f}") for key, count in sorted(counts.items())]
    groups = [end for end in ends if end.done == "nothing"], [end for end in ends if end.done != "nothing"]
    claims = "undisturbed starts that succeed", "signals that end a start as they should"
    targets = [
        Target(claim, len(group), sum(end.well for end in group)) for claim, group in zip(claims, groups, strict=True)
    ]
    return Report(HEADER, rows, targets)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may have been told to ignore it
    main(tyro.cli(Settings, description=__doc__))
