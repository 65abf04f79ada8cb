# %% [markdown]
# # 4. Optimizers and schedules
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/04_optimizers_and_schedules.ipynb)
#
# **The question.** The gradient says which way is down. It does not say how far to go. How far, then? And why are there
# twenty answers in the libraries, and a learning rate in each of them?
#
# A parabola, where everything can be calculated, shows why one rate cannot suit all directions; momentum and adaptive
# rates are two ways out of that. A race shows that nobody wins everywhere. And noise, which every mini-batch brings,
# explains why the rate must fall in the end.

# %% tags=["install"]
# On Colab this installs jaxnn; where jaxnn is at hand it does nothing.
import importlib.util

if importlib.util.find_spec("jaxnn") is None:
    from IPython import get_ipython

    get_ipython().run_line_magic("pip", "install -q git+https://github.com/jaxnn/jaxnn")

# %%
import dataclasses
import inspect
import textwrap

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import (
    data,
    diagnostics,
    losses,
    models,
    optimizers,
    plots,
    populations,
    preprocessing,
    schedules,
    training,
)
from jaxnn.diagnostics import CONTESTANTS, DEFAULT_CONTESTANTS, SURFACES, Contestant
from jaxnn.optimizers import adam_family, momentum_and_nesterov


def show(function, *, begin, end):
    """Prints a part of the library's own code."""
    source = inspect.getsource(function)
    print(textwrap.dedent(source[source.index(begin) : source.index(end)]).rstrip())


# %% [markdown]
# ## 1. A parabola with two opinions
#
# Near a minimum a smooth loss looks like a parabola, and in the directions of its eigenvectors a parabola falls apart
# into independent ones: $f(\mathbf w) = \tfrac12 \sum_i \lambda_i w_i^2$. Gradient descent with the rate $\eta$ does,
# in each,
#
# $$ w_i \leftarrow w_i - \eta\, \lambda_i w_i = (1 - \eta \lambda_i)\, w_i . $$
#
# It converges if and only if $|1 - \eta \lambda_i| < 1$ for all $i$, that is, for $0 < \eta < 2 / \lambda_{\max}$: the
# *steepest* direction sets the limit, and the *flattest*, which shrinks by $1 - \eta \lambda_{\min}$ only, has to wait.
# The best rate is $2 / (\lambda_{\min} + \lambda_{\max})$, and then both shrink by
#
# $$ \rho = \frac{\kappa - 1}{\kappa + 1}, \qquad \kappa = \frac{\lambda_{\max}}{\lambda_{\min}} $$
#
# a step. Here is one with $\lambda = 1$ and $20$, so that the limit is 0.1, and three rates:

# %%
bowl = SURFACES["steep-shallow"]
print(inspect.getsource(bowl.f))


def plain(rate):
    """Gradient descent with a rate of its own, as a contestant of the library's race."""
    return Contestant(f"rate {rate:.3g}", lambda scale: optimizers.sgd(scale * rate), kind="own")


three = [plain(0.02), plain(2 / 21), plain(0.102)]
paths = diagnostics.run_races([bowl], three, steps=60)[0]
plots.plot_race(bowl, [one.name for one in three], paths)

# %% [markdown]
# ### Exercise 1: the largest rate
#
# Beale's function has its minimum at $(3, \tfrac12)$. What is the largest rate with which gradient descent can arrive
# there? Calculate it from the eigenvalues of the Hessian at the minimum, `jax.hessian(beale.f)`, and try a hundredth
# less and a hundredth more: `stays(rate)` starts a thousandth beside the minimum and tells how far away it is after
# 3000 steps.

# %%
beale = SURFACES["beale"]


def stays(rate):
    step = lambda w, _: (w - rate * jax.grad(beale.f)(w), None)
    w, _ = jax.lax.scan(step, jnp.array([3.001, 0.501]), length=3000)
    return float(jnp.linalg.norm(w - jnp.array([3.0, 0.5])))


# %% tags=["exercise"]
my_rate = 0.01  # your turn
print(f"away from the minimum: {stays(my_rate):.0e}")

# %% tags=["solution"]
# @title Solution to exercise 1
eigenvalues = jnp.linalg.eigvalsh(jax.hessian(beale.f)(jnp.array([3.0, 0.5])))
limit = float(2 / eigenvalues.max())
below, above = stays(0.99 * limit), stays(1.01 * limit)
print(
    f"2 / {eigenvalues.max():.1f} = {limit:.4f}; a bit less: {below:.0e}, a bit more: {above:.0e}"
)

