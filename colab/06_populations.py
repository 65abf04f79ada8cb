# %% [markdown]
# # 6. Populations: many trainings in one program
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/06_populations.ipynb)
#
# **The question.** Which learning rate? How sure is the answer? And can many mediocre networks together do better than
# each of them alone? Every one of these questions asks for not one training but dozens. Must they wait for each other?
#
# A training is a function: of a seed, of hyperparameters, of the examples that it sees. Functions can be *mapped*. We
# map one over learning rates, then over a grid, over the folds of a cross-validation and over the members of an
# ensemble, each time as one compiled program.

# %% tags=["install"]
# On Colab this installs jaxnn; where jaxnn is at hand it does nothing.
import importlib.util

if importlib.util.find_spec("jaxnn") is None:
    from IPython import get_ipython

    get_ipython().run_line_magic("pip", "install -q git+https://github.com/jaxnn/jaxnn")

# %%
import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import (
    data,
    losses,
    models,
    optimizers,
    plots,
    populations,
    preprocessing,
    training,
)

# %% [markdown]
# ## 1. A training is a function
#
# Written out: a training $F$ makes parameters from a seed, hyperparameters $\lambda$ and a data set,
#
# $$ \theta = F(\text{seed}, \lambda, D), \qquad \theta_m = F(\text{seed}_m, \lambda_m, D_m), \quad m = 1, \dots, M . $$
#
# Everything in $F$ is the same for all $m$ but the numbers that go in, so one program can do it for all: each
# matrix product becomes a *batch* of matrix products, which machines like much better than small ones in turn. `jax.vmap`
# makes it so. Softmax regression on 2000 digits, by a hundred steps of gradient descent, as a function of its
# learning rate:

# %%
mnist = data.load("mnist")
images = jnp.asarray(mnist.train["image"][:2000].reshape(2000, -1), jnp.float32) / 255
labels = jnp.asarray(mnist.train["label"][:2000])
traced = []


def loss(w):
    return losses.cross_entropy(images @ w, labels).mean()


def train(rate):
    traced.append("once")  # runs when JAX traces the function, not when it computes
    descend = lambda w, _: (w - rate * jax.grad(loss)(w), None)
    w, _ = jax.lax.scan(descend, jnp.zeros((784, 10)), length=100)
    return loss(w)


rates = np.geomspace(1e-3, 100, 24, dtype=np.float32)
final_losses = np.asarray(jax.jit(jax.vmap(train))(rates))
print(f"{len(rates)} trainings; traced and compiled {len(traced)} time")

# %%
plots.plot_lines(
    rates,
    {"after 100 steps": final_losses},
    xlabel="learning rate",
    ylabel="mean loss per example",
    title=f"{len(rates)} trainings at once; the best rate is {rates[final_losses.argmin()]:.1f}",
    xscale="log",
    yscale="log",
)

# %% [markdown]
# The most important picture of hyperparameter search, by one call: rates that are too small have learned little in a
# hundred steps, rates that are too large jump over the valley, and the best ones lie just below the edge. The axis is
# *logarithmic*, because what matters is the ratio of two rates, not their difference.
#
# ### Exercise 1: two axes
#
# `vmap` can be nested. Add the scale of random initial weights as a second argument, `train(rate, scale)` with
# `w = scale * jax.random.normal(jax.random.key(0), (784, 10))`, and compute the losses of all 24 rates for the scales
# 0, 0.1 and 1: an array (3, 24), by two `vmap`s and one `jit`.

# %% tags=["exercise"]
scales = np.float32([0, 0.1, 1])  # your turn


# %% tags=["solution"]
# @title Solution to exercise 1
def train_from(rate, scale):
    descend = lambda w, _: (w - rate * jax.grad(loss)(w), None)
    w, _ = jax.lax.scan(
        descend, scale * jax.random.normal(jax.random.key(0), (784, 10)), length=100
    )
    return loss(w)


