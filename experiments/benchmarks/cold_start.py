"""How long, from an empty prompt, until LeNet-5 classifies 99 % of MNIST's 10 000 test images?

    python experiments/benchmarks/cold_start.py --peers-python PATH --record

Wall time and peak memory of whole processes: interpreter, imports, reading the data, compilation (no persistent cache),
training, evaluation on all test images, and for jaxnn the run folder with checkpoints, pictures and report as well.
Every program trains by Adam and one-cycle for two epochs, jaxnn by its recipe, the peers on batches of 128, with which
PyTorch too reaches 99 %; a round is a seed, and a ratio the median of the ratios seed by seed. The peers read an
uncompressed .npz, jaxnn its packaged gzip files. Peak memory is that of the largest process. Expected on two cores:
median accuracy at least 99.0 %, the worst seed at least 98.9 %, at most 0.72 times the wall time of
PyTorch, and 0.75 times with pictures and report.
"""

import dataclasses
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tyro
from measuring import NOT_INSTALLED, Program, Report, Target, in_turn, installed, publish, run_program, spawn
from throughput import save_mnist

from jaxnn.cli.training_flags import RECIPES

JAXNN = "`jaxnn train lenet5`"
BARE = "the same, `--no-pictures`"  # what the peers do: import, read, compile, train, evaluate
PYTORCH = Program("PyTorch eager", "pytorch_one_cycle.py", requires="torch")
KERAS = Program("Keras on JAX", "keras_one_cycle.py", requires="keras")
HEADER = ("program", "accuracy, median", "accuracy, worst", "wall time, median", "peak memory", "jaxnn's wall time")
SMOKE = ("--train-examples=512", "--test-examples=500", "--no-pictures", "--no-tensorboard")


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int | None = None  # of jaxnn; None is the recipe's
    peer_epochs: int = 2
    peer_batch_size: int = 128
    peer_learning_rate: float = 8e-3
    peer_warmup: float = 0.2
    peers_python: str = sys.executable  # the interpreter that has torch and keras
    smoke: bool = False  # seconds, figures without meaning
    record: bool = False  # write the section of RESULTS.md


class Run(NamedTuple):
    """One process: test accuracy, wall seconds, bytes."""

    accuracy: float
    seconds: float
    peak_bytes: int


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, seeds=(0,), epochs=1, peer_epochs=1)
    report = summarize(measure(settings))
    publish(report, script=__file__, doc=__doc__, record=settings.record, peers_python=settings.peers_python)


def measure(settings: Settings) -> dict[str, list[Run]]:
    """Every program's runs, one a seed."""
    with tempfile.TemporaryDirectory() as folder:
        data = save_mnist(os.path.join(folder, "mnist.npz"), examples=512 if settings.smoke else 60_000)
        workload = data | recipe_of(settings)
        contestants = {
            JAXNN: lambda i: train_jaxnn(settings, settings.seeds[i]),
            BARE: lambda i: train_jaxnn(settings, settings.seeds[i], "--no-pictures"),
        }
        for program in (PYTORCH, KERAS):
            if installed(program, settings.peers_python):
                contestants[program.name] = peer(program, workload, settings)
        return in_turn(contestants, rounds=len(settings.seeds))


def recipe_of(settings: Settings) -> dict:
    """What the peers must know of the recipe."""
    ours = RECIPES["lenet5"]
    if (ours.optimizer, ours.schedule) != ("adam", "one_cycle"):
        raise ValueError(f"the peers know Adam with one-cycle; the recipe is now {ours.optimizer}, {ours.schedule}.")
    names = ("epochs", "batch_size", "learning_rate", "warmup")
    return {name: getattr(settings, f"peer_{name}") for name in names} | {"network": "lenet5"}


def train_jaxnn(settings: Settings, seed: int, *flags: str) -> Run:
    """`jaxnn train lenet5`, and the accuracy on the test data that it recorded as its result."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        command = [sys.executable, "-m", "jaxnn.cli.main", "train", "lenet5", "--out", str(run), "--seed", str(seed)]
        command += ["--epochs", str(settings.epochs)] if settings.epochs else []
        flags = dict.fromkeys((*flags, *(SMOKE if settings.smoke else ())))  # each flag may stand once
        finished = spawn([*command, *flags])
        measured = json.loads((run / "result.json").read_text())
    return Run(measured["best"]["accuracy"], finished.seconds, finished.peak_bytes)


def peer(program: Program, workload: dict, settings: Settings):
    """A contestant: the program's run with the seed of a round."""

    def run(i: int) -> Run:
        printed, finished = run_program(
            program, workload | {"seed": settings.seeds[i]}, peers_python=settings.peers_python
        )
        return Run(printed["accuracy"], finished.seconds, finished.peak_bytes)

    return run


def summarize(measured: dict[str, list[Run]]) -> Report:
    """The table, the targets and every seed's accuracy."""
    rows = [row(name, measured) for name in (JAXNN, BARE, PYTORCH.name, KERAS.name)]
    accuracies = [100 * run.accuracy for run in measured[JAXNN]]
    targets = [
        Target("jaxnn, median test accuracy in %", 99.0, statistics.median(accuracies)),
        Target("jaxnn, worst test accuracy in %", 98.9, min(accuracies)),
        Target("wall time to 99 %, times PyTorch", 0.72, wall_ratio(measured, PYTORCH.name, of=BARE), at_least=False),
        Target("with pictures and report", 0.75, wall_ratio(measured, PYTORCH.name), at_least=False),
    ]
    listed = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
    return Report(HEADER, rows, targets, [f"jaxnn, test accuracy in % seed by seed: {listed}."])


def row(name: str, measured: dict[str, list[Run]]) -> tuple[str, ...]:
    if name not in measured:
        return name, NOT_INSTALLED, "-", "-", "-", "-"
    accuracy, seconds, peak = zip(*measured[name], strict=True)
    middle, ratio = statistics.median(accuracy), wall_ratio(measured, name)
    memory = f"{statistics.median(peak) / 2**20:,.0f} MiB"
    against = "-" if name == JAXNN else f"{ratio:.2f} x"
    return name, f"{middle:.2%}", f"{min(accuracy):.2%}", f"{statistics.median(seconds):.1f} s", memory, against


def wall_ratio(measured: dict[str, list[Run]], name: str, *, of: str = JAXNN) -> float | None:
    """jaxnn's wall time over the program's, the median over seeds."""
    if name not in measured:
        return None
    pairs = zip(measured[of], measured[name], strict=True)
    return statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
