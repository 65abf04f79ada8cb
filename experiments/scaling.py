"""How far does data parallelism carry: on the devices of this machine, and on paper, to thousands of machines?

    python experiments/scaling.py --out runs

Measured: an MLP on 1, 2, 4 and 8 forced CPU devices, each number in a process of its own, with so many rows of the
batch for each device (weak scaling), one thread a device; predicted from one device's processor time and from sums over
two devices, by `jaxnn.parallel.scaling_model`. Forced devices share the cores of one machine, and its memory is their
network: with more devices than cores, each waits for its turn, which the prediction takes into account, as it must;
nothing here gets faster by more devices than cores. What is checked is the model's arithmetic, not a network. "cores
busy" is the processor time of a step over the cores it had: what the clock would show if nothing else ran.
On paper: published sizes of LeNet-5, AlexNet, VGG-16 and ResNet-50, on accelerators and links of which you may give the
speed; all-reduce by ring or tree, two thirds of a step beside it, and a simulation in which machines are not equally
fast.

Expected: the predicted step within some ten percent of the measured one on a quiet machine, the processor time always.
On paper, weak scaling loses with the second machine what it loses, and little more up to thousands: bytes do not grow
with N. Strong scaling ends: at 8192 rows in all AlexNet, with its wide head and little to compute, at tens of machines,
ResNet-50, with a quarter of the bytes for more to compute, at hundreds.
Hardware: any; a minute on two cores.
"""

import dataclasses
import json
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from benchmarks.measuring import cores, hardware, markdown, spawn

from jaxnn.parallel.scaling_model import (
    Link,
    all_reduce_seconds,
    break_even,
    efficiency,
    ring_all_reduce_seconds,
    simulate_step,
    step_seconds,
)

MEASURED = (
    "devices", "compute, ms", "all-reduce, ms: predicted", "measured", "step, ms: predicted", "measured", "off",
    "cores busy, ms", "off",
)  # fmt: skip
PAPER = (
    "model", "gradient, MB", "compute, ms", "all-reduce, ms", "weak efficiency", "with stragglers",
    "strong: machines until it ends", "on so many, efficiency",
)  # fmt: skip
BACKWARD = 2 / 3  # of a step, beside which gradients already travel
SPREAD = 0.05  # of the logarithm of a machine's time


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

    devices: tuple[int, ...] = (1, 2, 4, 8)
    features: int = 1024  # of the measured MLP's two hidden layers
    rows: int = 128  # of the batch, for each device
    repeats: int = 30
    machines: int = 4096  # of the table on paper
    batch: int = 8192  # over all machines, in strong scaling
    rows_each: int = 32  # for each machine, in weak scaling
    flops: float = 1e14  # a second, that an accelerator really does
    bandwidth: float = 25e9  # bytes a second of its link
    latency: float = 10e-6  # seconds of a message
    out: Path = Path("runs")  # folder of the picture
    smoke: bool = False  # seconds, figures without meaning
    measure: int | None = None  # on so many devices, and print JSON: what the processes do


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, devices=(1, 2), features=32, rows=8, repeats=2, machines=64)
    if settings.measure is not None:
        print(json.dumps(measure(settings.measure, settings)))
        return
    measured = {n: measure_apart(n, settings) for n in settings.devices}
    predicted = predict(measured)
    print(markdown(MEASURED, [cells(n, measured[n], predicted[n]) for n in measured]))
    print(f"\n{cores()} cores under all devices; {next(iter(measured.values()))['bytes'] / 1e6:.1f} MB of gradient\n")
    print(markdown(PAPER, [on_paper(name, model, settings) for name, model in MODELS.items()]))
    print(f"\n{settings.machines} machines of {settings.flops:.3g} flop/s, {settings.bandwidth:.3g} bytes/s, ", end="")
    print(f"{settings.latency:.3g} s; weak: {settings.rows_each} rows each; strong: {settings.batch} in all")
    print(f"hardware: {hardware()}")
    settings.out.mkdir(parents=True, exist_ok=True)
    from jaxnn.diagnostics import save_figure

    print(f"picture: {save_figure(draw(measured, predicted, settings), settings.out / 'scaling.png')}")


