"""Which boundaries can a perceptron, logistic regression and a multi-layer perceptron draw?

    python experiments/decision_boundaries.py

Four problems in the plane: two clouds that a line separates, XOR, two moons, two spirals. The perceptron follows
Rosenblatt's rule for 200 epochs, logistic regression is fitted by Newton's method with a little weight decay (Bishop
2006, sec. 4.3.3), the MLP has two hidden layers of 32 units (Rumelhart et al. 1986) and learns by Adam. Each seed draws
its own points to learn from, and others for the test, from whose points the figures are.

Expected: the first two are linear, and so right on all only where a line is. On XOR's four clouds of one size no line
has more than 75 % right (Minsky and Papert 1969), on the moons the best one has 88, on the spirals 70. The MLP bends
its boundary around all of them. The perceptron never settles where no line separates the classes, and stands where its
last mistake has thrown it; logistic regression says how sure it is.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn import data, training
from jaxnn.basis_functions import linear
from jaxnn.models import MLP, fit_glm, predict_glm, train_perceptron
from jaxnn.optimizers import adam
from jaxnn.plots import Regions, plot_decision_boundaries

PROBLEMS = {
    "blobs": data.sample_blobs,
    "XOR": data.sample_xor,
    "moons": data.sample_moons,
    "spirals": partial(data.sample_spirals, arms=2, turns=1.0),
}
PERCEPTRON, LOGISTIC, NETWORK = "perceptron", "logistic regression", "MLP, 2-32-32-2"
TITLE = "Only hidden layers bend a boundary; in the titles the share of the test points that is right"
TRIED = "tests/data/test_point_clouds.py, which tries all lines"
MINSKY, RUMELHART = "Minsky and Papert 1969", "Rumelhart et al. 1986"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    points: int = 400  # to learn from, and as many for the test
    epochs: int = 150  # of the MLP
    hidden: int = 32
    seeds: int = 2


def learn_perceptron(split, settings: Settings, seed: int):
    """Points -> labels."""
    features, signs = linear(jnp.asarray(split["point"])), jnp.asarray(2 * split["label"] - 1)
    w = train_perceptron(features, signs, max_epochs=200).weights
    return lambda x: (linear(jnp.asarray(x)) @ w > 0).astype(jnp.int32)


def learn_logistic(split, settings: Settings, seed: int):
    """Points -> probabilities of both classes."""
    features, targets = linear(jnp.asarray(split["point"])), jnp.asarray(split["label"], jnp.float32)
    w = fit_glm(features, targets, ridge=1e-2).weights
    second = lambda x: predict_glm(w, linear(jnp.asarray(x)))
    return lambda x: jnp.stack([1 - second(x), second(x)], axis=1)


def learn_mlp(split, settings: Settings, seed: int):
    """Points -> probabilities of both classes."""
    model, fields = MLP(features=(settings.hidden,) * 2, classes=2), ("point", "label")
    learn = partial(training.fit, model, split, fields=fields, optimizer=adam(1e-2), batch_size=50)
    state = learn(epochs=settings.epochs, key=seed).state
    return lambda x: jax.nn.softmax(model.apply({"params": state.params}, jnp.asarray(x)))


CLASSIFIERS = {PERCEPTRON: learn_perceptron, LOGISTIC: learn_logistic, NETWORK: learn_mlp}


def measure(settings: Settings) -> Outcome:
    shares, panels = {}, {name: {} for name in CLASSIFIERS}
    for (name, learn), (problem, sample) in ((c, p) for c in CLASSIFIERS.items() for p in PROBLEMS.items()):
        for seed in range(settings.seeds):
            train, test = (sample(settings.points, seed=2 * seed + part) for part in (0, 1))
            predict = learn(train, settings, seed)
            shares.setdefault((name, problem), []).append(right(predict, test))
            panels[name].setdefault(problem, Regions(predict, test["point"], test["label"]))
    shares = {which: np.array(values) for which, values in shares.items()}
    rows = [(name, *(f"{shares[name, problem].mean():.1f}" for problem in PROBLEMS)) for name in CLASSIFIERS]
    picture = plot_decision_boundaries(panels, classes=("class 0", "class 1"), title=TITLE)
    return Outcome(findings(shares), {"": picture}, [markdown(("right of the test points, %", *PROBLEMS), rows)])


def right(predict, split) -> float:
    """Percent of the points."""
    said = np.asarray(predict(split["point"]))
    return 100 * float(np.mean((said if said.ndim == 1 else said.argmax(axis=1)) == split["label"]))


def findings(shares) -> list[Finding]:
    rows = [
        (PERCEPTRON, "blobs", (100, 100), "100: a line separates them", "Rosenblatt 1962"),
        (PERCEPTRON, "XOR", (0, 75), "at most 75", MINSKY),
        (LOGISTIC, "XOR", (0, 75), "at most 75", MINSKY),
        (NETWORK, "XOR", (100, 100), "100", RUMELHART),
        (LOGISTIC, "moons", (80, 95), "80 to 95; the best line 88", TRIED),
        (NETWORK, "moons", (98, 100), "98 to 100", RUMELHART),
        (LOGISTIC, "spirals", (40, 75), "40 to 75; the best line 70", TRIED),
        (NETWORK, "spirals", (97, 100), "97 to 100", "Lang and Witbrock 1988"),
    ]
    holds = lambda right, low, high: bool(np.all((low <= right) & (right <= high)))
    return [Finding(f"{name}, {of}: right, %", shares[name, of], told, source, holds(shares[name, of], *ends))
            for name, of, ends, told, source in rows]  # fmt: skip


SMOKE = {"points": 60, "epochs": 1, "hidden": 4, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 5})

if __name__ == "__main__":
    EXPERIMENT.main()
