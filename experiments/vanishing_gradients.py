"""How much of the gradient reaches the first layer of a deep network, and what does that do to learning?

    python experiments/vanishing_gradients.py

Networks of 1 to 32 hidden layers of 64 units see MNIST. Before training: the gradient by what the first hidden layer
puts out over that by what the last one does, as norms. Then each learns by plain SGD for some 300 steps, at four rates,
of which the best counts. Kernels are Xavier's, He's for ReLU. Two remedies: batch normalization, a skip connection.

Expected: the chain rule multiplies the gradient by f'(z) W in every layer. A sigmoid's slope is at most 1/4, Xavier's
kernels keep lengths: of n layers at most 4^-(n-1) is left (Hochreiter 1991), and a deep sigmoid network stays at the
loss of guessing, ln 10 = 2.30. tanh has slope 1 at 0 and loses little, ReLU with He's kernels nothing on average. Batch
normalization gives sums the size at which slopes and kernels make up for each other, a skip adds the identity to
f'(z) W: both make the deep network learn.
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from recording import Experiment, Finding, Outcome

from jaxnn import data, plots, populations
from jaxnn.diagnostics import describe_layers, observe_layers
from jaxnn.initializers import he_normal, xavier_normal
from jaxnn.layers import Add, BatchNorm, Dense, Flatten, LayerModel, ReLU, Sigmoid, Tanh, chain, graph, repeat
from jaxnn.losses import cross_entropy
from jaxnn.optimizers import sgd
from jaxnn.preprocessing import Standardize

SIGMOID, TANH, RELU = "sigmoid", "tanh", "ReLU"
NORMALIZED, SKIPPING = "sigmoid, batch norm", "sigmoid, skip connections"
NAMES = SIGMOID, TANH, RELU, NORMALIZED, SKIPPING
AFTER_SUMS = {TANH: [Tanh()], RELU: [ReLU()], NORMALIZED: [BatchNorm(), Sigmoid()]}  # of the others: a sigmoid
VANISHES = "A sigmoid takes three quarters of the gradient in every layer"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    depths: tuple[int, ...] = (1, 8, 32)  # hidden layers
    units: int = 64
    train_examples: int = 5000
    epochs: int = 4
    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    seeds: int = 2


def measure(settings: Settings) -> Outcome:
    mnist, depths = data.subset(data.load("mnist"), train=settings.train_examples), settings.depths
    task = settings, mnist.train, Standardize(mnist.mean, mnist.std)
    ratios, losses = (
        {name: np.stack([of(network(name, n, settings.units), *task) for n in depths], axis=1) for name in NAMES}
        for of in (gradient_ratios, best_losses)
    )
    return Outcome(findings(ratios, losses, depths), pictures(ratios, losses, depths))


def network(name: str, depth: int, units: int) -> list:
    """The layers: Flatten, the first hidden one, all others as one, the logits."""
    dense = Dense(units, kernel_init=he_normal() if name == RELU else xavier_normal())
    hidden = chain(dense, *AFTER_SUMS.get(name, [Sigmoid()]))
    deeper = graph({"layer": (hidden, "input"), "sum": (Add(), "layer", "input")}) if name == SKIPPING else hidden
    return [Flatten(), hidden, *[repeat(deeper, n) for n in (depth - 1,) if n], Dense(10)]


def gradient_ratios(layers: list, settings: Settings, train, preprocess):
    """(seeds,) |dL/dh_1| / |dL/dh_depth|."""
    x, labels = preprocess(train["image"][:256]), train["label"][:256]

    @jax.jit
    def ratio(key):
        params = chain(*layers).init(key, x)
        flow = observe_layers(layers, params, x, loss=lambda logits: cross_entropy(logits, labels).mean())
        return (size := describe_layers(flow.gradients).rms)[1] / size[-2]

    return np.array([ratio(jax.random.key(seed)) for seed in range(settings.seeds)])


def best_losses(layers: list, settings: Settings, train, preprocess):
    """(seeds,) mean loss over the last epoch, at the learning rate that is best in the mean over the seeds."""
    rates, seeds = populations.grid(learning_rate=settings.learning_rates), range(settings.seeds)
    fit = partial(populations.fit, LayerModel(chain(*layers)), train, populations.members_of(rates, seeds=seeds))
    trained = fit(optimizer=sgd, epochs=settings.epochs, batch_size=64, preprocess=preprocess)
    losses = trained.last("train/loss").reshape(len(rates), len(seeds))
    return losses[np.nan_to_num(losses.mean(axis=1), nan=np.inf).argmin()]


def findings(ratios, losses, depths) -> list[Finding]:
    n, (ratio, loss) = depths[-1], ({name: of[:, -1] for name, of in told.items()} for told in (ratios, losses))
    kept, after = f"gradient of layer 1 / layer {n}", f"loss after training, {n} layers"
    rows = [
        (SIGMOID, f"{kept}, a layer", ratio[SIGMOID] ** (1 / (n - 1)), (0, 0.25), "at most 1/4", "Hochreiter 1991"),
        (TANH, kept, ratio[TANH], (0.03, 1), "0.03 to 1: a power of depth", "Glorot and Bengio 2010, sec. 4"),
        (RELU, kept, ratio[RELU], (0.1, 10), "1 on average; of 64 units 0.1 to 10", "He et al. 2015, sec. 2.2"),
        (NORMALIZED, kept, ratio[NORMALIZED], (0.5, 10), "not below 1/2", "Ioffe and Szegedy 2015, sec. 3.3"),
        (SKIPPING, kept, ratio[SKIPPING], (0.5, 10), "not below 1/2", "He et al. 2016, arXiv 1603.05027, sec. 2"),
        (SIGMOID, after, loss[SIGMOID], (2.29, 2.4), "2.30, of guessing", "Glorot and Bengio 2010, sec. 4"),
        (NORMALIZED, after, loss[NORMALIZED], (0, 1), "below 1: it learns", "Ioffe and Szegedy 2015, sec. 4.1"),
        (SKIPPING, after, loss[SKIPPING], (0, 1), "below 1: it learns", "He et al. 2015, arXiv 1512.03385, sec. 4"),
    ]
    return [Finding(f"{name}: {of}", x, told, source, bool(np.all((low <= x) & (x <= high))))
            for name, of, x, (low, high), told, source in rows]  # fmt: skip


def pictures(ratios, losses, depths):
    shown = ratios | {"1/4 a layer": 4.0 ** (1 - np.array(depths))}
    kept = {"ylabel": "gradient: first hidden layer / last", "yscale": "log", "title": VANISHES}
    axes = {"ylabel": "training loss, nats", "xscale": "log", "xticks": depths, "xticklabels": depths}
    draw = partial(plots.plot_lines, depths, xlabel="hidden layers")
    return {"": draw(shown, **kept), "loss": draw(losses, title="No gradient, no learning", **axes)}


SMOKE = {"depths": (1, 3), "units": 8, "train_examples": 128, "epochs": 1, "learning_rates": (0.1,)}
FULL = {"depths": (1, 2, 4, 8, 16, 32), "seeds": 5}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full=FULL)

if __name__ == "__main__":
    EXPERIMENT.main()