# %% [markdown]
# ## 2. Momentum
#
# A heavy ball remembers its velocity (Polyak 1964). Across the valley, where the gradient changes its sign at every
# step, velocities cancel; along it they add up.
#
# $$ \mathbf v \leftarrow \mu\, \mathbf v + \nabla f(\mathbf w), \qquad
#    \mathbf w \leftarrow \mathbf w - \eta\, \mathbf v . $$
#
# On a parabola the best $\eta = 4 / (\sqrt{\lambda_{\max}} + \sqrt{\lambda_{\min}})^2$ and $\mu = \rho^2$ shrink the
# error by
#
# $$ \rho = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1} $$
#
# a step in the long run: the *root* of the condition number. For $\kappa = 10\,000$ that is a hundred times fewer
# steps.

# %%
show(momentum_and_nesterov.sgd_direction, begin="        def equation", end="        return (state")

# %%
kappa = 20.0
eta, root = 4 / (kappa**0.5 + 1) ** 2, (kappa**0.5 - 1) / (kappa**0.5 + 1)
pair = [
    plain(2 / (kappa + 1)),
    Contestant("momentum", lambda scale: optimizers.sgd(scale * eta, momentum=root**2), kind="own"),
]
away = np.linalg.norm(diagnostics.run_races([bowl], pair, steps=60)[0], axis=-1)
steps = np.arange(61)
promised = {"ρ of plain descent": (kappa - 1) / (kappa + 1), "ρ of momentum": root}

# %% tags=["drawing"]
# @title What the theory promises, and what happens
lines = {"gradient descent": away[0], "momentum": away[1]}
lines |= {name: away[0, 0] * rho**steps for name, rho in promised.items()}
plots.plot_lines(
    steps,
    lines,
    xlabel="step",
    ylabel="distance from the minimum",
    title="Momentum takes the root of the condition number",
    yscale="log",
    ylim=(1e-7, 20),
)

# %% [markdown]
# (Momentum's first steps are slower than its rate: the bound holds up to a factor that grows like the number of steps.)
#
# ## 3. A rate for every direction
#
# The other way out: let each parameter have a rate of its own, a smaller one where gradients have been large. AdaGrad
# (Duchi, Hazan and Singer 2011) divides by the root of the sum of all squares, RMSProp (Hinton 2012) by the root of a
# moving average, and Adam (Kingma and Ba 2015) adds momentum and corrects both averages for having begun at zero:
#
# $$ \begin{aligned}
#    m &\leftarrow \beta_1 m + (1 - \beta_1)\, g, & \hat m &= m / (1 - \beta_1^t), \\
#    v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2, & \hat v &= v / (1 - \beta_2^t),
#    \end{aligned} \qquad w \leftarrow w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon} . $$
#
# In the library it is that equation for one parameter, mapped over all:

# %%
show(adam_family.adam_direction, begin="        def equation", end="        return (state")

# %% [markdown]
# Two things follow at once. The first step has the length $\eta$ in every coordinate, whatever the gradient, for
# $\hat m / \sqrt{\hat v} = g / |g|$. And a loss in other units, $1000 f$, has the same path: $\epsilon$ aside, Adam
# divides the units out. Gradient descent does not:

# %%
louder = dataclasses.replace(bowl, name="1000 f", f=lambda w: 1000 * bowl.f(w))
runners = [CONTESTANTS["sgd"], CONTESTANTS["adam"]]
quiet, loud = diagnostics.run_races([bowl, louder], runners, steps=100)
first_step = quiet[1, 1] - quiet[1, 0]
print(f"Adam's first step: {first_step.round(4)}, with the rate {bowl.step_rate}")
for i, one in enumerate(runners):
    apart = np.abs(quiet[i] - loud[i]).max()
    said = f"paths are {apart:.0e} apart" if np.isfinite(apart) else "diverges on 1000 f"
    print(f"{one.name:<5} {said}")

# %% [markdown]
# ## 4. The race
#
# Eight optimizers, each at its usual rate, on Beale's function and on a saddle. One compiled program runs all of them:

# %%
eight = [CONTESTANTS[name] for name in DEFAULT_CONTESTANTS]
arena = [SURFACES["beale"], SURFACES["saddle"]]
on_beale, on_saddle = diagnostics.run_races(arena, eight, steps=200)
plots.plot_race(SURFACES["beale"], DEFAULT_CONTESTANTS, on_beale)

