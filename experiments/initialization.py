"""What do the initial weights make of a deep network's signals, on the way up and on the way down?

    python experiments/initialization.py

CS231n's histograms (Training Neural Networks I; notes, Neural Networks 2): normal inputs go up through ten layers of
500 units, and a normal gradient comes down, for tanh with weights of standard deviation 0.01, of 1 and by Xavier
(Glorot and Bengio 2010), and for ReLU with Xavier's weights and with He's (He et al. 2015). Nothing is trained.

Expected: weights of standard deviation s multiply a small signal by s sqrt(500), both ways: 0.22 a layer for 0.01, so
that a millionth is left after ten. With 1 more than nine tanh of ten are flat. Xavier's keep signal and gradient alive;
a ReLU loses half of the mean square, a factor 2 a layer that He's weights put back. In one point the figures say more
than the lecture: through flat units the gradient does not die, it explodes. The few that are not flat pass it on
through large weights: E[tanh'^2] = 0.024 times 500 is 12, and the gradient grows by its root, 3.5, a layer (the chaotic
phase of Schoenholz et al. 2017, arXiv 1611.01232).
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn.diagnostics import describe_layers, observe_layers
from jaxnn.diagnostics.layer_statistics import LIMITS
from jaxnn.initializers import he_normal, normal, xavier_normal
from jaxnn.layers import Dense, ReLU, Tanh, chain
from jaxnn.plots import plot_layer_histograms

SMALL, LARGE, XAVIER = "tanh, sd 0.01", "tanh, sd 1", "tanh, Xavier"
RELU_XAVIER, RELU_HE = "ReLU, Xavier", "ReLU, He"
NETWORKS = {
    SMALL: (Tanh, normal(0.01)),
    LARGE: (Tanh, normal(1.0)),
    XAVIER: (Tanh, xavier_normal()),
    RELU_XAVIER: (ReLU, xavier_normal()),
    RELU_HE: (ReLU, he_normal()),
}
HEADER = ("network", "sd, layer 1", "sd, last layer", "flat units, last layer, %", "gradient, layer 1 / last layer")
CS231N, GLOROT, HE = "CS231n, Neural Networks 2", "Glorot and Bengio 2010, sec. 4.2.1", "He et al. 2015, sec. 2.2"
UP = "Activations: only Xavier's weights with tanh, and He's with ReLU, keep them alive"
DOWN = "Gradients by the activations, given at the last layer: they vanish, explode, or come down alive"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    layers: int = 10
    units: int = 500
    inputs: int = 500  # in the batch
    seeds: int = 3


def measure(settings: Settings) -> Outcome:
    runs = {name: [observe(name, settings, seed) for seed in range(settings.seeds)] for name in NETWORKS}
    flows = {name: of[0][0] for name, of in runs.items()}
    told = {name: jax.tree.map(lambda *of: np.stack(of), *(run[1] for run in of)) for name, of in runs.items()}
    return Outcome(findings(told, settings), pictures(flows), [markdown(HEADER, map(row, told, told.values()))])


@partial(jax.jit, static_argnums=(0, 1))
def observe(name: str, settings: Settings, seed):
    """What comes out of the activations and the gradients by it, layer by layer; and the statistics of both."""
    Activation, kernel_init = NETWORKS[name]
    layers = [Dense(settings.units, kernel_init=kernel_init), Activation()] * settings.layers
    of_inputs, of_gradient, of_weights = jax.random.split(jax.random.key(seed), 3)
    x, dy = (jax.random.normal(key, (settings.inputs, settings.units)) for key in (of_inputs, of_gradient))
    params = chain(*layers).init(of_weights, x)
    flow = observe_layers(layers, params, x, loss=lambda y: (dy * y).sum())
    activations, gradients = flow.activations[1::2], flow.gradients[1::2]
    limits = LIMITS["tanh" if Activation is Tanh else "relu"]
    return (activations, gradients), (describe_layers(activations, limits=limits), describe_layers(gradients))


def findings(told, settings: Settings) -> list[Finding]:
    n, factor = settings.layers, 0.01 * settings.units**0.5
    small, large, half = (a ** (n - 1) for a in (factor, 3.48 * (settings.units / 500) ** 0.25, 0.5**0.5))
    up = {name: above.rms[:, -1] / above.rms[:, 0] for name, (above, _) in told.items()}
    down = {name: below.rms[:, 0] / below.rms[:, -1] for name, (_, below) in told.items()}
    flat, sd = 100 * told[LARGE][0].saturated[:, -1], told[XAVIER][0].std[:, -1]
    near = lambda ratio, expected, within: bool(np.all(np.abs(np.log(ratio / expected)) < np.log(within)))
    signal, gradient = f"activations, layer {n} / layer 1", f"gradient, layer 1 / layer {n}"
    rows = [
        (SMALL, signal, up[SMALL], small, 1.2, f"{small:.1e}: {factor:.2f} a layer", CS231N),
        (SMALL, gradient, down[SMALL], small, 1.2, f"{small:.1e}", CS231N),
        (LARGE, "flat units of the last layer, %", flat, 92, 1.02, "92: sums of sd 22, flat beyond 2.3", CS231N),
        (LARGE, gradient, down[LARGE], large, 1.5, f"{large:.1e}: 3.5 a layer", "Schoenholz et al. 2017, sec. 4"),
        (XAVIER, "sd of the last layer", sd, 0.23, 1.1, "0.23, from 0.63 in the first", CS231N),
        (XAVIER, gradient, down[XAVIER], 0.4, 1.5, "0.4: not far below 1", GLOROT),
        (RELU_XAVIER, signal, up[RELU_XAVIER], half, 2, f"{half:.2g}: 1/√2 a layer; to a factor 2", HE),
        (RELU_HE, signal, up[RELU_HE], 1, 2, "1, to a factor 2", HE),
        (RELU_HE, gradient, down[RELU_HE], 1, 2, "1, to a factor 2", HE),
    ]
    return [Finding(f"{name}: {of}", x, told, source, near(x, y, by)) for name, of, x, y, by, told, source in rows]


def pictures(flows):
    """Histograms of both by layer."""
    ranges = {name: (-1.06, 1.06) if Activation is Tanh else (-0.4, 4.0) for name, (Activation, _) in NETWORKS.items()}
    activations, gradients = ({name: flow[part] for name, flow in flows.items()} for part in (0, 1))
    return {
        "activations": plot_layer_histograms(activations, xlabel="activation", ranges=ranges, title=UP),
        "gradients": plot_layer_histograms(gradients, xlabel="|gradient|", scale="log", title=DOWN),
    }


def row(name, told):
    up, down = told  # (seeds, layers)
    cells = up.std[:, 0], up.std[:, -1], 100 * up.saturated[:, -1], down.rms[:, 0] / down.rms[:, -1]
    return name, *(f"{cell.mean():.2g}" for cell in cells)


SMOKE = {"layers": 3, "units": 20, "inputs": 50, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 5})

if __name__ == "__main__":
    EXPERIMENT.main()
