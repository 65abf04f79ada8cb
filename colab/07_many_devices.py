# %% [markdown]
# # 7. Many devices: data-parallel and asynchronous SGD
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/07_many_devices.ipynb)
#
# **The question.** Eight machines can compute a gradient in an eighth of the time, if they wait for one another. Must
# they? In 2012 Jeff Dean and his colleagues trained with thousands of processors that never waited, each with weights
# that were out of date before its gradient arrived. What does that cost, and why did they choose AdaGrad for it?
#
# First we divide one step among eight devices and get, to rounding, the same numbers. Then we let the devices loose.

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
import matplotlib.pyplot as plt
import numpy as np

from jaxnn import (
    asynchronous,
    data,
    losses,
    models,
    optimizers,
    parallel,
    plots,
    preprocessing,
    training,
)
from jaxnn.plots.asynchrony_plots import plot_accuracy_over_time, plot_staleness

# %% [markdown]
# We need eight devices. Who has no eight GPUs divides the CPU into eight, before its first use: nothing gets faster by
# that, but every number is what it would be on real ones.

# %%
jax.config.update("jax_num_cpu_devices", 8)
devices = jax.devices()[:8] if len(jax.devices()) >= 8 else jax.devices("cpu")
print(devices)

# %% [markdown]
# ## 1. A gradient is a sum, and sums can be divided
#
# The loss of a batch $B$ is a mean over its examples. Let device $d$ have the part $B_d$. Then
#
# $$ \nabla L_B(w) = \frac{1}{|B|} \sum_{n \in B} \nabla \ell_n(w)
#    = \sum_{d=1}^{D} \; \underbrace{\frac{1}{|B|} \sum_{n \in B_d} \nabla \ell_n(w)}_{\text{on device } d} . $$
#
# The sum over devices is called an *all-reduce*, in JAX `jax.lax.psum`: every device puts a number in, every device
# gets the sum of all. The function of *one* device is written down, and `jax.pmap` runs it on each:

# %%
all_reduce = jax.pmap(lambda x: jax.lax.psum(x, "data"), axis_name="data", devices=devices)
print("in: ", np.arange(8.0))
print("out:", all_reduce(np.arange(8.0)))

# %% [markdown]
# That is all there is to data parallelism. In the library the one training step knows an optional `axis_name`, and sums
# where it must:

# %%
print(inspect.getsource(training.TrainStep.gradient))
print(inspect.getsource(training.TrainStep._summed))

# %%
mnist = data.load("mnist")
train = {"image": mnist.train["image"][:8192], "label": mnist.train["label"][:8192]}
model, sgd = models.MLP(features=(64,)), optimizers.sgd(0.1)
state = training.init_state(model, sgd, train["image"][:1], key=0)
step = training.TrainStep(training.supervised(model, losses.cross_entropy), sgd.update)
divided = training.TrainStep(
    training.supervised(model, losses.cross_entropy), sgd.update, axis_name="data"
)

batch = {name: array[:256] for name, array in train.items()} | {"mask": np.ones(256, bool)}
parts = {name: array.reshape(8, 32, *array.shape[1:]) for name, array in batch.items()}
whole, *_ = jax.jit(step.gradient)(state, batch)
summed, *_ = jax.pmap(
    divided.gradient, axis_name="data", in_axes=(None, 0), out_axes=None, devices=devices
)(state, parts)
gradient_gap = max(
    jax.tree.leaves(jax.tree.map(lambda a, b: float(abs(np.asarray(a) - b).max()), whole, summed))
)
print(
    f"largest difference between the gradient of one device and that of eight: {gradient_gap:.1e}"
)

# %% [markdown]
# ### Exercise 1: the mean of means
#
# Many programs take the mean loss on each device and then the mean over the devices (`jax.lax.pmean`). Suppose that the
# batch is the last of an epoch and has only 200 of 256 examples, the first 200 (the others are masked out, as the
# library does it). What is wrong with the mean of means? Compute `right`, the mean loss of the 200, and
# `mean_of_means`, of the devices' means, from the losses of all examples below. (A device without examples counts
# as 0.) How does `TrainStep.mean_loss` avoid it?