# %%
plots.plot_race(SURFACES["saddle"], DEFAULT_CONTESTANTS, on_saddle)

# %% [markdown]
# On the saddle the gradient along the way out is tiny at first. Gradient descent multiplies it by $1 + 2\eta$ a step;
# whoever divides by the size of the gradient walks off at once. But look who is first at Beale's minimum, and how that
# changes with the rate: a race is a race of optimizers *with their rates*.

# %%
arrivals = {}
for scale in (0.3, 1.0, 3.0):
    paths = diagnostics.run_races(arena, eight, steps=200, rate_scale=scale)[0]
    arrivals[scale] = [diagnostics.judge(beale, path) for path in paths]
print(f"{'on Beale':<10}" + "".join(f"{f'{scale:g} x rate':>24}" for scale in arrivals))
for i, name in enumerate(DEFAULT_CONTESTANTS):
    print(f"{name:<10}" + "".join(f"{outcomes[i].said:>24}" for outcomes in arrivals.values()))

# %% [markdown]
# ### Exercise 2: an optimizer of your own
#
# An optimizer is a pair of pure functions: `init(params) -> state` and `update(grads, state, params) -> (updates,
# state)`, and the updates are *added* to the parameters. Write momentum so that it walks the same path as the library's
# `sgd(0.027, momentum=0.9)`.


# %%
def same_path(mine, theirs):
    entrants = [
        Contestant(n, lambda _, o=o: o, kind="own") for n, o in (("a", mine), ("b", theirs))
    ]
    ours, others = diagnostics.run_races([bowl], entrants, steps=50)[0]
    return float(np.abs(ours - others).max())


theirs = optimizers.sgd(0.027, momentum=0.9)


# %% tags=["exercise"]
def my_init(params):
    return jnp.zeros_like(params)


def my_update(grads, state, params=None):
    return -0.027 * grads, state  # your turn


mine = optimizers.GradientTransformation(my_init, my_update)
print(f"largest distance of the paths: {same_path(mine, theirs):.1e}")


# %% tags=["solution"]
# @title Solution to exercise 2
def heavy_update(grads, velocity, params=None):
    velocity = 0.9 * velocity + grads
    return -0.027 * velocity, velocity


heavy = optimizers.GradientTransformation(jnp.zeros_like, heavy_update)
distance = same_path(heavy, theirs)
print(f"largest distance of the paths: {distance:.1e}")

# %% [markdown]
# ## 5. Digits
#
# A surface of two variables shows character; a network has a hundred thousand. The same race with the same batches of
# real MNIST (it is packaged with the library), for an MLP with 64 hidden neurons:

# %%
mnist = data.subset(data.load("mnist"), train=10_000)
network, scale = models.MLP(features=(64,)), preprocessing.Standardize(mnist.mean, mnist.std)
some = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
training_losses = diagnostics.race_training(
    network,
    mnist.train,
    [CONTESTANTS[name] for name in some],
    loss=losses.cross_entropy,
    steps=300,
    batch_size=64,
    gradient_rate=0.1,
    step_rate=1e-3,
    preprocess=scale,
)
plots.plot_training_race(some, training_losses, title="MNIST, 784-64-10, 300 batches of 64")

# %% [markdown] How were these rates chosen? By trying. `find_learning_rate` tries sixteen at once, as a population that
# shares start and batches, and takes the largest that still learns about as fast as the best, with a margin. See how
# wide the range of good rates is, about a factor of ten, and how steep the cliff on its right side:

# %%
sweeps = {
    name: populations.find_learning_rate(
        network,
        mnist.train,
        optimizer=optimizer,
        low=1e-4,
        high=10.0,
        points=16,
        steps=60,
        batch_size=64,
        preprocess=scale,
    )
    for name, optimizer in {"sgd": optimizers.sgd, "adam": optimizers.adam}.items()
}
rates = sweeps["sgd"].rates
print({name: f"suggested {sweep.suggestion:.1g}" for name, sweep in sweeps.items()})
plots.plot_lines(
    rates,
    {
        name: np.where(np.isfinite(sweep.losses), sweep.losses, np.nan)
        for name, sweep in sweeps.items()
    },
    xlabel="learning rate",
    ylabel="mean loss of 60 batches, nats",
    title="One range of rates for gradient descent, another for Adam",
    xscale="log",
    ylim=(0, 4),
)