def measure_apart(devices: int, settings: Settings) -> dict[str, float]:
    """`measure`, in a process of its own."""
    options = {name: str(getattr(settings, name)) for name in ("features", "rows", "repeats")}
    command = [sys.executable, __file__, "--measure", str(devices)]
    for name, value in options.items():
        command += [f"--{name}", value]
    return json.loads(spawn(command).output.strip().splitlines()[-1])


def measure(devices: int, settings: Settings) -> dict[str, float]:
    """Seconds of a step, by the clock and of every core, and of sums over the devices; bytes of the gradient."""
    one_core_a_device = "--xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {one_core_a_device}"
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    step, state, batch = workload(settings)
    training = lambda carry: step(carry[0], batch)  # noqa: E731
    size = 4 * sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return {
        "step": fastest_seconds(training, (state, None), settings.repeats),
        "cpu": fastest_seconds(training, (state, None), settings.repeats, time.process_time) / min(devices, cores()),
        "sum": fastest_seconds(*summing(size // 4), settings.repeats),
        "small": fastest_seconds(*summing(1), settings.repeats),
        "bytes": size,
    }


def workload(settings: Settings):
    """A compiled data-parallel step, its state on every device, and a batch of random rows, divided."""
    import jax

    from jaxnn.losses import cross_entropy
    from jaxnn.models import MLP
    from jaxnn.optimizers import sgd
    from jaxnn.parallel import AXIS
    from jaxnn.training import TrainStep, init_state

    rng, n, model = np.random.default_rng(0), jax.device_count() * settings.rows, MLP(features=(settings.features,) * 2)
    batch = {"image": rng.normal(size=(n, 784)).astype(np.float32), "label": rng.integers(10, size=n).astype(np.int32)}
    optimizer, (mapped, whole, rows) = sgd(1e-3), over_devices()
    state = jax.device_put(init_state(model, optimizer, batch["image"][:1], key=0), whole)
    step = TrainStep(model, cross_entropy, optimizer.update, axis_name=AXIS)
    return mapped(step, divided=True), state, jax.device_put(batch | {"mask": np.ones(n, bool)}, rows)


def summing(size: int):
    """A compiled sum of so many numbers over all devices, and its argument: what a gradient's all-reduce is."""
    import jax

    from jaxnn.parallel import AXIS

    mapped, whole, _ = over_devices()
    return mapped(lambda x: jax.lax.pmean(x, AXIS)), jax.device_put(np.ones(size, np.float32), whole)


def over_devices():
    """`jit(shard_map(...))` over all devices, the sharding of what is whole on each, and of what has rows on each.

    Of the placements this one has the step's own program on every device, and nothing added to it but the sums.
    """
    import jax
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    from jaxnn.parallel import AXIS

    mesh = jax.sharding.Mesh(np.array(jax.devices()), (AXIS,))

    def mapped(function, divided: bool = False):
        specs = (P(), P(AXIS)) if divided else P()
        return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False))

    return mapped, NamedSharding(mesh, P()), NamedSharding(mesh, P(AXIS))


def fastest_seconds(function, carry, repeats: int, clock=time.perf_counter) -> float:
    """Of calls, each on the result of the one before: whatever else runs makes the others slower."""
    import jax

    seconds, carry = [], jax.block_until_ready(function(carry))  # the first, which compiles, is left out
    for _ in range(repeats):
        start = clock()
        carry = jax.block_until_ready(function(carry))
        seconds.append(clock() - start)
    return min(seconds)


def predict(measured) -> dict[int, dict[str, float]]:
    """Of every number of devices, by what one device's step took of its core, and two devices' sums beyond a call."""
    one, two = measured[1], measured.get(2, measured[1])
    call = one["small"]  # what any call costs, paid once in a step
    latency = max((two["small"] - call) / 2, 0.0)
    link = Link(one["bytes"] / max(two["sum"] - one["sum"] - 2 * latency, 1e-9), latency)
    predicted = {}
    for n in measured:
        compute = one["cpu"] * max(1.0, n / cores())
        communication = float(ring_all_reduce_seconds(one["bytes"], n, link)) * max(1.0, n / cores())
        predicted[n] = {"compute": compute, "sum": communication, "step": compute + communication}
    return predicted