# %% tags=["exercise"]
outputs = model.apply({"params": state.params}, jnp.asarray(batch["image"], jnp.float32) / 255)
example_losses = np.asarray(losses.cross_entropy(outputs, jnp.asarray(batch["label"])))
mask = (np.arange(256) < 200).astype(np.float32)  # your turn

# %% tags=["solution"]
# @title Solution to exercise 1
# Examples on a device with few others weigh more than the rest. Right is to divide the sum of all by
# the count of all: `objective` divides each device's sum by psum(count).
by_device, counted = (
    (example_losses * mask).reshape(8, 32).sum(axis=1),
    mask.reshape(8, 32).sum(axis=1),
)
right = by_device.sum() / counted.sum()
mean_of_means = (by_device / np.maximum(counted, 1)).mean()
print(f"right {right:.4f}, mean of means {mean_of_means:.4f}")

# %% [markdown]
# ## 2. Three ways to say it, one result
#
# A *placement* says where the step of `fit` runs: `pmap` as above, `shard_map` over a mesh of devices (what `pmap` has
# become), or `automatic`, where the step of the whole batch is compiled for rows that lie on different devices, and the
# compiler finds out where to sum. This is all of the second:

# %%
print(inspect.getsource(parallel.ShardMap.run))

# %%
standardize = preprocessing.Standardize(mnist.mean, mnist.std)


def trained(placement):
    return training.fit(
        model,
        train,
        validation=mnist.test,
        optimizer=optimizers.sgd(0.1, momentum=0.9),
        epochs=1,
        batch_size=128,
        preprocess=standardize,
        placement=placement,
    )


alone = trained(parallel.placement("single", devices[:1]))
gaps = {}
for name in ("pmap", "shard_map", "automatic"):
    other = trained(parallel.placement(name, devices))
    pairs = zip(
        jax.tree.leaves(alone.state.params), jax.tree.leaves(other.state.params), strict=True
    )
    gaps[name] = max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
    share = other.history[-1]["validation/accuracy"]
    print(
        f"{name:<10} on 8 devices: test accuracy {100 * share:.2f} %, parameters off by {gaps[name]:.1e}"
    )
print(
    f"one device:               test accuracy {100 * alone.history[-1]['validation/accuracy']:.2f} %"
)

# %% [markdown]
# The same training, whatever the number of devices; only the order of additions differs, and with it the last bits.
#
# ## 3. What it costs to wait
#
# Data parallelism has a price: the gradient, $S$ bytes, must travel. In a ring of $N$ machines every machine sends a
# part to its neighbour, adds, and passes on (Patarasuk and Yuan 2009):
#
# $$ T_\text{all-reduce} = 2\,\frac{N-1}{N}\,\frac{S}{B} + 2\,(N-1)\,\ell , $$
#
# with $B$ bytes a second and a latency of $\ell$. The first term hardly depends on $N$. The computation, if the batch
# stays as large, becomes shorter with every machine: at some $N$ the machines do little but talk. On paper, for a batch
# of 1024, machines of a hundred billion operations a millisecond, and a network of 100 Gbit/s: the 61 706 weights of
# LeNet-5, the 26 million of ResNet-50 (4.1 billion multiply-adds an image), the 138 million of VGG-16 (15.5 billion).

# %%
link, machines = parallel.Link(bandwidth=12.5e9, latency=20e-6), 2 ** np.arange(11)
networks = {"LeNet-5": (61_706, 416_520), "ResNet-50": (25.6e6, 4.1e9), "VGG-16": (138e6, 15.5e9)}
speedup = {}
for name, (parameters, multiply_adds) in networks.items():
    compute = (
        1024 * 6 * multiply_adds / 1e14 / machines
    )  # forward once, backward twice, two operations each
    talk = parallel.all_reduce_seconds(4 * parameters, machines, link)
    speedup[name] = compute[0] / parallel.step_seconds(compute, talk, overlap=2 / 3)
