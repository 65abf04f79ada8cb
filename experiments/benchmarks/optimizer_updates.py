"""Is the compiled update of every optimizer as fast as Optax's, with no more state?

    python experiments/benchmarks/optimizer_updates.py --record

Milliseconds of `update` and `apply_updates`, compiled together, parameters and state donated, on ResNet-50's parameter
tree (161 leaves, 25.6 million numbers) and on an MLP's (784-512-512-10): each optimizer of `jaxnn.optimizers` beside
its counterpart in Optax from `jaxnn.verification`, taken in turn in one process, so that only the ratio counts; and the
bytes of both states. Expected anywhere: a ratio Optax / jaxnn of 1 or more, and equal or smaller states. Those without
a counterpart (rprop, dialects) are left out.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import optax
import tyro
from measuring import Report, Target, in_turn, publish

from jaxnn.optimizers import apply_updates
from jaxnn.verification.optimizer_references import OPTIMIZERS

STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # ResNet-50: blocks and width of each stage
HEADER = ("tree", "optimizer", "jaxnn, ms", "Optax, ms", "Optax / jaxnn", "state, MiB", "Optax's, MiB")


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    rounds: int = 7
    seconds: float = 0.3  # that a measurement is sized to take
    only: str = ""  # optimizers whose name contains this
    smoke: bool = False  # two optimizers on a small tree, figures without meaning
    record: bool = False  # write the section of RESULTS.md


def main(settings: Settings) -> None:
    rows = [row for row in OPTIMIZERS if row.against.startswith("optax.") and settings.only in row.name]
    trees = {"ResNet-50": resnet50(), "MLP": mlp(784, 512, 512, 10)}
    if settings.smoke:
        settings, rows = dataclasses.replace(settings, rounds=1, seconds=0.01), rows[:2]
        trees = {"MLP": mlp(8, 4, 2)}
    measured = [(tree, row.name, *measure(row, params, settings)) for tree, params in trees.items() for row in rows]
    publish(summarize(measured), script=__file__, doc=__doc__, record=settings.record)


def resnet50() -> dict:
    """The shapes of He et al. 2015: convolutions without bias, scale and bias of their batch norms, the last layer."""
    tree, inputs = {"stem": convolution(7, 3, 64)}, 64
    for stage, (blocks, width) in enumerate(STAGES):
        for block in range(blocks):
            parts = {"1": (1, inputs, width), "2": (3, width, width), "3": (1, width, 4 * width)}
            parts |= {"shortcut": (1, inputs, 4 * width)} if block == 0 else {}
            tree[f"stage{stage}_block{block}"] = {name: convolution(*sizes) for name, sizes in parts.items()}
            inputs = 4 * width
    return tree | {"logits": dense(inputs, 1000)}


def convolution(window: int, features_in: int, features_out: int) -> dict:
    """A convolution's kernel and its batch norm."""
    kernel = jnp.full((window, window, features_in, features_out), 0.01)
    return {"kernel": kernel, "scale": jnp.ones(features_out), "bias": jnp.zeros(features_out)}


def dense(features_in: int, features_out: int) -> dict:
    """A dense layer."""
    return {"kernel": jnp.full((features_in, features_out), 0.01), "bias": jnp.zeros(features_out)}


def mlp(*sizes: int) -> dict:
    """Dense layers from each size to the next."""
    return {f"dense{i}": dense(a, b) for i, (a, b) in enumerate(pairwise(sizes))}


def measure(row, params, settings: Settings) -> tuple[float, float, float, float, float]:
    """Milliseconds of ours and theirs, the median of the ratios round by round, and the states' MiB."""
    references = {"jaxnn": (row.ours(), apply_updates), "Optax": (row.theirs(), optax.apply_updates)}
    timers = {
        f"{row.name}, {name}": timer(*reference, params, settings.seconds) for name, reference in references.items()
    }
    ours, theirs = in_turn(timers, rounds=settings.rounds).values()
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    sizes = [mebibytes(jax.eval_shape(optimizer.init, params)) for optimizer, _ in references.values()]
    return statistics.median(ours), statistics.median(theirs), ratio, *sizes


def timer(optimizer, apply: Callable, params, seconds: float) -> Callable[[int], float]:
    """A contestant: as many updates as take about `seconds`, in milliseconds an update."""

    def step(grads, carry):
        params, state = carry
        updates, state = optimizer.update(grads, state, params)
        return apply(params, updates), state

    compiled, grads = jax.jit(step, donate_argnums=1), jax.tree.map(lambda p: 1e-3 * (p + 1), params)
    carry = jax.tree.map(jnp.copy, (params, optimizer.init(params)))

    def milliseconds(steps: int) -> float:
        nonlocal carry
        start = time.perf_counter()
        for _ in range(steps):
            carry = compiled(grads, carry)
        jax.block_until_ready(carry)
        return 1e3 * (time.perf_counter() - start) / steps

    milliseconds(2)
    steps = max(2, round(1e3 * seconds / milliseconds(2)))
    return lambda _: milliseconds(steps)


def mebibytes(tree) -> float:
    """The size of all arrays in a tree of shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)) / 2**20


def summarize(measured) -> Report:
    """The table, and how the ratios stand to the bound."""
    rows = [(*m[:2], *(f"{value:.2f}" for value in m[2:])) for m in measured]
    ratios = {tree: [m[4] for m in measured if m[0] == tree] for tree in dict.fromkeys(m[0] for m in measured)}
    targets = [Target(f"Optax / jaxnn, median, {tree}", 1.0, statistics.median(r)) for tree, r in ratios.items()]
    more = sum(m[5] > m[6] + 1e-3 for m in measured)
    targets.append(Target("optimizers with a larger state than Optax's", 0, more, at_least=False))
    return Report(HEADER, rows, targets)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
