"""What does a placement cost where there is nothing to divide: one device?

    python experiments/benchmarks/placement_overhead.py --record

Epochs of steps as `fit` runs them (real MNIST, Adam, the shuffled order drawn and put in its place, one compiled call,
metrics fetched) on one device, by each placement in turn: 784-128-10 at batch 64, where a step is so short that all
that surrounds it shows, and LeNet-5 at batch 128. The step is the same; a placement adds a mesh around it and says
where arrays lie. Ratios are of the clock's time, and of the processor's, which a busy machine disturbs less. Expected:
none of them costs more than 3 % of `single`.
"""

import dataclasses
import statistics
import time
from dataclasses import dataclass

import jax
import numpy as np
import tyro
from measuring import Report, Target, in_turn, median_ratio, publish

from jaxnn.data import load
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP, LeNet5
from jaxnn.optimizers import adam
from jaxnn.parallel import placement
from jaxnn.training import TrainStep, init_state, supervised
from jaxnn.training.compilation import call
from jaxnn.training.engine import Resident, run_steps

WORKLOADS = {"MLP 784-128-10, batch 64": (MLP(), 64, 4), "LeNet-5, batch 128": (LeNet5(), 128, 1)}  # epochs a round
PLACEMENTS = ("single", "shard_map", "pmap", "automatic")
HEADER = ("model", "placement", "epoch, ms", "range over rounds", "over `single`", "processor's time over `single`")
BOUND = 1.03


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    examples: int = 60_000
    rounds: int = 15
    smoke: bool = False  # seconds, figures without meaning
    record: bool = False  # write the section of RESULTS.md


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, examples=256, rounds=2)
    rows, targets = [], []
    for model in WORKLOADS:
        clock, processor = measure(model, settings)
        rows += [row(model, name, clock, processor) for name in PLACEMENTS]
        ratio = median_ratio(clock, "shard_map", "single")
        targets.append(Target(f"`shard_map` over `single`, {model}", BOUND, ratio, at_least=False))
    publish(Report(HEADER, rows, targets), script=__file__, doc=__doc__, record=settings.record)


def measure(model: str, settings: Settings) -> tuple[dict[str, list[float]], ...]:
    """Placement -> milliseconds of an epoch in each round: by the clock, and of the processor."""
    train = {field: array[: settings.examples] for field, array in load("mnist").train.items()}
    measured = in_turn({name: timer(*WORKLOADS[model], name, train) for name in PLACEMENTS}, rounds=settings.rounds)
    return tuple({name: [pair[i] for pair in pairs] for name, pairs in measured.items()} for i in (0, 1))


def timer(model, batch_size: int, epochs: int, name: str, train):
    """A contestant, which trains on from round to round."""
    place, optimizer = placement(name, jax.devices()[:1]), adam(1e-3)
    step, shuffle = (
        TrainStep(supervised(model, cross_entropy), optimizer.update),
        place.epoch_order(len(train["label"]), batch_size),
    )
    state, data = place.put((init_state(model, optimizer, train["image"][:1], key=0), train))

    def run() -> None:
        nonlocal state
        order = place.put(call(shuffle, state.key, np.int32(0)))
        state, totals = run_steps(
            step, state, Resident(data, {}), order, first=0, last=len(order), fused=True, placement=place
        )
        jax.device_get(totals)

    def milliseconds(_: int) -> tuple[float, float]:
        start = time.perf_counter(), time.process_time()
        for _ in range(epochs):
            run()
        end = time.perf_counter(), time.process_time()
        return tuple(1e3 * (last - first) / epochs for first, last in zip(start, end, strict=True))

    run()
    return milliseconds


def row(model: str, name: str, clock, processor) -> tuple[str, ...]:
    ms = clock[name]
    ratios = (f"{median_ratio(times, name, 'single'):.3f}" for times in (clock, processor))
    return model, name, f"{statistics.median(ms):.1f}", f"{min(ms):.1f} to {max(ms):.1f}", *ratios


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