over_both = jax.jit(jax.vmap(jax.vmap(train_from, in_axes=(0, None)), in_axes=(None, 0)))
table = np.asarray(over_both(rates, scales))
print(
    table.shape,
    "best rates:",
    rates[table.argmin(axis=1)].round(3),
    "losses:",
    table.min(axis=1).round(3),
)

# %% [markdown]
# ## 2. A search is a population
#
# The library does this with whole trainings: shuffled batches, any network, any optimizer. A `Member` is a seed,
# hyperparameters and rows of the data; `populations.fit` takes a list of them and gives each to whoever knows its name.
# Floats are *traced*: members that differ in nothing else share one program. A grid is just a product:

# %%
print(inspect.getsource(populations.grid))

# %% [markdown]
# A multi-layer perceptron, 4000 digits, two epochs of SGD with momentum,
#
# $$ v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta v , $$
#
# and 42 settings of the rate $\eta$ and the momentum $\mu$ at once. Before you look: where do you expect the good ones?

# %%
small = {name: array[:4000] for name, array in mnist.train.items()}
test = {name: array[:4000] for name, array in mnist.test.items()}
common = {"preprocess": preprocessing.Standardize(mnist.mean, mnist.std), "batch_size": 50}
network = models.MLP(features=(32,))
trainer = partial(
    populations.fit, network, small, optimizer=optimizers.sgd, validation=test, **common
)

settings = populations.grid(
    learning_rate=(10 ** np.arange(-3.5, 0, 0.5)).round(5).tolist(),
    momentum=[0.0, 0.5, 0.8, 0.9, 0.95, 0.98],
)
result = populations.search(trainer, settings, epochs=2)
plots.plot_heat_map(
    result.settings, result.scores, "learning_rate", "momentum", metric="validation/accuracy"
)

# %% [markdown]
# The good settings lie on a diagonal. If the gradient stayed the same, the velocity would converge to $g / (1 - \mu)$,
# so a step has the effective size
#
# $$ \eta_\text{eff} = \frac{\eta}{1 - \mu} , $$
#
# and along lines of equal $\eta_\text{eff}$ trainings are alike. Draw the same 42 numbers over it:

# %%
effective = np.array([s["learning_rate"] / (1 - s["momentum"]) for s in settings])
momenta = sorted({s["momentum"] for s in settings})
grid_of = lambda values: np.array(values).reshape(-1, len(momenta))
centres = np.geomspace(0.003, 3, 13)
by_momentum = {}
for i, momentum in enumerate(momenta):
    known, scores = np.log(grid_of(effective)[:, i]), grid_of(result.scores)[:, i]
    drawn_at = np.interp(np.log(centres), known, scores, left=np.nan, right=np.nan)
    by_momentum[f"momentum {momentum:g}"] = 100 * drawn_at

plots.plot_lines(
    centres,
    by_momentum,
    xlabel="effective rate, learning rate / (1 - momentum)",
    ylabel="test accuracy (%)",
    title="Rate and momentum are nearly one hyperparameter",
    xscale="log",
    ylim=(0, 100),
)

# %% [markdown]
# And each member is what it would have been alone:

# %%
chosen = result.best()
alone = training.fit(
    network,
    small,
    optimizer=optimizers.sgd(**result.settings[chosen]),
    epochs=2,
    validation=test,
    key=0,
    **common,
)
member = result.population.states[chosen]
pairs = zip(jax.tree.leaves(alone.state.params), jax.tree.leaves(member.params), strict=True)
alone_gap = max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
print(f"the best, {result.settings[chosen]}:")
print(
    f"{100 * alone.history[-1]['validation/accuracy']:.2f} % alone, {100 * result.scores[chosen]:.2f} % among others"
)
print(f"largest difference of a parameter: {alone_gap:.0e}")

