# %% [markdown]
# # 3. Initialization and activations
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/03_initialization_and_activations.ipynb)
#
# **The question.** Two deep networks differ in a single number, the scale of their random first weights. One learns in
# seconds, the other never. Why, and which number is right?
#
# All equal is wrong, we shall see, and so are too small and too large. Between them lies a scale that one can
# *calculate*, from the width of the layers and the shape of the activation, in four lines.

# %% tags=["install"]
# On Colab this installs jaxnn; where jaxnn is at hand it does nothing.
import importlib.util

if importlib.util.find_spec("jaxnn") is None:
    from IPython import get_ipython

    get_ipython().run_line_magic("pip", "install -q git+https://github.com/jaxnn/jaxnn")

# %%
import inspect

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxnn import activations, data, diagnostics, initializers, layers, losses, optimizers, plots

# %% [markdown]
# ## 1. All equal
#
# Why random at all? Let all weights of a layer start with the same value. Then all its neurons compute the same, get
# the same gradient, and are equal after the step, and after the next: the layer is one neuron wide for ever. Chance has
# to break the symmetry. Three networks with eight hidden neurons learn two rings, by plain gradient descent:

# %%
rings = data.sample_circles(300)
points, labels = jnp.asarray(rings["point"]), jnp.asarray(rings["label"])


def train(network, params, points, labels, *, rate, steps):
    """Gradient descent on the mean cross-entropy: the last parameters and their loss."""
    optimizer = optimizers.sgd(rate)
    loss = lambda params: losses.cross_entropy(network.forward(params, points)[0], labels).mean()

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optimizers.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
    return params, loss(params)


def share_right(network, params):
    return float((network.forward(params, points)[0].argmax(axis=1) == labels).mean())


starts = {
    "all 0.5": initializers.constant(0.5),
    "all 0": initializers.zeros,
    "random": initializers.xavier_normal(),
}
kernels, right = {}, {}
for name, init in starts.items():
    network = layers.chain(
        layers.Dense(8, kernel_init=init), layers.Tanh(), layers.Dense(2, kernel_init=init)
    )
    params = network.init(jax.random.key(0), points)
    params, _ = train(network, params, points, labels, rate=0.5, steps=1000)
    kernels[name], right[name] = np.asarray(params["0"]["kernel"]), share_right(network, params)
    print(
        f"{name:<8} {right[name]:.1%} right; the first two neurons: {kernels[name][:, :2].round(2)}"
    )

# %% [markdown]
# ## 2. A variance goes up a network
#
# One layer: $y_k = \sum_{i=1}^{n} x_i w_{ik}$, the weights independent of each other and of the inputs, with mean 0.
# The mixed terms have expectation zero, so
#
# $$ \operatorname{Var}(y_k) = n \operatorname{Var}(w)\, \mathbb E[x^2] . $$
#
# Each layer multiplies the mean square by $n \operatorname{Var}(w)$, as long as its activation is nearly the identity;
# $L$ layers multiply it by $(n \operatorname{Var}(w))^L$. A factor that differs from one explodes or dies, and that is
# the whole story. With $n = 500$ neurons and weights of standard deviation 0.01 the factor for the *size* of the signal
# is $0.01 \sqrt{500} = 0.22$ a layer. Ten layers leave a few ten-millionths.
#
# So choose $\operatorname{Var}(w) = 1/n$ (LeCun et al. 1998). For the gradient, which comes down through the transposed
# weights, the same calculation wants $1/n_{\text{out}}$. Glorot and Bengio (2010) go between:
#
# $$ \operatorname{Var}(w) = \frac{2}{n_{\text{in}} + n_{\text{out}}} . $$

# %%
print(inspect.getsource(initializers.xavier_normal))
print(inspect.getsource(initializers._variance_scaling))

# %% [markdown] Now let us look. Ten layers of 500 tanh, normal inputs from below, and a normal gradient from above, for
# three scales (the experiment is CS231n's). `observe_layers` runs the hand-written layers forward and backward, and
# keeps everything:

# %%
UNITS = 500


def flow_of(Activation, init, *, depth=10):
    """The outputs of every activation, and the gradients by them, before anything is learned."""
    network = [layers.Dense(UNITS, kernel_init=init), Activation()] * depth
    of_inputs, of_gradient, of_weights = jax.random.split(jax.random.key(0), 3)
    x, dy = (jax.random.normal(key, (300, UNITS)) for key in (of_inputs, of_gradient))
    params = layers.chain(*network).init(of_weights, x)
    flow = diagnostics.observe_layers(network, params, x, loss=lambda y: jnp.sum(dy * y))
    return flow.activations[1::2], flow.gradients[1::2]


tanh_networks = {
    "sd 0.01": (layers.Tanh, initializers.normal(0.01)),
    "sd 1": (layers.Tanh, initializers.normal(1.0)),
    "Xavier": (layers.Tanh, initializers.xavier_normal()),
}
flows = {name: flow_of(*network) for name, network in tanh_networks.items()}
plots.plot_layer_histograms(
    {name: up for name, (up, _) in flows.items()},
    xlabel="activation",
    ranges=dict.fromkeys(flows, (-1.06, 1.06)),
    title="tanh: too small dies, too large saturates",
)

# %%
plots.plot_layer_histograms(
    {name: down for name, (_, down) in flows.items()},
    xlabel="|gradient|",
    scale="log",
    title="The gradient comes down from layer 10 to layer 1",
)

# %% [markdown]
# On the left nothing arrives, neither above nor below. In the middle the neurons sit at $\pm 1$, where $\tanh$ is flat:
# hardly one of them can still learn, and the few that are not flat pass the gradient on through weights so large that
# it *grows* on its way down. With Xavier's weights both signals live.
#
# ## 3. The rectifier takes half
#
# What if the activation is far from the identity? ReLU, $\max(0, y)$, sets half of a distribution around 0 to zero, and
# with it half of the mean square: $\mathbb E[\max(0, y)^2] = \tfrac12 \operatorname{Var}(y)$. So
#
# $$ \mathbb E[x_l^2] = \tfrac12\, n \operatorname{Var}(w)\; \mathbb E[x_{l-1}^2]
#    \qquad\Longrightarrow\qquad \operatorname{Var}(w) = \frac{2}{n} $$
#
# (He et al. 2015). Xavier's weights lose a factor $\sqrt 2$ of the signal in every layer, He's none. Predicted and
# measured, thirty layers high:

# %%
relu_networks = {
    "ReLU, Xavier": (layers.ReLU, initializers.xavier_normal()),
    "ReLU, He": (layers.ReLU, initializers.he_normal()),
}
sizes = {}
for name, network in relu_networks.items():
    up, _ = flow_of(*network, depth=30)
    sizes[name] = np.asarray(diagnostics.describe_layers(up).rms)
layer = np.arange(1, 31)
predicted = {"predicted, Xavier": 0.5 ** (layer / 2), "predicted, He": np.ones(30)}
plots.plot_lines(
    layer,
    {**sizes, **predicted},
    xlabel="layer",
    ylabel="root mean square of the activations",
    title="Two lines of theory, and thirty layers that keep to them",
    yscale="log",
    ylim=(1e-5, 10),
)

# %% [markdown]
# ### Exercise 1: a gain for leaky ReLU
#
# The leaky rectifier is $y$ for $y > 0$ and $a\,y$ below. Which share of the mean square does it keep, and which
# standard deviation must the weights of `fan_in_normal(gain)`, $\text{gain} / \sqrt n$, therefore have? Set `my_gain`
# for $a = 0.5$ so that `last_over_first` is near 1.


# %%
def last_over_first(Activation, gain):
    """How the size of the activations changes from layer 1 to layer 30."""
    up, _ = flow_of(Activation, initializers.fan_in_normal(gain), depth=30)
    rms = diagnostics.describe_layers(up).rms
    return float(rms[-1] / rms[0])


leaky = lambda: layers.LeakyReLU(0.5)