# %% [markdown]
# ## 6. Why the rate has to fall
#
# Mini-batches make the gradient noisy. Take the simplest loss, $f(w) = w^2 / 2$, and a gradient
# $g = w + \sigma \xi$ with $\xi$ of mean 0 and variance 1. Each step makes of the variance $V$ of $w$
#
# $$ V \leftarrow (1 - \eta)^2\, V + \eta^2 \sigma^2 , \qquad\text{which comes to rest at}\qquad
#    V_\infty = \frac{\eta}{2 - \eta}\, \sigma^2 . $$
#
# With a constant rate descent does not arrive; it hovers over the minimum, the higher the larger the rate. Small rates
# hover lower and come late. A rate that *falls* has both, if it falls neither too fast nor too slowly (Robbins and
# Monro 1951):
#
# $$ \sum_t \eta_t = \infty \;\text{(to arrive from anywhere)}, \qquad
#    \sum_t \eta_t^2 < \infty \;\text{(to get rid of the noise)}. $$
#
# $\eta_t = 1 / (t + 2)$ does; it makes $w$ (nearly) the mean of all noise so far, of variance $\sigma^2 / t$. Two
# thousand runs of each, starting at $w = 5$:

# %%
SIGMA, STEPS, RUNS = 1.0, 2000, 2000


def rms_by_step(rate):
    """The root mean square of w over the runs, before every step."""
    optimizer = optimizers.sgd(rate)

    def step(carry, key):
        w, state = carry
        noisy = w + SIGMA * jax.random.normal(key, (RUNS,))
        updates, state = optimizer.update(noisy, state)
        return (optimizers.apply_updates(w, updates), state), jnp.sqrt((w**2).mean())

    start = jnp.full(RUNS, 5.0)
    keys = jax.random.split(jax.random.key(0), STEPS)
    return np.asarray(jax.lax.scan(step, (start, optimizer.init(start)), keys)[1])


rms = {
    "rate 0.5": rms_by_step(0.5),
    "rate 0.05": rms_by_step(0.05),
    "rate 1 / (t + 2)": rms_by_step(schedules.inverse_time(0.5, steps=2)),
}
floor = {rate: SIGMA * (rate / (2 - rate)) ** 0.5 for rate in (0.5, 0.05)}
plots.plot_lines(
    np.arange(1, STEPS + 1),
    {**rms, "σ / √t": SIGMA / np.sqrt(np.arange(1, STEPS + 1))},
    xlabel="step t",
    ylabel="root mean square distance from the minimum",
    title=f"Constant rates hover at {floor[0.5]:.2f} and {floor[0.05]:.2f}, a falling one goes on",
    xscale="log",
    yscale="log",
)

# %% [markdown]
# ### Exercise 3: average the path
#
# There is another way to be rid of the noise: keep the rate, and *average the weights* (Polyak and Juditsky 1992). Run
# one descent with the rate 0.2 for 2000 steps, and average $w$ over the second half. How far is the average from the
# minimum, compared with the last $w$? (`path_of` gives the paths of all runs, (steps, runs).)


# %%
def path_of(rate):
    def step(w, key):
        w = w - rate * (w + SIGMA * jax.random.normal(key, (RUNS,)))
        return w, w

    return jax.lax.scan(step, jnp.full(RUNS, 5.0), jax.random.split(jax.random.key(1), STEPS))[1]


size = lambda w: float(jnp.sqrt((w**2).mean()))

# %% tags=["exercise"]
w = path_of(0.2)
print(f"last: {size(w[-1]):.3f}")  # your turn