# %% [markdown]
# ### Exercise 2: at random
#
# Bergstra and Bengio (2012): where one hyperparameter matters more than another, a grid wastes trainings, for it tries
# only seven values of the one that matters. Draw 42 settings by
# `populations.random_settings(42, seed=0, learning_rate=populations.log_uniform(...), momentum=...)` from the same
# ranges, search among them, and compare the best. How many different effective rates has each of the two tried?

# %% tags=["exercise"]
print(
    populations.random_settings(2, seed=0, learning_rate=populations.log_uniform(1e-3, 1.0))
)  # your turn

# %% tags=["solution"]
# @title Solution to exercise 2
ranges = {
    "learning_rate": populations.log_uniform(3e-4, 0.4),
    "momentum": populations.uniform(0.0, 0.98),
}
drawn = populations.random_settings(42, seed=0, **ranges)
at_random = populations.search(trainer, drawn, epochs=2)
tried = [
    len({round(s["learning_rate"] / (1 - s["momentum"]), 6) for s in some})
    for some in (settings, drawn)
]
print(f"best of the grid {100 * result.scores.max():.2f} %, of {tried[0]} effective rates")
print(f"best at random {100 * np.nanmax(at_random.scores):.2f} %, of {tried[1]}")

# %% [markdown]
# ## 3. Cross-validation: how sure is the answer?
#
# A choice made on the test data is no longer tested by them. *Cross-validation* leaves them alone: it cuts the training
# data into $k$ folds, trains $k$ times on all but one, and measures on the one left out. The mean $\bar a$ of the $k$
# accuracies $a_i$ has the standard error
#
# $$ \mathrm{se} = \sqrt{\frac{1}{k (k - 1)} \sum_{i=1}^k (a_i - \bar a)^2} , $$
#
# and Breiman's rule (1984) says: do not take the best, take the *simplest* whose mean is within one standard error of
# the best. How strongly should weights be pulled towards zero, with only 1000 examples? Seven strengths by five folds
# are 35 trainings, and one population; the strongest pull is the simplest network.