# %% tags=["exercise"]
my_gain = 1.0  # your turn
print(f"last layer / first layer: {last_over_first(leaky, my_gain):.3f}")

# %% tags=["solution"]
# @title Solution to exercise 1
# It keeps (1 + a^2) / 2 of the mean square, so the gain is sqrt(2 / (1 + a^2)) = 1.265.
gain = (2 / (1 + 0.5**2)) ** 0.5
kept = last_over_first(leaky, gain)
print(f"gain {gain:.3f}: last layer / first layer: {kept:.3f}")

# %% [markdown]
# ## 4. The shape of the activation
#
# On its way down the gradient is multiplied by the slope of every activation that it passes. Here are some, with their
# slopes:

# %%
names = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu")
y = jnp.linspace(-4, 4, 401)
functions = {name: getattr(activations, name) for name in names}
slopes = {name: jax.vmap(jax.grad(f))(y) for name, f in functions.items()}
print(inspect.getsource(activations.sigmoid))

# %% tags=["drawing"]
# @title Six activations and their slopes
from jaxnn.plots.line_plots import draw_lines

figure, axes = plt.subplots(2, 3, figsize=(12, 6), sharex=True, sharey=True, layout="constrained")
for ax, (name, f) in zip(axes.flat, functions.items(), strict=True):
    draw_lines(ax, y, {"f(y)": f(y), "slope": slopes[name]})
    ax.set(title=f"{name}: steepest {slopes[name].max():.2f}", ylim=(-1.5, 2.5))
axes[0, 0].legend()
for ax in axes[1]:
    ax.set_xlabel("y")
plt.show()

# %% [markdown] The sigmoid's slope is $\sigma (1 - \sigma) \le 1/4$. Through $L$ layers of it, with weights of Xavier's
# scale, the gradient shrinks by a factor of 4 a layer or more: that is the *vanishing gradient* (Hochreiter 1991;
# Bengio, Simard and Frasconi 1994). Its outputs are not centred at zero either. Each activation with the weights that
# suit it:

# %%
rivals = {
    "sigmoid, Xavier": (layers.Sigmoid, initializers.xavier_normal()),
    "tanh, Xavier": (layers.Tanh, initializers.xavier_normal()),
    "ReLU, He": (layers.ReLU, initializers.he_normal()),
}
gradients = {
    name: np.asarray(diagnostics.describe_layers(flow_of(*network, depth=20)[1]).rms)
    for name, network in rivals.items()
}
layer = np.arange(1, 21)
plots.plot_lines(
    layer,
    {**gradients, "4^-(20 - layer)": 0.25 ** (20 - layer)},
    xlabel="layer (the gradient enters at layer 20)",
    ylabel="root mean square of the gradient",
    title="The sigmoid's gradient vanishes, ReLU's arrives",
    xticks=range(2, 21, 2),
    yscale="log",
)

# %% [markdown]
# ## 5. Does it matter for learning?
#
# So far nothing has learned. Now ten layers of 64 neurons shall learn the arms of a spiral, by 200 steps of plain
# gradient descent, from weights of standard deviation $\text{gain}/\sqrt n$, for nine gains at once: the *same*
# program, mapped over the gain by `jax.vmap`.

# %%
spirals = data.sample_spirals(300)
arms = jnp.asarray(spirals["point"]), jnp.asarray(spirals["label"])
gains = 2.0 ** np.arange(-2, 2.1, 0.5)


def deep_network(Activation):
    plain = initializers.fan_in_normal()
    hidden = [layers.Dense(64, kernel_init=plain), Activation()] * 10
    return layers.chain(*hidden, layers.Dense(3, kernel_init=plain))


def loss_after_training(network, gain):
    params = network.init(jax.random.key(0), arms[0])
    scaled = jax.tree.map(lambda a: a * gain if a.ndim == 2 else a, params)
    return train(network, scaled, *arms, rate=0.1, steps=200)[1]