# %% tags=["solution"]
# @title Solution to exercise 3
# About sigma / sqrt(1000): a thousand steps count like a thousand observations.
last, averaged = size(w[-1]), size(w[STEPS // 2 :].mean(axis=0))
print(f"last {last:.3f}, averaged {averaged:.3f}")

# %% [markdown]
# ## 7. Schedules
#
# In practice nobody waits for $1/t$: one trains for a fixed number of steps and lets the rate fall to nearly nothing at
# their end. Schedules are functions of the step, and combine:

# %%
T = 1000
cosine = schedules.cosine(1.0, 0.0, steps=T - 100)
plans = {
    "constant": schedules.constant(1.0),
    "step decay": schedules.step_decay(1.0, factor=0.3, steps=250),
    "exponential": schedules.exponential(1.0, factor=0.05, steps=T),
    "warm-up, then cosine": schedules.warmup(cosine, steps=100),
    "warm restarts": schedules.warm_restarts(1.0, steps=143, growth=2),
    "one cycle": schedules.one_cycle(1.0, steps=T),
}
figure = plots.plot_lines(
    np.arange(T),
    {name: jax.vmap(plan)(jnp.arange(T)) for name, plan in plans.items()},
    xlabel="step",
    ylabel="rate / largest rate",
    title="Six plans for the learning rate",
)
figure.axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
figure

# %% [markdown]
# And the digits again: momentum with a rate near the cliff, constant or with warm-up and cosine, the same batches.

# %%
epochs, per_epoch = 4, -(-10_000 // 64)
falling = schedules.warmup(
    schedules.cosine(0.1, 0.0, steps=(epochs - 1) * per_epoch), steps=per_epoch
)
curves = {}
for name, rate in {"constant 0.1": 0.1, "warm-up, then cosine": falling}.items():
    fitted = training.fit(
        network,
        mnist.train,
        validation=mnist.test,
        optimizer=optimizers.sgd(rate, momentum=0.9),
        epochs=epochs,
        batch_size=64,
        preprocess=scale,
    )
    curves[name] = [row["validation/loss"] for row in fitted.history]
    last_row = fitted.history[-1]
    print(
        f"{name:<22} test accuracy {last_row['validation/accuracy']:.2%}, loss {last_row['validation/loss']:.3f}"
    )

# %% [markdown]
# ## What we have seen
#
# The steepest direction limits the rate, the flattest one waits: that is the condition number, and every optimizer is
# an answer to it. Momentum takes its root, adaptive rates give each parameter its own unit. No order of the optimizers
# holds on all surfaces, nor at all rates. And because batches are noisy, the rate must fall in the end, or the weights
# be averaged.
#
# *Sources*: Robbins and Monro 1951, Annals of Mathematical Statistics 22. Polyak 1964, USSR Computational Mathematics
# and Mathematical Physics 4. Polyak and Juditsky 1992, SIAM Journal on Control and Optimization 30. Duchi, Hazan and
# Singer 2011, JMLR 12. Hinton 2012, Coursera lecture 6e. Kingma and Ba 2015, arXiv 1412.6980. Loshchilov and Hutter
# 2017, arXiv 1608.03983. Stanford CS231n, notes "Neural Networks Part 3". The code:
# [`optimizers`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/optimizers),
# [`schedules.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/schedules.py),
# [`trajectories.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/diagnostics/trajectories.py); all optimizers on all
# surfaces: [`optimizer_race.py`](https://github.com/jaxnn/jaxnn/blob/main/experiments/optimizer_race.py).

# %% tags=["claims"]
# The claims of this story.
assert below < 1e-3 < above  # 2 / lambda_max is the limit
rate_of = lambda d: (d[50] / d[20]) ** (1 / 30)
assert abs(rate_of(away[0]) - promised["ρ of plain descent"]) < 0.01
assert rate_of(away[1]) < 0.75 < promised["ρ of plain descent"]
np.testing.assert_allclose(np.abs(first_step), bowl.step_rate, rtol=1e-3)
assert np.abs(quiet[1] - loud[1]).max() < 1e-2  # Adam divides the units out ...
assert not np.abs(quiet[0] - loud[0]).max() < 1e3  # ... gradient descent leaves the frame
out = {
    n: diagnostics.judge(SURFACES["saddle"], p).arrived
    for n, p in zip(DEFAULT_CONTESTANTS, on_saddle, strict=True)
}
assert out["adam"] < out["momentum"] < (out["sgd"] or 999)
winners = [
    int(np.nanargmin([o.arrived or np.nan for o in outcomes])) for outcomes in arrivals.values()
]
assert len(set(winners)) > 1  # who is first depends on the rate
assert distance < 1e-5
final = dict(zip(some, training_losses[:, -50:].mean(axis=1), strict=True))
assert max(final.values()) < 0.6  # all of them learn
assert sweeps["sgd"].suggestion > 5 * sweeps["adam"].suggestion
for rate, height in floor.items():
    assert abs(rms[f"rate {rate}"][-500:].mean() / height - 1) < 0.05
assert abs(rms["rate 1 / (t + 2)"][-1] * STEPS**0.5 / SIGMA - 1) < 0.1
assert averaged < 0.2 * last
assert curves["warm-up, then cosine"][-1] < curves["constant 0.1"][-1]
print("All claims hold.")
