"""Does the model of a data-parallel step foretell what more devices of this machine take?

    python experiments/scaling.py

An MLP on 1, 2, 4 and 8 forced CPU devices, with so many rows of the batch for each device (weak scaling), one thread a
device; predicted from one device's processor time and from sums over two devices, by `jaxnn.parallel.scaling_model`.
Forced devices share the cores of one machine, and its memory is their network: with more devices than cores each waits
for its turn, which the prediction takes into account; nothing gets faster by more devices than cores. What is checked
is the model's arithmetic, not a network. "cores busy": the processor time of a step over the cores it had, as the clock
would show it if nothing else ran. `data_parallel_limits.py` has the same formulas for thousands of machines.

Expected: processor time is the predicted one to a quarter, always; the time by the clock on a quiet machine.
"""

import os
import time
from dataclasses import dataclass

import jax
import numpy as np
from benchmarks.measuring import cores, markdown
from gradient_cost import timed
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from recording import Experiment, Finding, Outcome

from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import sgd
from jaxnn.parallel import AXIS, Link
from jaxnn.parallel.scaling_model import ring_all_reduce_seconds
from jaxnn.plots import plot_lines
from jaxnn.training import TrainStep, init_state, supervised

RING = "Patarasuk and Yuan 2009"
HEADER = ("devices", "all-reduce, ms: predicted", "measured", "step, ms: predicted", "measured", "cores busy, ms")


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    devices: tuple[int, ...] = (1, 2, 4, 8)
    features: int = 1024  # of the MLP's two hidden layers
    rows: int = 128  # of the batch, for each device
    repeats: int = 30


def measure(settings: Settings) -> Outcome:
    measured = {n: measure_on(n, settings) for n in settings.devices}
    predicted = predict(measured)
    steps, clock, busy = (np.array([of["step"] for of in predicted.values()]),
                          *(np.array([of[name] for of in measured.values()]) for name in ("step", "cpu")))  # fmt: skip
    labels = {"xlabel": f"forced devices on {cores()} cores", "ylabel": "milliseconds of a step", "ylim": (0, None)}
    lines, title = {"predicted": steps, "measured": clock, "cores busy": busy}, f"{settings.rows} rows a device"
    figure = plot_lines(settings.devices, lines, title=title, xticks=settings.devices, **labels)
    findings = [
        Finding(f"processor time over the predicted step, {n} devices", [off], "1, to 0.25", RING, abs(off - 1) < 0.25)
        for n, off in list(zip(settings.devices, busy / steps, strict=True))[1:]
    ]
    late = (clock / steps).max()
    findings += [Finding("the clock's time over it, the most", [late], "1, to 0.25", RING, abs(late - 1) < 0.25)]
    numbers = [(ours["sum"], own["sum"], ours["step"], own["step"], own["cpu"])
               for own, ours in zip(measured.values(), predicted.values(), strict=True)]  # fmt: skip
    rows = [(str(n), *(f"{x:.2f}" for x in of)) for n, of in zip(measured, numbers, strict=True)]
    return Outcome(findings, {"": figure}, [markdown(HEADER, rows)])


def measure_on(devices: int, settings: Settings) -> dict[str, float]:
    """Milliseconds of a step, by the clock and of every core, and of sums over the devices; bytes of the gradient."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), (AXIS,))
    if mesh.size < devices:
        raise ValueError(f"`devices` must be at most {mesh.size}, which there are; received {devices}.")
    step, state = workload(mesh, settings)
    size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    clocks = {"step": time.perf_counter, "cpu": time.process_time}
    told = {name: timed(step, state, settings.repeats, clock)[1] for name, clock in clocks.items()}
    sums = {name: timed(*summing(mesh, n), settings.repeats)[1] for name, n in (("sum", size), ("small", 1))}
    return told | sums | {"cpu": told["cpu"] / min(devices, cores()), "bytes": 4 * size}


def workload(mesh, settings: Settings):
    """A compiled data-parallel step on random rows, divided over the devices, and its state on each."""
    rng, n, model = np.random.default_rng(0), mesh.size * settings.rows, MLP(features=(settings.features,) * 2)
    batch = {"image": rng.normal(size=(n, 784)).astype(np.float32), "label": rng.integers(10, size=n).astype(np.int32)}
    batch = jax.device_put(batch | {"mask": np.ones(n, bool)}, NamedSharding(mesh, P(AXIS)))
    optimizer = sgd(1e-3)
    state = jax.device_put(init_state(model, optimizer, batch["image"][:1], key=0), NamedSharding(mesh, P()))
    step = TrainStep(supervised(model, cross_entropy), optimizer.update, axis_name=AXIS)
    mapped = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False))
    return lambda state: mapped(state, batch), state


def summing(mesh, size: int):
    """A compiled sum of so many numbers over all devices, and its argument: what a gradient's all-reduce is."""
    total = jax.shard_map(lambda x: jax.lax.pmean(x, AXIS), mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    return jax.jit(total), jax.device_put(np.ones(size, np.float32), NamedSharding(mesh, P()))


def predict(measured) -> dict[int, dict[str, float]]:
    """Of every number of devices, by what one device's step took of its core, and two devices' sums beyond a call."""
    one, two = measured[1], measured.get(2, measured[1])
    call = one["small"]  # what any call costs, paid once in a step
    latency = max((two["small"] - call) / 2, 0.0)
    link = Link(one["bytes"] / max(two["sum"] - one["sum"] - 2 * latency, 1e-6), latency)
    turns = {n: max(1.0, n / cores()) for n in measured}
    sums = {n: float(ring_all_reduce_seconds(one["bytes"], n, link)) * turns[n] for n in measured}
    return {n: {"sum": sums[n], "step": one["cpu"] * turns[n] + sums[n]} for n in measured}


SMOKE = {"devices": (1, 2), "features": 32, "rows": 8, "repeats": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE)

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    EXPERIMENT.main()
