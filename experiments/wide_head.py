"""What does each device keep of a wide MLP: by data parallelism, by FSDP, by tensor parallelism, by both?

    python experiments/wide_head.py

VGG's head, 25088-4096-4096-1000, has 123.6 million of the network's 138 million parameters (Simonyan and Zisserman
2015, arXiv 1409.1556); with Adam's two moments that is 1.4 GiB of state, on every device under data parallelism. One
training step is compiled for up to eight devices under each placement, and never run: no array of that size is made.
State is what `jaxnn.parallel.report_memory` says from the shapes alone, held beside `compiled.memory_analysis()`, which
also knows what is temporary. FSDP gathers a layer where it is needed (ZeRO, arXiv 1910.02054); XLA's CPU backend then
sums all gradients whole, in one all-reduce, and takes its parts, where a reduce-scatter would make the parts alone.
Tensor parallelism (Megatron-LM, arXiv 1909.08053) never makes a layer whole, but each device has all inputs.

Expected: an eighth of the state on each of eight devices, under all but data parallelism, and by the shapes what XLA
allocates; besides, at least the largest kernel under FSDP, and less than a layer under tensor parallelism.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import jax
import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adam
from jaxnn.parallel.memory_report import MemoryReport, report_memory, shapes_of
from jaxnn.parallel.sharded_placement import Sharded, shard_by
from jaxnn.parallel.sharding_rules import Largest, ShardingRules, fully_sharded, tensor_parallel
from jaxnn.plots import plot_lines
from jaxnn.training import TrainStep, supervised

HEADER = ("placement", "data x model", "state", "gradients", "activations", "arguments", "temporary", "peak")
LAYERS = {"columns": ("hidden1", "logits"), "rows": ("hidden2",)}
ADAM, ZERO = "Kingma and Ba 2015, alg. 1: two moments", "Rajbhandari et al. 2020, sec. 5.3"
MEGATRON, MIB = "Shoeybi et al. 2019, sec. 3", 2**20


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    widths: tuple[int, ...] = (25088, 4096, 4096, 1000)
    batch_size: int = 256
    devices: tuple[int, ...] = (1, 2, 4, 8)


def measure(settings: Settings) -> Outcome:
    with contextlib.suppress(RuntimeError):  # devices are in use: there are as many as there are
        jax.config.update("jax_num_cpu_devices", max(settings.devices))
    (inputs, *hidden, classes), optimizer = settings.widths, adam(1e-3)
    step = TrainStep(supervised(MLP(features=tuple(hidden), classes=classes), cross_entropy), optimizer.update)
    data = {"image": jax.ShapeDtypeStruct((1, inputs), "float32"), "label": jax.ShapeDtypeStruct((1,), "int32")}
    shapes = shapes_of(step, optimizer, data, batch_size=settings.batch_size)
    report = partial(report_memory, step, *shapes, compiled=True)
    reports = {n: {name: report(placement=place) for name, place in places(n).items()} for n in settings.devices}
    most = settings.devices[-1]
    head = f"MiB on each of {most} devices; {'-'.join(map(str, settings.widths))}, batch {settings.batch_size}:"
    rows = map(cells, reports[most].items(), places(most).values())
    return Outcome(findings(reports[most], settings), {"": draw(reports)}, [head, markdown(HEADER, rows)])


def places(count: int) -> dict[str, Sharded]:
    """Over so many devices; "both" has groups of two for the layers, and divides over the groups what is left."""
    devices, model = jax.devices()[:count], min(count, 2)
    return {
        "data parallel": shard_by(ShardingRules(), devices=devices),
        "FSDP": shard_by(fully_sharded(), devices=devices),
        "tensor parallel": shard_by(tensor_parallel(**LAYERS), model=count, devices=devices),
        "both": shard_by(tensor_parallel(**LAYERS, largest=Largest()), model=model, devices=devices),
    }


def findings(reports: Mapping[str, MemoryReport], settings: Settings) -> list[Finding]:
    """In MiB: 12 bytes of state for each of W parameters, and the largest kernel."""
    pairs, n = list(pairwise(settings.widths)), settings.devices[-1]
    whole, kernel = 12 * sum((a + 1) * b for a, b in pairs) / MIB, 4 * max(a * b for a, b in pairs) / MIB
    agree = max((own.arguments / own.allocated.arguments for own in reports.values()), key=lambda ratio: abs(ratio - 1))
    told = [("arguments by the shapes over XLA's", agree, "1, to 1 %", "XLA, `memory_analysis`", abs(agree - 1) < 0.01)]
    for (name, own), parts, source in zip(reports.items(), (1, n, n, n), (ADAM, ZERO, MEGATRON, ZERO), strict=True):
        expected, kept = f"12 W / {parts} bytes: {whole / parts:,.1f}", own.state / MIB
        told.append((f"state, {name}, MiB", kept, expected, source, abs(kept * parts / whole - 1) < 0.01))
    for name, words, source in (("FSDP", "at least", ZERO), ("tensor parallel", "below", MEGATRON)):
        beside = reports[name].allocated.temporary / MIB
        expected, holds = f"{words} a kernel, {kernel:,.1f}", (beside >= kernel) == (words == "at least")
        told.append((f"temporary, {name}, MiB", beside, expected, source, holds))
    return [Finding(figure, [value], *rest) for figure, value, *rest in told]


def cells(named: tuple[str, MemoryReport], place: Sharded) -> tuple[str, ...]:
    (name, own), mesh = named, f"{place.data} x {place.model}"
    sizes = own.state, own.gradients, own.activations, own.arguments, own.allocated.temporary, own.allocated.peak
    return name, mesh, *(f"{size / MIB:,.1f}" for size in sizes)


def draw(reports: Mapping[int, Mapping[str, MemoryReport]]):
    column = lambda name, size: np.array([size(of[name]) / MIB for of in reports.values()])
    state, counts = column("FSDP", lambda own: own.state), list(reports)
    lines = {f"{name}: peak of a step": column(name, lambda own: own.allocated.peak) for name in list(places(1))[:3]}
    lines |= {
        "data parallel: state": column("data parallel", lambda own: own.state),
        "FSDP, tensor parallel: state": state,
    }
    figure = plot_lines(counts, lines, xlabel="devices N", ylabel="MiB on each device", xscale="log", yscale="log",
                        title="What a device keeps, and needs: grid lines at 12 W / N bytes")  # fmt: skip
    figure.axes[0].minorticks_off()
    figure.axes[0].set(xticks=counts, xticklabels=counts, yticks=state, yticklabels=[f"{y:,.0f}" for y in state])
    return figure


SMOKE = {"widths": (512, 256, 256, 128), "batch_size": 32, "devices": (2,)}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE)

if __name__ == "__main__":
    EXPERIMENT.main()