plots.plot_lines(
    machines,
    {"ideal": machines} | speedup,
    xlabel="machines",
    ylabel="speed-up over one machine",
    title="Many weights, little arithmetic: the end comes early",
    xscale="log",
    yscale="log",
    ylim=(0.02, None),
)

# %% [markdown]
# And there is a second price. A round ends when the *slowest* machine is done. Four workers, one of them three times
# slower:

# %%
slow = asynchronous.WorkerTimes(4, slowdown={0: 3.0})
together = asynchronous.round_times(slow, 4)
loose = asynchronous.simulate(slow, pushes=40)

figure, axes = plt.subplots(2, 1, figsize=(10, 4.4), sharex=True, layout="constrained")
for worker in range(4):
    takes = 3.0 if worker == 0 else 1.0
    axes[0].broken_barh(
        [(end - 3.0, takes - 0.06) for end in together.time], (worker - 0.4, 0.8), color="#0072B2"
    )
    ends = loose.time[(loose.kind == 2) & (loose.worker == worker) & (loose.time <= 12)]
    axes[1].broken_barh(
        [(end - takes, takes - 0.06) for end in ends], (worker - 0.4, 0.8), color="#D55E00"
    )
for ax, title in zip(
    axes, ("together: a round is as long as the slowest takes", "loose: nobody waits"), strict=True
):
    ax.set(yticks=range(4), yticklabels=[f"worker {i}" for i in range(4)], xlim=(0, 12))
    ax.set_title(title, loc="left")
axes[1].set_xlabel("simulated time (s); a bar is a gradient")
plt.show()

in_rounds, unbound = (
    4 * int((together.time <= 12).sum()),
    int(((loose.kind == 2) & (loose.time <= 12)).sum()),
)
print(f"gradients in 12 s: {in_rounds} together, {unbound} loose")

# %% [markdown]
# ## 4. Let loose
#
# Downpour SGD (Dean et al. 2012) has a *parameter server* with the weights $w$. Each worker, over and over and without
# looking at the others: fetches $w$; computes a gradient $g$ on a batch of its own part of the data; pushes $g$ to the
# server, which applies it to whatever $w$ has become by then. A gradient is therefore *stale*: with
# $\tau$ updates by others in between,
#
# $$ w_{t+1} = w_t + \operatorname{update}\bigl(\nabla L(w_{t - \tau_t})\bigr) . $$
#
# Devices of one compiled program cannot be asynchronous. But which gradient was computed from which version is just a
# list of events, and a list can be run, exactly and repeatably: a seeded model of computing times makes the list, one
# `jax.lax.scan` runs it. The heart of the library's function:

# %%
source = inspect.getsource(asynchronous.downpour)
print(source[source.index("    def fetch(") :])

# %% [markdown]
# How late are gradients? With $N$ workers that are always busy, each update of a worker is followed by its next one;
# between them come all updates that the others make meanwhile. Count over a long time: every update of the run lies
# between two of *each* other worker's, once. So the staleness summed over all updates is $(N-1)$ times their number:
#
# $$ \mathbb E[\tau] = N - 1 \quad \text{whatever the speeds.} $$
#
# Speeds change how it is *distributed*. Eight workers with random times; one of them five times slower; the same, but
# nobody may be more than two steps ahead of the slowest (stale-synchronous, Ho et al. 2013):

# %%
WORKERS, PUSHES = 8, 1280
even = asynchronous.WorkerTimes(WORKERS, spread=0.3)
straggling = asynchronous.WorkerTimes(WORKERS, spread=0.3, slowdown={0: 5.0})
programs = {
    "random times": asynchronous.simulate(even, pushes=PUSHES),
    "a straggler": asynchronous.simulate(straggling, pushes=PUSHES),
    "bounded, s = 2": asynchronous.simulate(straggling, pushes=PUSHES, bound=2),
}
late = {
    name: asynchronous.staleness_of(asynchronous.log_of(program))
    for name, program in programs.items()
}
plot_staleness(late)

