"""How many mistakes does a perceptron make, and how near does it come to Novikoff's bound?

    python experiments/perceptron_convergence.py --out runs

Points of the unit disc are labelled by a line and kept if they are farther than gamma from it; the perceptron goes
through them until an epoch passes without a mistake. Novikoff (1962): at most (R / gamma)^2 mistakes, whatever their
number and order. R and gamma are measured on the points, with the constant coordinate that makes the bias.

Expected: mistakes grow as the margin shrinks and never exceed the bound, which is far above them for points in no
particular order; XOR, which no line separates, goes on for ever: an epoch makes the same mistakes as the one before.
Hardware: any; a CPU takes seconds, and the numbers are the same everywhere.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from benchmarks.measuring import markdown

from jaxnn.basis_functions import linear
from jaxnn.diagnostics import save_figure
from jaxnn.models import mistake_bound, perceptron_epoch, train_perceptron

HEADER = ("margin", "bound, median", "mistakes, median", "mistakes, most", "bound / mistakes, least", "epochs, median")
LINE = np.array([0.2, 0.8, -0.6])  # bias and direction: 0.2 + 0.8 x - 0.6 y = 0 divides the classes
GATE_EPOCHS = 12
XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([-1.0, 1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    margins: tuple[float, ...] = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
    points: int = 100
    draws: int = 50  # data sets a margin
    max_epochs: int = 5000
    out: Path = Path("runs")  # folder of the picture
    smoke: bool = False  # seconds, figures without meaning


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, margins=(0.3, 0.1), points=20, draws=3)
    with jax.enable_x64(True):
        measured = {margin: measure(margin, settings) for margin in settings.margins}
        print(markdown(HEADER, [row(margin, *columns) for margin, columns in measured.items()]))
        print(f"\n{xor()}")
        settings.out.mkdir(parents=True, exist_ok=True)
        figure = draw(measured, settings)
    print(f"picture: {save_figure(figure, settings.out / 'perceptron_convergence.png')}")


def separable(seed: int, margin: float, points: int):
    """Points of the unit disc, farther than the margin from the line, and their labels."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(10 * points, 2))
    distance = LINE[0] + x @ LINE[1:]
    x = x[(np.linalg.norm(x, axis=1) < 1) & (np.abs(distance) > margin)][:points]
    return x, np.sign(LINE[0] + x @ LINE[1:])


def measure(margin: float, settings: Settings):
    """Bounds, mistakes and epochs of all draws, mapped over them."""
    x, t = map(
        np.stack, zip(*(separable(seed, margin, settings.points) for seed in range(settings.draws)), strict=True)
    )

    def one(x, t):
        trained = train_perceptron(linear(x), t, max_epochs=settings.max_epochs)
        return mistake_bound(linear(x), t, separator=jnp.asarray(LINE)), trained

    bounds, trained = jax.jit(jax.vmap(one))(jnp.asarray(x), jnp.asarray(t))
    assert (trained.mistakes <= bounds).all(), "Novikoff's theorem does not hold"
    assert trained.converged.all(), f"{settings.max_epochs} epochs are too few for the margin {margin}"
    return np.asarray(bounds), np.asarray(trained.mistakes), np.asarray(trained.epochs)


def row(margin, bounds, mistakes, epochs) -> tuple[str, ...]:
    least = (bounds / np.maximum(mistakes, 1)).min()
    middle = [f"{np.median(bounds):,.0f}", f"{np.median(mistakes):,.0f}", f"{mistakes.max():,}"]
    return f"{margin:g}", *middle, f"{least:.1f}", f"{np.median(epochs):,.0f}"