after = {
    name: np.asarray(
        jax.jit(jax.vmap(lambda gain, network=network: loss_after_training(network, gain)))(gains)
    )
    for name, network in {
        "tanh": deep_network(layers.Tanh),
        "ReLU": deep_network(layers.ReLU),
        "sigmoid": deep_network(layers.Sigmoid),
    }.items()
}

# %% tags=["drawing"]
# @title What 200 steps reach, by the scale of the first weights
figure = plots.plot_lines(
    gains,
    after,
    xlabel="gain: standard deviation of the weights times √n",
    ylabel="mean loss after 200 steps, nats",
    title="Too small never starts; ReLU, too large, diverges (no point)",
    xscale="log",
    yscale="log",
    xticks=[0.25, 0.5, 1, 2**0.5, 2, 4],
    xticklabels=["1/4", "1/2", "1: LeCun", "√2: He", "2", "4"],
)
(ax,) = figure.axes
ax.xaxis.minorticks_off()
ax.axhline(np.log(3), color="#6E6E6E", linewidth=1)
ax.text(0.26, 0.75, "ln 3: chance", color="#6E6E6E")
figure

# %% [markdown] The curves fall where the theory said: $\tanh$ needs a gain of about 1, ReLU about $\sqrt 2$. Below, ten
# layers pass on nothing, and the loss stays where a network that knows nothing is, at $\ln 3$. Above, ReLU has no limit
# to stop the growth; $\tanh$ has one, and bears more. The sigmoid does not learn at any of these scales: Glorot's
# advice was not to use it in deep networks.
#
# ### Exercise 2: weights that normalize themselves
#
# The SELU activation was made so that mean 0 and variance 1 are a *stable* fixed point of a layer whose weights have
# variance $1/n$ (Klambauer et al. 2017): a wrong scale is corrected on the way up. Send inputs of standard deviation 3
# through thirty such layers, $x \leftarrow \operatorname{selu}(x W)$ with `initializers.lecun_normal()`, and print mean
# and standard deviation after layers 1, 10 and 30. What does `activations.relu` do with the same weights?

# %% tags=["exercise"]
x = 3 * jax.random.normal(jax.random.key(1), (500, 300))
W = initializers.lecun_normal()(jax.random.key(2), (300, 300))
x = activations.selu(x @ W)  # your turn
print(f"mean {x.mean():.2f}, standard deviation {x.std():.2f}")


# %% tags=["solution"]
# @title Solution to exercise 2
def after_each_layer(f):
    x, told = 3 * jax.random.normal(jax.random.key(1), (500, 300)), []
    for i in range(30):
        W = initializers.lecun_normal()(jax.random.fold_in(jax.random.key(2), i), (300, 300))
        x = f(x @ W)
        told.append((float(x.mean()), float(x.std())))
    return np.array(told)


selu, relu = after_each_layer(activations.selu), after_each_layer(activations.relu)
for i in (0, 9, 29):
    print(
        f"layer {i + 1:>2}: selu mean {selu[i, 0]:5.2f} sd {selu[i, 1]:4.2f}; relu sd {relu[i, 1]:.5f}"
    )

# %% [markdown]
# ### Exercise 3: measure instead of calculate
#
# Who has no formula for an activation can measure (Mishkin and Matas 2015, LSUV): layer by layer from below, divide the
# weights by the standard deviation of what they put out on a batch. `initializers.lsuv` does it, with orthogonal
# weights. Take ten layers of `activations.silu`, of which we have no gain, and compare the standard deviation of the
# last dense layer's outputs with and without. (A layer is a pair `(apply, params)`, in order.)

# %%
batch = jax.random.normal(jax.random.key(3), (400, 100))


def dense(params, x):
    return x @ params["kernel"]


def silu(params, x):
    return activations.silu(x)


def ten_layers(init):
    keys = jax.random.split(jax.random.key(4), 10)
    kernels = [{"kernel": init(key, (100, 100))} for key in keys]
    return [part for params in kernels for part in ((dense, params), (silu, ()))]


def last_sd(network, x):
    """The standard deviation of what the last dense layer puts out."""
    for apply, params in network[:-1]:
        x = apply(params, x)
    return float(x.std())