# %% [markdown]
# The straggler's own gradients are the long tail on the right. Under the bound the fast workers wait for it and then
# all read together, so they are not always busy, and the mean is smaller.
#
# ### Exercise 2: fetch less often
#
# Messages cost time, so a worker may fetch only every $m$-th step (`n_fetch=m`), and go on with old weights in between.
# How large is the mean staleness for $m = 1, 2, 4, 8$? Guess a formula, measure with `simulate`, and correct it.

# %% tags=["exercise"]
less_often = asynchronous.simulate(even, pushes=PUSHES, n_fetch=1)  # your turn
print(asynchronous.staleness_of(asynchronous.log_of(less_often)).mean())

# %% tags=["solution"]
# @title Solution to exercise 2
# k steps after a fetch, k = 0, ..., m - 1, others have made (N - 1)(k + 1) updates, and the worker
# itself k: tau = (N - 1)(m + 1) / 2 + (m - 1) / 2 in the mean.
for m in (1, 2, 4, 8):
    less_often = asynchronous.simulate(even, pushes=PUSHES, n_fetch=m)
    measured = asynchronous.staleness_of(asynchronous.log_of(less_often)).mean()
    print(
        f"m = {m}: measured {measured:5.2f}, formula {(WORKERS - 1) * (m + 1) / 2 + (m - 1) / 2:5.2f}"
    )


# %% [markdown]
# First a check: if the workers take turns, nothing is late, and Downpour must be plain SGD, *bit for bit*. And equally
# fast workers may run as waves on real devices, a worker on each:

# %%
on_device = jax.device_put(
    {name: jnp.asarray(array) for name, array in train.items()}, jax.devices()[0]
)
draw = asynchronous.Shards(examples=8192, batch_size=32, workers=WORKERS)


def started(optimizer):
    """A step and its first state."""
    step = training.TrainStep(training.supervised(model, losses.cross_entropy), optimizer.update)
    return step, training.init_state(model, optimizer, train["image"][:1], key=0)


def run(step, state, program, workers=WORKERS, draw=draw):
    go = jax.jit(partial(asynchronous.downpour, step, draw=draw))
    return go(asynchronous.replicate(state, workers), on_device, program)[0].server


def difference(a, b):
    pairs = zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True)
    return max(float(np.abs(np.asarray(x) - np.asarray(y)).max()) for x, y in pairs)


step, start = started(optimizers.sgd(0.1))