def cells(n, measured, predicted) -> tuple[str, ...]:
    off = (f"{measured[name] / predicted['step'] - 1:+.0%}" for name in ("step", "cpu"))
    numbers = predicted["compute"], predicted["sum"], measured["sum"], predicted["step"], measured["step"]
    return str(n), *(f"{1e3 * x:.2f}" for x in numbers), next(off), f"{1e3 * measured['cpu']:.2f}", next(off)


def costs(model: Published, settings: Settings):
    """Functions of the machines: seconds of computation under weak and under strong scaling, and of an all-reduce."""
    example = 3 * 2 * model.multiply_adds / settings.flops  # forward once, backward twice, two operations each
    link = Link(settings.bandwidth, settings.latency)
    weak = lambda n: settings.rows_each * example + 0.0 * n  # noqa: E731
    strong = lambda n: settings.batch * example / n  # noqa: E731
    return weak, strong, partial(all_reduce_seconds, 4 * model.parameters, link=link)


def on_paper(name: str, model: Published, settings: Settings) -> tuple[str, ...]:
    weak, strong, communication = costs(model, settings)
    n, compute, size = settings.machines, weak(settings.machines), 4 * model.parameters
    alone = efficiency(compute, step_seconds(compute, communication(n), overlap=BACKWARD))
    link = Link(settings.bandwidth, settings.latency)
    ready = simulate_step(n, compute=compute, spread=SPREAD, size=0.0, link=Link(link.bandwidth), steps=3)
    uneven = efficiency(compute, step_seconds(ready, communication(n), overlap=BACKWARD))
    ends = break_even(strong, communication, most=settings.batch) or settings.batch
    there = efficiency(strong(ends), step_seconds(strong(ends), communication(ends), overlap=BACKWARD))
    milliseconds = (f"{1e3 * float(x):.3g}" for x in (compute, communication(n)))
    return name, f"{size / 1e6:.3g}", *milliseconds, f"{alone:.0%}", f"{uneven:.0%}", str(ends), f"{there:.0%}"


def draw(measured, predicted, settings: Settings):
    """Steps predicted and measured; efficiency over machines, weak and strong."""
    from jaxnn.diagnostics.figure_style import BLUE, GREY, VERMILION, in_light_style, new_figure

    @in_light_style
    def picture():
        figure = new_figure(14, 4.6)
        steps, *panels = figure.subplots(1, 3)
        devices = list(measured)
        steps.plot(devices, [1e3 * predicted[n]["step"] for n in devices], "o--", color=GREY, label="predicted")
        steps.plot(devices, [1e3 * measured[n]["step"] for n in devices], "o-", color=BLUE, label="measured")
        steps.plot(devices, [1e3 * measured[n]["cpu"] for n in devices], "s:", color=VERMILION, label="cores busy")
        axes = {"xticks": devices, "xlabel": f"forced devices on {cores()} cores", "ylim": (0, None)}
        steps.set(ylabel="milliseconds of a step", **axes)
        steps.set_title(f"{settings.rows} rows a device")
        steps.legend()
        machines = 2 ** np.arange(14)
        titles = f"On paper: {settings.rows_each} rows a machine", f"On paper: {settings.batch} rows in all"
        for i, (ax, title) in enumerate(zip(panels, titles, strict=True)):
            for (name, model), colour in zip(MODELS.items(), (GREY, VERMILION, "#009E73", BLUE), strict=True):
                *scaling, communication = costs(model, settings)
                compute = scaling[i](machines)
                step = step_seconds(compute, communication(machines), overlap=BACKWARD)
                ax.plot(machines, 100 * efficiency(compute, step), color=colour, label=name)
            ax.set(xscale="log", xlabel="machines", ylabel="% of a step computing", ylim=(0, 103), title=title)
            ax.grid(True, which="major")
        panels[0].legend(loc=(0.45, 0.12))
        return figure

    return picture()


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