# %%
few = {name: array[:1000] for name, array in mnist.train.items()}
on_few = partial(populations.fit, network, few, optimizer=optimizers.adamw, **common)
decays = populations.grid(learning_rate=[3e-3], weight_decay=[0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
validated = populations.cross_validate(on_few, decays, few["label"], folds=5, epochs=12)
simplest = validated.one_standard_error(lambda setting: -setting["weight_decay"])
plots.plot_cross_validation(
    [{"weight_decay": s["weight_decay"]} for s in decays],
    validated.scores,
    validated.standard_error,
    best=validated.best(),
    chosen=simplest,
    metric="validation/accuracy",
)

# %% [markdown]
# The picture is sobering, and that is its use: a second decimal that is chosen by a single run is chosen by chance.
#
# ## 4. Ensembles: together better than each
#
# Sixteen networks, the same data, other seeds: other initial weights, other orders of the examples. Let each say
# probabilities $p_m(k)$, and average *those*:

# %%
print(inspect.getsource(populations.average_probabilities))

# %%
many = {name: array[:8000] for name, array in mnist.train.items()}
members = populations.members_of([{"learning_rate": 2e-3}], seeds=range(16))
crowd = populations.fit(network, many, members, optimizer=optimizers.adam, epochs=5, **common)
logits = populations.predict_members(crowd, test["image"], preprocess=common["preprocess"])
errors = populations.ensemble_errors(logits, test["label"])
plots.plot_ensemble_errors(*errors)

# %% [markdown]
# Why does it help? For squared errors there is an identity (Krogh and Vedelsby 1995). With targets $t$ and the mean
# $\bar p = \frac{1}{M} \sum_m p_m$,
#
# $$ \underbrace{\lVert \bar p - t \rVert^2}_{\text{the ensemble}}
#    = \underbrace{\frac{1}{M} \sum_m \lVert p_m - t \rVert^2}_{\text{a member, on average}}
#    - \underbrace{\frac{1}{M} \sum_m \lVert p_m - \bar p \rVert^2}_{\text{how much they disagree}} . $$
#
# The ensemble is never worse than its average member, and better by exactly as much as its members disagree. Measured:

# %%
probabilities = np.asarray(
    jax.nn.softmax(jnp.asarray(logits)), np.float64
)  # (members, images, classes)
target = np.eye(10)[test["label"]]
squared = lambda difference: (difference**2).sum(axis=-1).mean()
mean = probabilities.mean(axis=0)
together, on_average, disagreement = (
    squared(mean - target),
    squared(probabilities - target),
    squared(probabilities - mean),
)
print(
    f"ensemble {together:.5f} = {on_average:.5f} - {disagreement:.5f} = {on_average - disagreement:.5f}"
)

# %% [markdown]
# ### Exercise 3: bagging
#
# Networks that have seen different data disagree more. Bagging (Breiman 1996) trains each on a *bootstrap*: as many
# examples as there are, drawn with replacement. What share of the examples does a bootstrap contain, for many
# examples? Train sixteen members with `splits` from `populations.bootstraps(8000, 16)` (a `Member(seed, setting, split)`
# each), and compare: the average member, the disagreement, the ensemble. Is bagging worth it here?

# %% tags=["exercise"]
bags = populations.bootstraps(8000, 16)  # your turn
print(len(bags), "bootstraps, the first begins with rows", bags[0].train[:5])

# %% tags=["solution"]
# @title Solution to exercise 3
# An example is missed with probability (1 - 1/n)^n, which tends to 1/e = 0.368. Members disagree
# more, but each is worse, for it has seen fewer digits; for networks, which differ by their seeds
# alone, that does not pay.
seen = len(np.unique(bags[0].train)) / 8000
bagged_members = [populations.Member(i, {"learning_rate": 2e-3}, bag) for i, bag in enumerate(bags)]
bagged = populations.fit(
    network, many, bagged_members, optimizer=optimizers.adam, epochs=5, **common
)
bagged_logits = populations.predict_members(bagged, test["image"], preprocess=common["preprocess"])
p = np.asarray(jax.nn.softmax(jnp.asarray(bagged_logits)), np.float64)
bagged_disagreement = squared(p - p.mean(axis=0))
print(f"share seen {seen:.3f}; average member {squared(p - target):.5f}")
print(f"disagreement {bagged_disagreement:.5f}; ensemble {squared(p.mean(axis=0) - target):.5f}")

# %% [markdown]
# ## What we have seen
#
# A training is a function, and `vmap` makes one program of a hundred of them: over rates, over a grid, over folds,
# over seeds. Looking at whole populations shows what single runs hide: that rate and momentum are nearly one
# hyperparameter, $\eta / (1 - \mu)$; that the differences between good settings are of the size of their standard
# errors; and that sixteen networks which disagree are together better than each, by exactly their disagreement.
#
# Sources: Bergstra and Bengio 2012, JMLR 13 (random search); Breiman et al. 1984, sec. 3.4.3 (one standard error);
# Hansen and Salamon 1990, Krogh and Vedelsby 1995 (ensembles); Breiman 1996 (bagging); Lakshminarayanan et al. 2017,
# arXiv 1612.01474 (averaging probabilities).

# %% tags=["claims"]
# The claims of this story.
assert len(traced) == 1
assert 0.05 < rates[final_losses.argmin()] < 20
assert final_losses[-1] > 2 * final_losses.min()
assert alone_gap < 1e-4
assert 0.03 < effective[chosen] < 1
assert validated.standard_error.max() > 0.003
assert validated.mean[simplest] >= validated.mean.max() - validated.standard_error[validated.best()]
assert errors.averaged[-1].mean() < 0.9 * errors.single.mean()
assert abs(together - (on_average - disagreement)) < 1e-12
assert abs(seen - (1 - 1 / np.e)) < 0.02
assert bagged_disagreement > disagreement