@jax.jit
def sequential(state, turns):
    def one(state, turn):
        rows = draw(state.key, turn % WORKERS, turn // WORKERS)
        batch = {name: array[rows] for name, array in on_device.items()} | {
            "mask": jnp.ones(32, bool)
        }
        return step(state, batch)[0], None

    return jax.lax.scan(one, state, turns)[0]


turns_gap = difference(
    run(step, start, asynchronous.in_turns(WORKERS, 200)), sequential(start, jnp.arange(200))
)
simulated = run(step, start, asynchronous.simulate(asynchronous.WorkerTimes(WORKERS), pushes=200))
waves, _ = asynchronous.downpour_waves(
    step, start, train, workers=WORKERS, waves=25, draw=draw, driver="pmap", devices=devices
)
waves_gap = difference(simulated, waves)
print(
    f"in turns and sequential SGD differ by {turns_gap}; simulated and on eight devices by {waves_gap:.1e}"
)

# %% [markdown]
# ## 5. Which optimizer bears it
#
# Why should staleness hurt? Near a minimum with curvature $h$, gradient descent with delay $\tau$ is
# $w_{t+1} = w_t - \eta h\, w_{t-\tau}$. Without delay it converges for $\eta h < 2$. With delay, put in
# $w_t = z^t$: the roots of $z^{\tau+1} - z^\tau + \eta h = 0$ must lie in the unit circle, and they do only for
#
# $$ \eta h < 2 \sin \frac{\pi}{2 (2 \tau + 1)} \approx \frac{\pi}{2 \tau} : $$
#
# the largest possible rate falls like $1/\tau$, and so like $1/N$. Plain SGD, tuned on one machine, must fail on many.
# AdaGrad divides each weight's step by the root of its squared gradients so far,
#
# $$ w_{t+1} = w_t - \eta\, \frac{g_t}{\sqrt{\sum_{s \le t} g_s^2} + \epsilon} , $$
#
# and where the delay makes the weights swing, gradients grow, and the steps shrink until the swinging stops. One
# compiled program for each number of workers, equally many gradients everywhere, the rates mapped by `jax.vmap`:

# %%
RATES = {
    "SGD": (optimizers.adjustable(optimizers.sgd), (0.05, 0.5)),
    "AdaGrad": (optimizers.adjustable(optimizers.adagrad), (0.03,)),
}
NUMBERS = (1, 8, 32)


def accuracies(factory, rates, workers):
    """Test accuracy for each rate after equally many gradients of that many workers."""
    step, state = started(factory(learning_rate=0.1))
    program = asynchronous.simulate(asynchronous.WorkerTimes(workers, spread=0.3), pushes=PUSHES)
    shards = asynchronous.Shards(examples=8192, batch_size=32, workers=workers)

    def one(rate):
        own = optimizers.with_hyperparameters(state.opt_state, learning_rate=rate)
        cluster = asynchronous.replicate(state._replace(opt_state=own), workers)
        return asynchronous.downpour(step, cluster, on_device, program, draw=shards)[
            0
        ].server.params

    params = jax.device_get(jax.jit(jax.vmap(one))(np.float32(rates)))
    members = [jax.tree.map(lambda x, i=i: x[i], params) for i in range(len(rates))]
    return [
        training.evaluate(model, state._replace(params=own), mnist.test)["accuracy"]
        for own in members
    ]


by_number = {f"{name}, rate {rate:g}": [] for name, (_, rates) in RATES.items() for rate in rates}
for workers in NUMBERS:
    for name, (factory, rates) in RATES.items():
        for rate, share in zip(rates, accuracies(factory, rates, workers), strict=True):
            by_number[f"{name}, rate {rate:g}"].append(share)

plots.plot_lines(
    NUMBERS,
    {name: 100 * np.array(shares) for name, shares in by_number.items()},
    xlabel="workers N (mean staleness N - 1)",
    ylabel="test accuracy (%)",
    title=f"After {PUSHES} gradients: AdaGrad bears what SGD does not",
    xscale="log",
    xticks=NUMBERS,
    xticklabels=[str(n) for n in NUMBERS],
    ylim=(0, 100),
)

# %% [markdown]
# SGD at 0.5, the best rate for one worker, is lost among eight; a tenth of it holds out longer and fails in its turn.
# AdaGrad, at the rate that it has alone, learns among all 32, and loses only a few points.
#
# ### Exercise 3: the delay equation
#
# Check the bound of section 5 without any network: iterate $w_{t+1} = w_t - \eta\, w_{t - \tau}$ (so $h = 1$) from
# $w = 1$ for $\tau = 7$, at 0.9 and at 1.1 times the largest rate that the formula allows. Does it converge?

# %% tags=["exercise"]
tau = 7
largest = 2 * np.sin(np.pi / (2 * (2 * tau + 1)))
print(f"largest rate for tau = {tau}: {largest:.4f}, and 2 without delay")  # your turn

# %% tags=["solution"]
# @title Solution to exercise 3
ends = {}
for factor in (0.9, 1.1):
    w = [1.0] * (tau + 1)
    for _ in range(1000):
        w.append(w[-1] - factor * largest * w[-1 - tau])
    ends[factor] = abs(w[-1])
    print(f"{factor} of it: |w| = {ends[factor]:.1e} after 1000 steps")

# %% [markdown]
# ## 6. What it buys
#
# Accuracy per gradient is one thing; what counts is accuracy per *hour*. The same eight workers with one straggler, in
# simulated time: synchronous rounds; rounds that give up on the slowest (a *backup worker*, Chen et al. 2016); and
# Downpour with AdaGrad.

# %%
POINTS = 8


def measure(state):
    return training.evaluate(model, state, mnist.test)["accuracy"]


def with_rounds(backup):
    step, state = started(optimizers.sgd(0.5))
    rounds = asynchronous.round_times(straggling, PUSHES // WORKERS, backup=backup)
    go, shares = jax.jit(partial(asynchronous.synchronous, step, draw=draw)), []
    for accepted in np.split(rounds.accepted, POINTS):
        state, _ = go(state, on_device, accepted)
        shares.append(measure(state))
    return rounds.time.reshape(POINTS, -1)[:, -1], np.array(shares)


def with_server(optimizer):
    step, state = started(optimizer)
    program, cluster = (
        asynchronous.simulate(straggling, pushes=PUSHES),
        asynchronous.replicate(state, WORKERS),
    )
    length = len(program.kind) // POINTS
    go, shares, times = jax.jit(partial(asynchronous.downpour, step, draw=draw)), [], []
    for i in range(POINTS):
        part = asynchronous.Program(*(column[i * length : (i + 1) * length] for column in program))
        cluster, _ = go(cluster, on_device, part)
        shares.append(measure(cluster.server))
        times.append(part.time[-1])
    return np.array(times), np.array(shares)


curves = {
    "synchronous, SGD": with_rounds(backup=0),
    "with one backup worker": with_rounds(backup=1),
    "Downpour, AdaGrad": with_server(optimizers.adagrad(0.03)),
}
plot_accuracy_over_time(curves, target=0.9)

# %%
reached = {name: float(time[(share >= 0.9).argmax()]) for name, (time, share) in curves.items()}
for name, seconds in reached.items():
    print(f"{name:<24} 90 % after {seconds:6.0f} simulated seconds")

# %% [markdown]
# ## What we have seen
#
# One step, divided: every device computes the sum over its rows, an all-reduce adds them up, and the result is the
# gradient of the batch, whatever the number of devices and whoever says it. The price is waiting, for the network and
# for the slowest. Who does not wait computes with weights that are $N - 1$ updates old in the mean. Plain SGD bears
# that only at a rate that falls like $1/N$; AdaGrad, whose steps shrink where weights swing, bears it, and with a
# straggler the loose workers are several times faster at the goal.
#
# To go on: [the scripts](https://github.com/jaxnn/jaxnn/blob/main/experiments/train_data_parallel.py) for several
# devices, processes and Ray, and [the experiment](https://github.com/jaxnn/jaxnn/blob/main/experiments/asynchronous_sgd.py).
#
# Sources: Dean et al. 2012, *Large scale distributed deep networks*; Ho et al. 2013 (stale-synchronous parallel);
# Chen et al. 2016, arXiv 1604.00981 (backup workers); Patarasuk and Yuan 2009 (ring all-reduce); Duchi, Hazan and
# Singer 2011 (AdaGrad).

# %% tags=["claims"]
# The claims of this story.
assert gradient_gap < 1e-6
assert max(gaps.values()) < 1e-6
assert abs(right - mean_of_means) > 0.01
assert unbound > 1.5 * in_rounds
assert all(
    abs(tau.mean() - (WORKERS - 1)) < 0.2 for tau in (late["random times"], late["a straggler"])
)
assert turns_gap == 0
assert waves_gap < 1e-4
assert by_number["SGD, rate 0.5"][0] > 0.88
assert by_number["SGD, rate 0.5"][2] < 0.5 < 0.8 < by_number["AdaGrad, rate 0.03"][2]
assert by_number["SGD, rate 0.05"][2] < by_number["AdaGrad, rate 0.03"][2] - 0.05
assert ends[0.9] < 1e-3 < 1e3 < ends[1.1]
assert reached["Downpour, AdaGrad"] < 0.5 * reached["synchronous, SGD"]