# %% tags=["exercise"]
plain = ten_layers(initializers.lecun_normal())
print(f"plain {last_sd(plain, batch):.1e}")  # your turn

# %% tags=["solution"]
# @title Solution to exercise 3
found = initializers.lsuv(plain, batch, key=jax.random.key(5), tolerance=0.02)
measured = [(apply, params) for (apply, _), params in zip(plain, found, strict=True)]
print(f"plain {last_sd(plain, batch):.1e}, LSUV {last_sd(measured, batch):.2f}")

# %% [markdown]
# ## What we have seen
#
# A layer multiplies the mean square of its signal by $n \operatorname{Var}(w)$ times what its activation keeps, and
# depth raises that factor to a power. Chance breaks the symmetry; $1/n$ keeps linear units alive,
# $2/(n_{\text{in}} + n_{\text{out}})$ compromises between up and down, $2/n$ makes up for what ReLU takes. The
# sigmoid's slope of at most 1/4 lets the gradient vanish. None of this is fine tuning: beside the right scale a deep
# network does not learn at all. (Batch normalization and residual connections, later in the course, make deep networks
# far less sensitive to it.)
#
# *Sources*: LeCun, Bottou, Orr and Müller 1998, Efficient BackProp, section 4.6. Glorot and Bengio 2010, AISTATS. He,
# Zhang, Ren and Sun 2015, arXiv 1502.01852. Hochreiter 1991, diploma thesis, TU München. Bengio, Simard and Frasconi
# 1994, IEEE Transactions on Neural Networks 5. Klambauer et al. 2017, arXiv 1706.02515. Mishkin and Matas 2015, arXiv
# 1511.06422. Stanford CS231n, notes "Neural Networks Part 2". The code:
# [`initializers.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/initializers.py),
# [`activations.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/activations.py),
# [`layer_statistics.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/diagnostics/layer_statistics.py); the
# experiment with all its numbers:
# [`initialization.py`](https://github.com/jaxnn/jaxnn/blob/main/experiments/initialization.py).

# %% tags=["claims"]
# The claims of this story.
for equal in ("all 0.5", "all 0"):  # one neuron wide for ever
    np.testing.assert_allclose(
        kernels[equal], kernels[equal][:, :1].repeat(8, axis=1), rtol=0.1, atol=1e-3
    )
    assert right[equal] < 0.75
assert right["random"] > 0.9
rms = {name: diagnostics.describe_layers(up).rms for name, (up, _) in flows.items()}
np.testing.assert_allclose(rms["sd 0.01"][1:] / rms["sd 0.01"][:-1], 0.01 * 500**0.5, rtol=0.05)
assert float((jnp.abs(flows["sd 1"][0][-1]) > 0.99).mean()) > 0.8  # saturated
assert 0.1 < float(rms["Xavier"][-1]) < 0.5  # alive
np.testing.assert_allclose(sizes["ReLU, Xavier"], 0.5 ** (np.arange(1, 31) / 2), rtol=0.6)
assert 0.5 < sizes["ReLU, He"][-1] < 2
assert 0.5 < kept < 2
assert abs(float(slopes["sigmoid"].max()) - 0.25) < 1e-3
assert gradients["sigmoid, Xavier"][0] < 1e-11 < 0.1 < gradients["ReLU, He"][0]
at = dict(zip(gains.round(2).tolist(), range(len(gains)), strict=True))
assert after["tanh"][at[0.25]] > 1.0 > 0.1 > after["tanh"][at[1.0]]
assert after["ReLU"][at[0.71]] > 0.9 > 0.1 > after["ReLU"][at[1.41]]
assert not after["ReLU"][at[4.0]] < 1.0
assert (after["sigmoid"] > 0.6).all()
assert abs(selu[-1, 1] - 1) < 0.15
assert relu[-1, 1] < 1e-3
assert last_sd(plain, batch) < 0.01 < 0.97 < last_sd(measured, batch) < 1.03
print("All claims hold.")
