"""Are steps faster compiled together or called one by one, and does `choose_fusion` know?

    python experiments/benchmarks/engine_fusion.py --record

Milliseconds of a training step (Adam, batch 128, MNIST) by `run_steps`, fused and stepwise in turn: LeNet-5 with
jaxnn's convolution, LeNet-5 with plain `lax` convolutions, whose gradient XLA lays out badly inside a loop on CPU
(jax#12868), and the MLP 784-128-10. Expected on CPU: fused wins with jaxnn's convolution and with the MLP, stepwise
by several times with the plain one, and the choice is right each time.
"""

import dataclasses
import statistics
import time
from dataclasses import dataclass
from functools import partial

import jax
import tyro
from measuring import Report, in_turn, publish

from jaxnn.data import load
from jaxnn.layers import convolve
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP, LeNet5
from jaxnn.optimizers import adam
from jaxnn.preprocessing import as_float
from jaxnn.training import TrainStep, choose_fusion, init_state, supervised
from jaxnn.training.batching import shuffled_order
from jaxnn.training.engine import Resident, compile_steps, run_steps

MODELS = {
    "LeNet-5, jaxnn's convolution": LeNet5(),
    "LeNet-5, `lax` convolution": LeNet5(convolution=partial(convolve, lowering="xla")),
    "MLP 784-128-10": MLP(),
}
FORMS = {"fused": True, "stepwise": False}
HEADER = ("model", "fused, ms", "stepwise, ms", "stepwise / fused", "choice", "choice is right")
TIE = 1.05  # slower by no more than this is as good


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    batch_size: int = 128
    steps: int = 100  # a measurement
    rounds: int = 7
    smoke: bool = False  # seconds, figures without meaning
    record: bool = False  # write the section of RESULTS.md


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, batch_size=8, steps=3, rounds=2)
    rows = [row(name, *measure(name, model, settings)) for name, model in MODELS.items()]
    publish(Report(HEADER, rows), script=__file__, doc=__doc__, record=settings.record)


def measure(name: str, model, settings: Settings) -> tuple[dict[str, list[float]], bool]:
    """Milliseconds of a step in each form and round, and what `choose_fusion` says."""
    examples = settings.steps * settings.batch_size
    train = {field: jax.device_put(array[:examples]) for field, array in load("mnist").train.items()}
    optimizer = adam(1e-3)
    step = TrainStep(supervised(model, cross_entropy), optimizer.update)
    state = init_state(model, optimizer, as_float(train["image"][:1]), key=0)
    order = shuffled_order(len(train["label"]), settings.batch_size, state.key, 0)
    contestants = {f"{name}, {form}": timer(step, state, train, order, fused) for form, fused in FORMS.items()}
    measured = in_turn(contestants, rounds=settings.rounds)
    return dict(zip(FORMS, measured.values(), strict=True)), choose_fusion(step, state, Resident(train, {}), order)


def timer(step, state, data, order, fused: bool):
    """A contestant: all steps of the order, from a copy of the state, which the engine consumes."""
    data = Resident(data, {})
    compile_steps(step, state, data, order, fused=fused)

    def milliseconds(_: int) -> float:
        copied = jax.block_until_ready(jax.tree.map(jax.numpy.copy, state))
        start = time.perf_counter()
        jax.block_until_ready(run_steps(step, copied, data, order, first=0, last=len(order), fused=fused))
        return 1e3 * (time.perf_counter() - start) / len(order)

    milliseconds(0)
    return milliseconds


def row(name: str, measured: dict[str, list[float]], chosen: bool) -> tuple[str, ...]:
    fused, stepwise = (statistics.median(measured[form]) for form in FORMS)
    pairs = zip(measured["stepwise"], measured["fused"], strict=True)
    ratio = statistics.median(slow / fast for slow, fast in pairs)
    right = "yes" if (1 / ratio if chosen else ratio) <= TIE else "no"
    return name, f"{fused:.3f}", f"{stepwise:.3f}", f"{ratio:.2f}", "fused" if chosen else "stepwise", right


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