def xor() -> str:
    """When XOR's weights come back, and what an epoch then costs."""
    examples, w, seen = tuple(map(jnp.asarray, (linear(jnp.asarray(XOR[0])), XOR[1]))), jnp.zeros(3), []
    while tuple(w.tolist()) not in seen:
        seen.append(tuple(w.tolist()))
        w, mistakes = perceptron_epoch(w, examples)
    again = seen.index(tuple(w.tolist()))
    return (
        f"XOR: after epoch {len(seen)} the weights {w.tolist()} are those after epoch {again}, so it never ends; "
        f"every epoch makes {int(mistakes)} mistakes of 4"
    )


def draw(measured, settings: Settings):
    """The points of one draw and both lines; the mistakes of all draws below their bounds; AND, OR and XOR by epoch."""
    from jaxnn.diagnostics.figure_style import in_light_style, new_figure

    @in_light_style
    def picture():
        figure = new_figure(14.5, 4.9)
        left, middle, right = figure.subplots(1, 3)
        _draw_line(left, settings.margins[len(settings.margins) // 3], settings.points)
        _draw_mistakes(middle, measured)
        _draw_gates(right)
        return figure

    return picture()


def _draw_line(ax, margin, points) -> None:
    from jaxnn.diagnostics.figure_style import BLUE, GREY, VERMILION

    x, t = separable(0, margin, points)
    trained = train_perceptron(linear(jnp.asarray(x)), jnp.asarray(t))
    for label, colour, marker in ((-1, BLUE, "o"), (1, VERMILION, "^")):
        ax.plot(*x[t == label].T, marker, color=colour, markersize=6, label=f"class {label:+d}")
    at = np.array([-1.1, 1.1])
    b, u, v = LINE
    ax.fill_between(at, -(b + u * at - margin) / v, -(b + u * at + margin) / v, color="#EEEEEE", label="margin")
    for weights, look in (
        (LINE, {"color": GREY, "linestyle": "--"}),
        (np.asarray(trained.weights), {"color": "black"}),
    ):
        b, u, v = weights
        ax.plot(
            at, -(b + u * at) / v, **look, label="line that was learnt" if look["color"] == "black" else "true line"
        )
    ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xlabel="x", ylabel="y")
    ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set_title(f"Margin {margin:g}: {int(trained.mistakes)} mistakes, then none")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=10)


def _draw_mistakes(ax, measured) -> None:
    from jaxnn.diagnostics.figure_style import BLUE, GREY

    bounds, mistakes = (np.concatenate([columns[i] for columns in measured.values()]) for i in (0, 1))
    ends = np.array([min(bounds.min(), mistakes.min()), bounds.max()])
    ax.plot(ends, ends, color=GREY, linestyle="--", label="Novikoff's bound (R / γ)²")
    ax.plot(bounds, np.maximum(mistakes, 1), "o", color=BLUE, markersize=4, alpha=0.4, label="one data set")
    ax.set(xscale="log", yscale="log", xlabel="bound (R / γ)²", ylabel="mistakes until there are none")
    ax.set_title("Never more mistakes than the bound")
    ax.grid(True, which="major")
    ax.legend(loc="upper left")


def _draw_gates(ax) -> None:
    from jaxnn.diagnostics.figure_style import BLUE, GREY, VERMILION

    labels = {"XOR": XOR[1], "AND": [-1, -1, -1, 1], "OR": [-1, 1, 1, 1]}
    for (name, t), colour, marker in zip(labels.items(), (VERMILION, BLUE, GREY), ("^", "o", "s"), strict=True):
        examples = linear(jnp.asarray(XOR[0])), jnp.asarray(t, float)
        mistakes = jax.lax.scan(lambda w, _, e=examples: perceptron_epoch(w, e), jnp.zeros(3), length=GATE_EPOCHS)[1]
        ax.plot(range(1, GATE_EPOCHS + 1), mistakes, marker + "-", color=colour, markersize=6, label=name)
    ax.set(xlabel="epoch", ylabel="mistakes of 4", ylim=(-0.2, 5.2), yticks=range(5))
    ax.set_title("XOR: mistakes without end")
    ax.grid(True)
    ax.legend(loc="upper center", ncols=3)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
