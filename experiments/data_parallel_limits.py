"""Where does data parallelism end, on paper, with up to thousands of machines?

    python experiments/data_parallel_limits.py

Published sizes of LeNet-5, AlexNet, VGG-16 and ResNet-50, on accelerators and links of which you may give the speed:
all-reduce by ring or tree, whichever is faster, two thirds of a step beside it, and a simulation in which machines are
not equally fast. Weak scaling keeps the rows of each machine, strong scaling those of all. `scaling.py` holds the same
formulas against what devices here measure.

Expected: whatever the number of machines, an all-reduce moves at most twice the gradient's bytes through each link,
twice what two machines exchange (Patarasuk and Yuan 2009): weak scaling loses little more up to thousands. Strong
scaling ends where the all-reduce takes as long as the computation: at 8192 rows in all AlexNet, with its wide head and
little to compute, at tens of machines (Krizhevsky 2014 divides that head for this reason), ResNet-50, with fewer bytes
for more to compute, at hundreds.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn.parallel import Link, all_reduce_seconds, break_even, efficiency, step_seconds
from jaxnn.parallel.scaling_model import simulate_step
from jaxnn.plots import plot_lines

HEADER = (
    "model", "gradient, MB", "compute, ms", "all-reduce, ms", "weak efficiency, %", "with stragglers, %",
    "strong: machines until it ends", "on so many, efficiency, %",
)  # fmt: skip
BACKWARD = 2 / 3  # of a step, beside which gradients already travel
RING, KRIZHEVSKY = "Patarasuk and Yuan 2009", "Krizhevsky 2014, arXiv 1404.5997"


class Published(NamedTuple):
    """Parameters and multiply-adds of an example's forward pass."""

    parameters: float
    multiply_adds: float


MODELS = {
    "LeNet-5": Published(61_706, 416_520),
    "AlexNet": Published(61.1e6, 0.71e9),
    "VGG-16": Published(138.4e6, 15.5e9),
    "ResNet-50": Published(25.6e6, 4.09e9),
}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    machines: int = 4096  # of the table
    batch: int = 8192  # over all machines, in strong scaling
    rows: int = 32  # for each machine, in weak scaling
    flops: float = 1e14  # a second, that an accelerator really does
    bandwidth: float = 25e9  # bytes a second of its link
    latency: float = 10e-6  # seconds of a message
    spread: float = 0.05  # of the logarithm of a machine's time


def measure(settings: Settings) -> Outcome:
    scalings = {name: costs(model, settings) for name, model in MODELS.items()}
    ends = {name: break_even(of["strong"], of["sum"], most=settings.batch) for name, of in scalings.items()}
    machines, pictures = 2 ** np.arange(int(np.log2(settings.machines)) + 1), {}
    for kind, rows in (("weak", f"{settings.rows} rows a machine"), ("strong", f"{settings.batch} rows in all")):
        lines = {name: 100 * share(of[kind](machines), of["sum"](machines)) for name, of in scalings.items()}
        labels = {"xlabel": "machines", "ylabel": "% of a step computing", "title": f"{kind} scaling: {rows}"}
        pictures[kind] = plot_lines(machines, lines, xscale="log", ylim=(0, 103), **labels)
    rows = [cells(name, scalings[name], end or settings.batch, settings) for name, end in ends.items()]
    return Outcome(list(findings(ends, scalings, settings.machines)), pictures, [markdown(HEADER, rows)])


def findings(ends, scalings, most: int):
    for name, low, source in (("AlexNet", 10, KRIZHEVSKY), ("ResNet-50", 100, RING)):
        told, value = f"{low} to {10 * low - 1}", ends[name]
        yield Finding(f"{name}, strong: machines until it ends", [value], told, source, low <= value < 10 * low)
    longer = max(scalings[name]["sum"](most) / scalings[name]["sum"](2) for name in ("AlexNet", "VGG-16", "ResNet-50"))
    yield Finding(f"all-reduce of {most} machines over that of 2, the most of three models", [longer], "2, to 0.1",
                  RING, abs(longer - 2) < 0.1)  # fmt: skip


def costs(model: Published, settings: Settings):
    """Functions of the machines: seconds of computation under weak and strong scaling, and of an all-reduce."""
    example = 3 * 2 * model.multiply_adds / settings.flops  # forward once, backward twice, two operations each
    link = Link(settings.bandwidth, settings.latency)
    return {
        "weak": lambda n: settings.rows * example + 0.0 * n,
        "strong": lambda n: settings.batch * example / n,
        "sum": partial(all_reduce_seconds, 4 * model.parameters, link=link),
    }


def share(compute, communication):
    """Of a step, in which machines compute."""
    return efficiency(compute, step_seconds(compute, communication, overlap=BACKWARD))


def cells(name: str, of, ends: int, settings: Settings) -> tuple[str, ...]:
    n, link = settings.machines, Link(settings.bandwidth)
    compute, sending = float(of["weak"](n)), float(of["sum"](n))
    slowest = simulate_step(n, compute=compute, spread=settings.spread, size=0.0, link=link, steps=3)
    uneven = efficiency(compute, step_seconds(slowest, sending, overlap=BACKWARD))
    shares = (f"{100 * x:.0f}" for x in (share(compute, sending), uneven, share(of["strong"](ends), of["sum"](ends))))
    told = f"{4e-6 * MODELS[name].parameters:.3g}", f"{1e3 * compute:.3g}", f"{1e3 * sending:.3g}"
    return name, *told, next(shares), next(shares), str(ends), next(shares)


EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke={"machines": 64})

if __name__ == "__main__":
    EXPERIMENT.main()
