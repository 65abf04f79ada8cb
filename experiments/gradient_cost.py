"""What does a gradient cost: by backpropagation, and by differences?

    python experiments/gradient_cost.py --out runs

Central differences evaluate the error function twice for each of the W weights, and an evaluation takes O(W): O(W^2)
in all. Backpropagation takes about two more evaluations' worth, O(W) (Bishop 2006, sec. 5.3.3). Measured on MLPs of
growing depth, whose layers are all alike so that each costs the same, in float32; both gradients as one compiled
program; the fastest of some calls.

Expected: straight lines on logarithmic axes, of slopes near 1 and 2, a little less where a call's fixed costs show; at
20 000 weights differences take some ten thousand times as long.
Hardware: any; meant for a CPU, where it takes some minutes.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from benchmarks.measuring import hardware, markdown

from jaxnn.diagnostics import save_figure
from jaxnn.losses import cross_entropy

UNITS = 32  # of every layer, inputs and classes: 1024 weights a layer
HEADER = ("weights W", "backpropagation, ms", "differences, ms", "ratio", "largest error of differences")
PATIENCE, FEWEST = 1.0, 3  # a call that takes more seconds is repeated so often only


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    layers: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 19, 32, 64, 128)
    most_by_differences: int = 20_000  # weights
    batch_size: int = 512
    repeats: int = 15
    out: Path = Path("runs")  # folder of the picture
    smoke: bool = False  # seconds, figures without meaning


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, layers=(1, 2, 3), most_by_differences=2048, batch_size=4, repeats=2)
    measured = [measure(layers, settings) for layers in settings.layers]
    slopes = {name: slope([row[0] for row in measured], [row[i] for row in measured]) for i, name in COLUMNS.items()}
    print(markdown(HEADER, map(cells, measured)))
    print(f"\nslopes of the upper half: {', '.join(f'{name} {value:.2f}' for name, value in slopes.items())}")
    print(f"hardware: {hardware()}")
    settings.out.mkdir(parents=True, exist_ok=True)
    print(f"picture: {save_figure(draw(measured, slopes), settings.out / 'gradient_cost.png')}")


COLUMNS = {1: "backpropagation", 2: "differences"}


def measure(layers: int, settings: Settings) -> tuple[int, float, float, float]:
    """Weights, milliseconds by backpropagation, by differences, and their largest disagreement; NaN where too long."""
    rng = np.random.default_rng(0)
    w = jnp.asarray(rng.normal(size=layers * UNITS**2) / UNITS**0.5, jnp.float32)
    batch = jnp.asarray(rng.normal(size=(settings.batch_size, UNITS)), jnp.float32)
    loss = error_function(batch, jnp.asarray(rng.integers(UNITS, size=settings.batch_size)))
    backpropagated, ms = timed(jax.jit(jax.grad(loss)), w, settings.repeats)
    if w.size > settings.most_by_differences:
        return w.size, ms, np.nan, np.nan
    by_differences, slow_ms = timed(jax.jit(lambda w: differences(loss, w)), w, settings.repeats)
    error = jnp.abs(by_differences - backpropagated).max() / jnp.abs(backpropagated).max()
    return w.size, ms, slow_ms, float(error)


def error_function(x, labels):
    """`E(w)` of a chain of layers tanh(h W), whose weights are one vector; the last one's outputs are the logits."""
    units = x.shape[1]

    def loss(w):
        kernels = w.reshape(-1, units, units)
        logits, _ = jax.lax.scan(lambda h, kernel: (jnp.tanh(h @ kernel), ()), x, kernels)
        return cross_entropy(logits, labels).mean()

    return loss


def differences(loss, w, h=1e-2):
    """`(E(w + h e_k) - E(w - h e_k)) / 2h` for every k, one after the other in one program; h suits float32."""
    return jax.lax.map(lambda k: (loss(w.at[k].add(h)) - loss(w.at[k].add(-h))) / (2 * h), jnp.arange(w.size))


def timed(function, w, repeats: int):
    """The result, and the milliseconds of the fastest call: whatever else runs makes the others slower."""
    result = jax.block_until_ready(function(w))
    seconds = []
    while len(seconds) < (repeats if not seconds or seconds[0] < PATIENCE else FEWEST):
        start = time.perf_counter()
        jax.block_until_ready(function(w))
        seconds.append(time.perf_counter() - start)
    return result, 1e3 * min(seconds)


def slope(weights, milliseconds) -> float:
    """Of the line through the upper half of what was measured, on logarithmic axes."""
    known = [(np.log(w), np.log(ms)) for w, ms in zip(weights, milliseconds, strict=True) if np.isfinite(ms)]
    upper = np.array(known[-max(2, (len(known) + 1) // 2) :])
    return float(np.polyfit(upper[:, 0], upper[:, 1], 1)[0])


def cells(row) -> tuple[str, ...]:
    weights, fast, slow, error = row
    if np.isnan(slow):
        return f"{weights:,}", f"{fast:.3f}", "-", "-", "-"
    return f"{weights:,}", f"{fast:.3f}", f"{slow:,.1f}", f"{slow / fast:,.0f}", f"{error:.0e}"


def draw(measured, slopes):
    """Both costs over W on logarithmic axes, with lines of slope 1 and 2 for the eye."""
    from jaxnn.diagnostics.figure_style import BLUE, GREY, VERMILION, in_light_style, new_figure

    @in_light_style
    def picture():
        figure = new_figure(7, 5)
        ax = figure.subplots()
        W = np.array([row[0] for row in measured], float)
        for column, colour, power in ((2, VERMILION, 2), (1, BLUE, 1)):
            ms = np.array([row[column] for row in measured])
            known = np.isfinite(ms)
            guide = np.exp(np.mean(np.log(ms[known] / W[known] ** power)[known.sum() // 2 :])) * W[known] ** power
            ax.plot(W[known], guide, color=GREY, linestyle=":", linewidth=1.5)
            name = COLUMNS[column]
            ax.plot(W, ms, "o-", color=colour, markersize=6, label=f"{name}: slope {slopes[name]:.2f}")
        ax.plot([], [], color=GREY, linestyle=":", linewidth=1.5, label="slopes 2 and 1")
        ax.set(xscale="log", yscale="log", xlabel="weights W", ylabel="milliseconds of one gradient")
        ax.set_title("Differences cost O(W²), backpropagation O(W)")
        ax.grid(True, which="major")
        ax.legend(loc="lower right")
        return figure

    return picture()


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
