"""What does a gradient cost: by backpropagation, and by differences?

    python experiments/gradient_cost.py

Central differences evaluate the error function twice for each of the W weights, and an evaluation takes O(W): O(W^2)
in all. Backpropagation takes about two more evaluations' worth, O(W) (Bishop 2006, sec. 5.3.3). Measured on MLPs of
growing depth, whose layers cost the same, in float32; each gradient is one compiled program, its fastest call counts.

Expected: straight lines on logarithmic axes, of slopes near 1 and 2, a little less where a call's fixed costs show; at
20 000 weights differences take some ten thousand times as long.
"""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn.losses import cross_entropy
from jaxnn.plots import plot_lines

UNITS = 32  # of every layer, inputs and classes: 1024 weights a layer
HEADER = ("weights W", "backpropagation, ms", "differences, ms", "ratio", "largest error of differences")
BISHOP, EQUATION = "Bishop 2006, sec. 5.3.3", "Bishop 2006, eq. 5.69"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    layers: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 19, 32, 64, 128)
    most_by_differences: int = 8192  # weights
    batch_size: int = 512
    repeats: int = 60  # of backpropagation


def measure(settings: Settings) -> Outcome:
    rows = np.array([costs(layers, settings) for layers in settings.layers])
    weights, fast, slow, error = rows.T
    once, twice = slope(weights, fast), slope(weights, slow)
    W, ratio = max((w, ratio) for w, ratio in zip(weights, slow / fast, strict=True) if np.isfinite(ratio))
    findings = (
        Finding("backpropagation's cost grows as W to the power", [once], "1, to 0.25", BISHOP, abs(once - 1) < 0.25),
        Finding("differences' cost grows as W to the power", [twice], "2, to 0.25", BISHOP, abs(twice - 2) < 0.25),
        Finding(f"their ratio at W = {W:,.0f}", [ratio], "W / 3 to 2 W", BISHOP, W / 3 < ratio < 2 * W),
        Finding("error of differences, of the largest derivative", [np.nanmax(error)], "below 1 %", EQUATION,
                np.nanmax(error) < 0.01),
    )  # fmt: skip
    return Outcome(findings, {"": draw(weights, fast, slow)}, [markdown(HEADER, map(cells, rows))])


def costs(layers: int, settings: Settings) -> tuple[int, float, float, float]:
    """Weights, milliseconds by backpropagation, by differences, and their largest disagreement; NaN where too long."""
    rng = np.random.default_rng(0)
    w = jnp.asarray(rng.normal(size=layers * UNITS**2) / UNITS**0.5, jnp.float32)
    batch = jnp.asarray(rng.normal(size=(settings.batch_size, UNITS)), jnp.float32)
    loss = error_function(batch, jnp.asarray(rng.integers(UNITS, size=settings.batch_size)))
    backpropagated, ms = timed(jax.jit(jax.grad(loss)), w, settings.repeats)
    if w.size > settings.most_by_differences:
        return w.size, ms, np.nan, np.nan
    by_differences, slow_ms = timed(jax.jit(lambda w: differences(loss, w)), w, repeats=2)
    error = jnp.abs(by_differences - backpropagated).max() / jnp.abs(backpropagated).max()
    return w.size, ms, slow_ms, float(error)


def error_function(x, labels):
    """`E(w)` of a chain of layers tanh(h W), whose weights are one vector; the last one's outputs are the logits."""

    def loss(w):
        kernels = w.reshape(-1, x.shape[1], x.shape[1])
        logits, _ = jax.lax.scan(lambda h, kernel: (jnp.tanh(h @ kernel), ()), x, kernels)
        return cross_entropy(logits, labels).mean()

    return loss


def differences(loss, w, h=1e-2):
    """`(E(w + h e_k) - E(w - h e_k)) / 2h` for every k, one after the other in one program; h suits float32."""
    return jax.lax.map(lambda k: (loss(w.at[k].add(h)) - loss(w.at[k].add(-h))) / (2 * h), jnp.arange(w.size))


def timed(function, argument, repeats: int, clock=time.perf_counter):
    """The result, and the milliseconds of the fastest call: whatever else runs makes the others slower."""
    result, milliseconds = jax.block_until_ready(function(argument)), []  # the first call compiles
    for _ in range(repeats):
        start = clock()
        jax.block_until_ready(function(argument))
        milliseconds.append(1e3 * (clock() - start))
    return result, min(milliseconds)


def slope(weights, milliseconds) -> float:
    """Of the line through the upper half of what was measured, on logarithmic axes."""
    known = np.isfinite(milliseconds)
    x, y = np.log(weights[known]), np.log(milliseconds[known])
    upper = max(2, (known.sum() + 1) // 2)
    return float(np.polyfit(x[-upper:], y[-upper:], 1)[0])


def cells(row) -> tuple[str, ...]:
    weights, fast, slow, error = row
    told = f"{weights:,.0f}", f"{fast:.3f}", f"{slow:,.1f}", f"{slow / fast:,.0f}", f"{error:.0e}"
    return tuple(cell.replace("nan", "-") for cell in told)


def draw(weights, fast, slow):
    lines = {"backpropagation": fast, "differences": slow}
    lines = {f"{name}: slope {slope(weights, ms):.2f}": ms for name, ms in lines.items()}
    axes = {"xlabel": "weights W", "ylabel": "milliseconds of one gradient", "xscale": "log", "yscale": "log"}
    return plot_lines(weights, lines, title="Differences cost O(W²), backpropagation O(W)", **axes)


SMOKE = {"layers": (1, 2, 3), "most_by_differences": 2048, "batch_size": 4, "repeats": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"most_by_differences": 20_000})

if __name__ == "__main__":
    EXPERIMENT.main()
