"""What does importing jaxnn cost beside importing jax, and does `jaxnn --help` answer at once?

    python experiments/benchmarks/import_time.py --record

Wall times of whole Python processes, taken in turn; ratios are medians of the ratios round by round. Expected:
`import jaxnn` at most 1.3 times `import jax` (it imports neither jax nor anything else), and `--help` in less than
half a second, for it does not import jax either. The subpackages cost what jax and Flax cost.
"""

import dataclasses
import statistics
import sys
from dataclasses import dataclass

import tyro
from measuring import Report, Target, in_turn, median_ratio, publish, spawn

COMMANDS = {
    "import jax": ("-c", "import jax"),
    "import jaxnn": ("-c", "import jaxnn"),
    "import jax, flax.linen": ("-c", "import jax, flax.linen"),
    "from jaxnn import training, models": ("-c", "from jaxnn import training, models"),
    "jaxnn --help": ("-m", "jaxnn.cli.main", "--help"),
}
COMPARED_WITH = {"import jaxnn": "import jax", "from jaxnn import training, models": "import jax, flax.linen"}
HEADER = ("process", "seconds, median", "range over rounds", "compared with", "ratio")


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    rounds: int = 15
    smoke: bool = False  # seconds, figures without meaning
    record: bool = False  # write the section of RESULTS.md


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, rounds=1)
    contestants = {name: process(arguments) for name, arguments in COMMANDS.items()}
    publish(
        summarize(in_turn(contestants, rounds=settings.rounds)), script=__file__, doc=__doc__, record=settings.record
    )


def process(arguments: tuple[str, ...]):
    """A contestant: the wall time of `python ARGUMENTS`."""
    return lambda _: spawn([sys.executable, *arguments]).seconds


def summarize(measured: dict[str, list[float]]) -> Report:
    """The table and the targets."""
    ratios = {name: median_ratio(measured, name, other) for name, other in COMPARED_WITH.items()}
    targets = [
        Target("import jaxnn, times import jax", 1.3, ratios["import jaxnn"], at_least=False),
        Target("jaxnn --help, seconds", 0.5, statistics.median(measured["jaxnn --help"]), at_least=False),
    ]
    return Report(HEADER, [row(name, seconds, ratios.get(name)) for name, seconds in measured.items()], targets)


def row(name: str, seconds: list[float], ratio: float | None) -> tuple[str, ...]:
    middle, spread = f"{statistics.median(seconds):.3f}", f"{min(seconds):.3f} to {max(seconds):.3f}"
    return f"`{name}`", middle, spread, COMPARED_WITH.get(name, "-"), "-" if ratio is None else f"{ratio:.2f} x"


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
