"""Is a backward pass derived by hand as fast as the one that JAX derives from the plain forward pass?

    python experiments/benchmarks/hand_written_passes.py --record

Milliseconds of one forward and backward pass of each layer, at the sizes it has in LeNet-5, AlexNet, ResNet-20, an MLP
or a classifier of a thousand classes: by hand (`jaxnn.layers`) and automatic (`jax.vjp` of the plain formula, Flax's
where Flax has it), inside `lax.fori_loop` and as a compiled call of its own. Each turn moves every argument by its
gradient, so that no part of the work can be dropped or moved out of the loop. Expected on CPU: by hand nowhere more
than 1.1 times as slow, and several times faster in a loop for convolutions and overlapping pools.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import tyro
from jax import lax
from layer_pairs import PAIRS, Pair
from measuring import Report, Target, in_turn, publish

STEP = 1e-6
BOUND = 1.1  # by hand / automatic, at most
HEADER = (
    "layer",
    "arguments",
    *(f"{place}: {what}" for place in ("loop", "call") for what in ("ms by hand", "ms automatic", "ratio")),
)


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    rounds: int = 9
    seconds: float = 0.15  # that a measurement is sized to take
    only: str = ""  # layers whose name contains this
    smoke: bool = False  # two rows, figures without meaning
    record: bool = False  # write the section of RESULTS.md


class Measured(NamedTuple):
    """Milliseconds by hand and automatic, and the median of their ratios round by round."""

    by_hand: float
    automatic: float
    ratio: float


def main(settings: Settings) -> None:
    pairs = [pair for pair in PAIRS if settings.only in pair.name]
    if settings.smoke:
        pairs, settings = pairs[:2], dataclasses.replace(settings, rounds=1, seconds=0.01)
    measured = [[measure(pair, driver, settings) for driver in (in_a_loop, as_calls)] for pair in pairs]
    publish(summarize(pairs, measured), script=__file__, doc=__doc__, record=settings.record)


def measure(pair: Pair, driver: Callable, settings: Settings) -> Measured:
    """Both forms in turn, on the same arguments."""
    arguments = pair.arguments(jax.random.key(0))
    forms = {
        f"{pair.name}, {name}, {driver.__name__}": form
        for name, form in (("by hand", pair.by_hand), ("automatic", pair.automatic))
    }
    timers = {name: timer(driver(form), arguments, settings.seconds) for name, form in forms.items()}
    by_hand, automatic = in_turn(timers, rounds=settings.rounds).values()
    ratio = statistics.median(a / b for a, b in zip(by_hand, automatic, strict=True))
    return Measured(statistics.median(by_hand), statistics.median(automatic), ratio)


def timer(drive: Callable, arguments, seconds: float) -> Callable[[int], float]:
    """A contestant: as many steps as take about `seconds`, in milliseconds a step."""

    def milliseconds(steps: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(drive(arguments, steps))
        return 1e3 * (time.perf_counter() - start) / steps

    milliseconds(2)
    steps = max(2, round(1e3 * seconds / milliseconds(5)))
    return lambda _: milliseconds(steps)


def in_a_loop(form: Callable) -> Callable:
    """`drive(arguments, steps)`: one program."""
    return jax.jit(lambda arguments, steps: lax.fori_loop(0, steps, lambda _, moved: step(form, moved), arguments))


def as_calls(form: Callable) -> Callable:
    """`drive(arguments, steps)`: one compiled step, called by the host."""
    compiled = jax.jit(partial(step, form))

    def drive(arguments, steps):
        for _ in range(steps):
            arguments = compiled(arguments)
        return arguments

    return drive


def step(form: Callable, arguments):
    """Every floating argument moves down the gradient of half the sum of squares of the output."""
    floats, rest = split(arguments)
    y, pull = jax.vjp(lambda floats: form(*join(floats, rest)), floats)
    (gradients,) = pull(y)
    return join(jax.tree.map(lambda x, g: x - STEP * g, floats, gradients), jax.tree.map(next_key, rest))


def next_key(x):
    """Another key in every turn, lest what is drawn be drawn once before the loop; labels and indices stay."""
    return jax.random.fold_in(x, 1) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def split(arguments):
    """The arguments with None in place of what has no gradient, and the reverse."""
    is_float = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    return [x if is_float(x) else None for x in arguments], [None if is_float(x) else x for x in arguments]


def join(floats, rest):
    """The inverse of `split`."""
    return [b if a is None else a for a, b in zip(floats, rest, strict=True)]


def summarize(pairs, measured) -> Report:
    """The table, and how the worst ratio stands to the bound."""
    rows = [
        (
            pair.name,
            pair.sizes,
            *(cell for one in places for cell in (f"{one.by_hand:.3f}", f"{one.automatic:.3f}", f"{one.ratio:.2f}")),
        )
        for pair, places in zip(pairs, measured, strict=True)
    ]
    worst = [max(places[i].ratio for places in measured) for i in (0, 1)]
    targets = [
        Target(f"by hand / automatic, the slowest, {place}", BOUND, ratio, at_least=False)
        for place, ratio in zip(("in a loop", "as calls"), worst, strict=True)
    ]
    return Report(HEADER, rows, targets)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
