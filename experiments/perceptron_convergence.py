"""How many mistakes does a perceptron make, and how near does it come to Novikoff's bound?

    python experiments/perceptron_convergence.py

Points of the unit disc are labelled by a line and kept if they are farther than gamma from it; the perceptron goes
through them until an epoch passes without a mistake. Novikoff (1962): at most (R / gamma)^2 mistakes, whatever their
number and order. R and gamma are measured on the points, with the constant coordinate that makes the bias. A seed of
the record is so many data sets for each margin.

Expected: mistakes grow as the margin shrinks and never exceed the bound, which is far above them for points in no
particular order; XOR, which no line separates, goes on for ever: an epoch makes the same mistakes as the one before.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn.basis_functions import linear
from jaxnn.models import mistake_bound, perceptron_epoch, train_perceptron
from jaxnn.plots import plot_lines
from jaxnn.plots.perceptron_plots import plot_mistakes_below_bound, plot_separation

HEADER = ("margin", "bound, median", "mistakes, median", "mistakes, most", "bound / mistakes, least", "epochs, median")
LINE = np.array([0.2, 0.8, -0.6])  # bias and direction: 0.2 + 0.8 x - 0.6 y = 0 divides the classes
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {"XOR": [-1, 1, 1, -1], "AND": [-1, -1, -1, 1], "OR": [-1, 1, 1, 1]}
NOVIKOFF, MINSKY = "Novikoff 1962", "Minsky and Papert 1969, ch. 11"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    margins: tuple[float, ...] = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
    points: int = 100
    draws: int = 50  # data sets a margin
    max_epochs: int = 5000
    gate_epochs: int = 12
    seeds: int = 1  # of so many draws each


def measure(settings: Settings) -> Outcome:
    with jax.enable_x64(True):
        by_seed = [[train(margin, settings, seed) for margin in settings.margins] for seed in range(settings.seeds)]
        gates = {name: gate_mistakes(np.array(t), settings.gate_epochs) for name, t in GATES.items()}
        separation = draw_separation(settings.margins[len(settings.margins) // 3], settings.points)
    bounds, mistakes, epochs = np.moveaxis(np.array(by_seed, float), 2, 0)  # (seeds, margins, draws)
    ratios = (bounds / np.maximum(mistakes, 1)).min(axis=(1, 2))
    wide, *_, narrow = np.median(mistakes, axis=2).T
    widest, *_, least = settings.margins
    separable_gates = gates["AND"][-1] + gates["OR"][-1]
    findings = [
        Finding("least bound over mistakes, of all data sets", ratios, "at least 1", NOVIKOFF, all(ratios >= 1)),
        Finding(f"mistakes at margin {widest:g}, median", wide, f"at most 2 / γ² = {2 / widest**2:.0f}", NOVIKOFF,
                all(wide <= 2 / widest**2)),
        Finding(f"mistakes at margin {least:g}, median", narrow, f"more, at most {2 / least**2:,.0f}", NOVIKOFF,
                all(narrow > wide) and all(narrow <= 2 / least**2)),
        Finding("XOR: mistakes in the last epoch", gates["XOR"][-1:], "1 to 4 in each", MINSKY, min(gates["XOR"]) > 0),
        Finding("AND and OR: mistakes in the last epoch", [separable_gates], "0", NOVIKOFF, separable_gates == 0),
    ]  # fmt: skip
    labels = {"xlabel": "epoch", "ylabel": "mistakes of 4", "title": "XOR: mistakes without end", "ylim": (-0.2, 4.3)}
    gate_lines = plot_lines(range(1, settings.gate_epochs + 1), gates, **labels, yticks=range(5))
    figure = plot_mistakes_below_bound(bounds[0].ravel(), mistakes[0].ravel())
    pictures = {"line": separation, "bound": figure, "gates": gate_lines}
    rows = [row(*columns) for columns in zip(settings.margins, bounds[0], mistakes[0], epochs[0], strict=True)]
    return Outcome(findings, pictures, [markdown(HEADER, rows)])


def separable(seed, margin: float, points: int):
    """Points of the unit disc, farther than the margin from the line, and their labels."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(10 * points, 2))
    distance = LINE[0] + x @ LINE[1:]
    x = x[(np.linalg.norm(x, axis=1) < 1) & (np.abs(distance) > margin)][:points]
    return x, np.sign(LINE[0] + x @ LINE[1:])


def train(margin: float, settings: Settings, seed: int):
    """Bounds, mistakes and epochs of all draws, (3, draws), mapped over them."""
    draws = [separable((seed, draw), margin, settings.points) for draw in range(settings.draws)]

    def one(x, t):
        trained = train_perceptron(linear(x), t, max_epochs=settings.max_epochs)
        return mistake_bound(linear(x), t, separator=jnp.asarray(LINE)), trained

    bounds, trained = jax.jit(jax.vmap(one))(*(jnp.asarray(np.stack(part)) for part in zip(*draws, strict=True)))
    if not trained.converged.all():
        raise ValueError(f"`max_epochs` must suffice for margin {margin}; received {settings.max_epochs}: try more.")
    return np.asarray(bounds), np.asarray(trained.mistakes), np.asarray(trained.epochs)


def gate_mistakes(t, epochs: int) -> np.ndarray:
    """Of each epoch on the four corners."""
    examples = linear(jnp.asarray(CORNERS)), jnp.asarray(t, float)
    return np.asarray(jax.lax.scan(lambda w, _: perceptron_epoch(w, examples), jnp.zeros(3), length=epochs)[1])


def row(margin, bounds, mistakes, epochs) -> tuple[str, ...]:
    least = (bounds / np.maximum(mistakes, 1)).min()
    middle = [f"{np.median(bounds):,.0f}", f"{np.median(mistakes):,.0f}", f"{mistakes.max():,.0f}"]
    return f"{margin:g}", *middle, f"{least:.1f}", f"{np.median(epochs):,.0f}"


def draw_separation(margin: float, points: int):
    x, t = separable((0, 0), margin, points)
    trained = train_perceptron(linear(jnp.asarray(x)), jnp.asarray(t))
    title = f"Margin {margin:g}: {int(trained.mistakes)} mistakes, then none"
    return plot_separation(x, t, trained.weights, separator=LINE, margin=margin, title=title)


SMOKE = {"margins": (0.3, 0.1), "points": 20, "draws": 3, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 5})

if __name__ == "__main__":
    EXPERIMENT.main()
