# %% [markdown]
# # 2. Backpropagation by hand, and how to know that it is right
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/02_backpropagation_by_hand.ipynb)
#
# **The question.** A network with a million weights needs a million derivatives for every step that it learns. How can
# all of them together cost no more than a few evaluations of the network? And when you have written them down
# yourself, how do you find out that one of them is wrong?
#
# We go from one neuron with five numbers to layers, from layers to a chain that learns without any automatic
# differentiation, and then we turn detective: gradient checking, its best step, its limits, and four planted bugs.

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

from jaxnn import data, diagnostics, layers, losses, optimizers, plots
from jaxnn.diagnostics.multiply_adds import count_multiply_adds
from jaxnn.layers import dense_layer, softmax_head

# %% [markdown]
# ## 1. One neuron, five numbers
#
# Take the neuron of the CS231n notes, two inputs, two weights and a bias:
#
# $$ f(\mathbf w, \mathbf x) = \sigma(w_0 x_0 + w_1 x_1 + w_2), \qquad \sigma(a) = \frac{1}{1 + e^{-a}},
#    \qquad \sigma'(a) = \sigma(a)\,(1 - \sigma(a)) . $$
#
# *Forward*, we compute and keep what we pass. *Backward*, every step multiplies what comes from above by its own slope:
# that is the chain rule, and all of backpropagation.

# %%
w, x = (2.0, -3.0, -3.0), (-1.0, -2.0)

a = w[0] * x[0] + w[1] * x[1] + w[2]  # forward
f = 1 / (1 + np.exp(-a))

df = 1.0  # backward: df/df
da = f * (1 - f) * df  # through the sigmoid
dw = (x[0] * da, x[1] * da, da)  # through a product: the other factor; through a sum: as it is
dx = (w[0] * da, w[1] * da)

print(f"f = {f:.2f}   dw = {np.round(dw, 2)}   dx = {np.round(dx, 2)}")

# %%
neuron = lambda w, x: jax.nn.sigmoid(w[0] * x[0] + w[1] * x[1] + w[2])
dw_by_jax, dx_by_jax = jax.grad(neuron, argnums=(0, 1))(w, x)
print("jax.grad:  dw =", np.round(dw_by_jax, 2), "  dx =", np.round(dx_by_jax, 2))

# %% [markdown]
# ### Exercise 1: four gates
#
# Do the same for $g(x, y, z) = \max(x, y) \cdot z + y$ at $x = 1$, $y = 2$, $z = -3$: the five lines forward and
# backward. What does a maximum do with the gradient that comes from above, and what happens where $y$ is used twice?

# %% tags=["exercise"]
x_, y_, z_ = 1.0, 2.0, -3.0
my_gradient = (0.0, 0.0, 0.0)  # your turn: (dx, dy, dz)

# %% tags=["solution"]
# @title Solution to exercise 1
# The maximum hands the gradient to the larger input, the other gets 0. A value that is used twice
# gets the sum: from the product z, from the sum 1.
largest = max(x_, y_)  # forward
dlargest, dz = z_, largest  # backward through the product
dy_from_maximum, dx_from_maximum = (dlargest, 0.0) if y_ > x_ else (0.0, dlargest)
gates = (dx_from_maximum, dy_from_maximum + 1.0, dz)
print(gates)

# %% [markdown]
# ## 2. A layer is a pair of functions
#
# A dense layer computes $\mathbf Y = \mathbf X \mathbf W + \mathbf b$ for a batch, one example a row. Let
# $\mathrm d\mathbf Y$ stand for $\partial L / \partial \mathbf Y$. Index by index,
# $Y_{nk} = \sum_i X_{ni} W_{ik} + b_k$, so
#
# $$ \frac{\partial L}{\partial W_{ik}} = \sum_n X_{ni}\, \mathrm dY_{nk}, \qquad
#    \frac{\partial L}{\partial b_k} = \sum_n \mathrm dY_{nk}, \qquad
#    \frac{\partial L}{\partial X_{ni}} = \sum_k \mathrm dY_{nk} W_{ik}, $$
#
# and as matrices: $\mathrm d\mathbf W = \mathbf X^\top \mathrm d\mathbf Y$,
# $\;\mathrm d\mathbf X = \mathrm d\mathbf Y\, \mathbf W^\top$. (If you forget which way round: only one product has the
# shape of $\mathbf W$.) The library has the two directions side by side. What `forward` gives along for `backward` are
# the *residuals*:

# %%
print(inspect.getsource(dense_layer.forward))
print(inspect.getsource(dense_layer.backward))

# %% [markdown]
# An activation is simpler still, for it acts on every number alone. The derivative of $\tanh$ is
# $1 - \tanh^2$, a function of the *output*, so nothing has to be kept but that:

# %%
print(inspect.getsource(layers.Tanh))
print(inspect.getsource(layers.Elementwise).split('"""')[2].strip("\n"))

# %% [markdown]
# At the top stands the loss. For logits $z_k$, $p = \operatorname{softmax}(z)$ and the class $t$,
#
# $$ L = -\ln p_t = -z_t + \ln \sum_j e^{z_j}
#    \qquad\Longrightarrow\qquad
#    \frac{\partial L}{\partial z_k} = p_k - [k = t] . $$
#
# Probability given minus probability due: hardly any formula of the course is worth more.
#
# ## 3. The chain rule is a loop
#
# A network is a chain $h_i = f_i(h_{i-1})$. Forward, collect the residuals; backward, go through them in reverse:

# %%
network = [layers.Dense(32), layers.Tanh(), layers.Dense(32), layers.Tanh(), layers.Dense(3)]


def forward(network, params, h):
    residuals = []
    for layer, own in zip(network, params, strict=True):
        h, kept = layer.forward(own, h)
        residuals.append(kept)
    return h, residuals


def backward(network, residuals, dh):
    dparams = []
    for layer, kept in zip(reversed(network), reversed(residuals), strict=True):
        own, dh = layer.backward(kept, dh)
        dparams.append(own)
    return dparams[::-1], dh


def gradient_by_hand(params, points, labels, *, network=network):
    logits, residuals = forward(network, params, points)
    _, kept = softmax_head.forward(labels, logits)
    share = jnp.full(len(labels), 1 / len(labels), logits.dtype)  # of each example in the mean
    _, dlogits = softmax_head.backward(kept, share)
    return backward(network, residuals, dlogits)[0]


# %% [markdown]
# `layers.chain(*network)` is this loop, for graphs as well. Now let it learn the three arms of a spiral, twice from the
# same start: once by `gradient_by_hand`, once by `jax.grad` of the mean loss. In double precision, so that we can see
# how equal they are.


# %%
def mean_loss(params, points, labels):
    return losses.cross_entropy(forward(network, params, points)[0], labels).mean()


def train(gradient, params, points, labels, *, steps=300):
    optimizer = optimizers.adam(1e-2)

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(gradient(params, points, labels), state, params)
        return (optimizers.apply_updates(params, updates), state), mean_loss(params, points, labels)

    (params, _), losses_ = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
    return params, losses_


def as_list(params):
    return [params[str(i)] for i in range(len(params))]


with jax.enable_x64(True):
    spirals = data.sample_spirals(300)
    points, labels = jnp.asarray(spirals["point"], float), jnp.asarray(spirals["label"])
    start = as_list(layers.chain(*network).init(jax.random.key(0), points))
    run = jax.jit(train, static_argnums=0)
    params, by_hand = run(gradient_by_hand, start, points, labels)
    other, by_jax = run(jax.grad(mean_loss), start, points, labels)
    right = float((forward(network, params, points)[0].argmax(axis=1) == labels).mean())
    apart = max(
        float(jnp.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(other), strict=True)
    )
print(f"{right:.1%} of the points right; largest difference of any weight {apart:.0e}")

# %% tags=["drawing"]
# @title Two trainings, one path
with jax.enable_x64(True):
    gap = np.maximum(np.abs(np.asarray(by_hand - by_jax)), 1e-17)
figure, (left, right_) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
left.plot(by_hand, color="#0072B2", linewidth=4, alpha=0.5, label="by hand")
left.plot(by_jax, color="#D55E00", linestyle="--", label="jax.grad")
left.set(xlabel="step", ylabel="mean loss, nats", yscale="log", title="the loss")
left.legend()
right_.plot(gap, color="black", linewidth=1)
right_.set(xlabel="step", ylabel="difference of the losses, nats", yscale="log", ylim=(1e-17, 1))
right_.set_title("the same to the last digits")
plt.show()

# %% [markdown]
# ## 4. Trust, but check: differences
#
# `jax.grad` could vouch for us here. In general nobody does, and then there is one judge who knows nothing but the
# function itself (Bishop 2006, sec. 5.3.3):
#
# $$ \frac{f(x + h) - f(x)}{h} = f'(x) + \frac h2 f''(x) + \cdots, \qquad
#    \frac{f(x + h) - f(x - h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \cdots $$
#
# The *central* difference on the right costs one evaluation more and is better by an order. But $h$ must not be too
# small either: numbers have a relative precision $\varepsilon$, and rounding puts an error of about
# $\varepsilon |f| / h$ into the quotient. One error falls with $h$ as the other rises. Their sum is least near
# $h \approx \varepsilon^{1/2}$ for the one-sided and $h \approx \varepsilon^{1/3}$ for the central difference. Try it
# on $f = \exp$ at $x = 1$:

# %%
steps = 10.0 ** np.arange(-14, 0.1, 0.25)


def errors_of_differences(dtype):
    """Relative errors of one-sided and central differences of exp at 1, for every step."""
    h = steps.astype(dtype)
    x, e = dtype(1), np.exp(dtype(1))
    ahead, behind = x + h, x - h  # as they are rounded
    with np.errstate(invalid="ignore", divide="ignore"):
        one_sided = (np.exp(ahead) - e) / h
        central = (np.exp(ahead) - np.exp(behind)) / (2 * h)
    return (np.abs(d.astype(float) - np.e) / np.e for d in (one_sided, central))


one_sided, central = errors_of_differences(np.float64)
one_sided_32, central_32 = errors_of_differences(np.float32)
best = {
    "one-sided": steps[one_sided.argmin()],
    "central": steps[central.argmin()],
    "central, float32": steps[central_32.argmin()],
}
print({name: f"best h = {h:.0e}" for name, h in best.items()})

# %% tags=["drawing"]
# @title Too large a step is inexact, too small a one is noise
lines = {"one-sided, float64": one_sided, "central, float64": central}
lines |= {"one-sided, float32": one_sided_32, "central, float32": central_32}
plots.plot_lines(
    steps,
    {name: np.maximum(error, 1e-13) for name, error in lines.items()},
    xlabel="step h",
    ylabel="relative error of the slope",
    title="The error of a difference has its least where two causes balance",
    xscale="log",
    yscale="log",
    ylim=(1e-13, 10),
)

# %% [markdown]
# So a check wants central differences, double precision, and $h \approx 6 \cdot 10^{-6}$. In single precision the same
# step makes of a perfect gradient one that seems wrong by some thousandths.
#
# ## 5. The judge of this library
#
# `diagnostics.check_gradient` does all of that for every coordinate, and measures the *relative* error
# $|a - n| / \max(|a|, |n|)$ of the slope $a$ that it is given against its own, $n$. CS231n's rule of thumb: below
# $10^{-7}$ be happy, above $10^{-2}$ it is wrong, in between think of kinks. Our network, on twenty points (an error of
# 0 says that both slopes are equal to within the rounding of a difference):

# %%
few = points[:20], labels[:20]
checked = diagnostics.check_gradient(
    lambda params: mean_loss(params, *few),
    start,
    gradient=lambda params: gradient_by_hand(params, *few),
    samples=60,
)
print(diagnostics.format_gradient_check(checked))

# %% [markdown]
# And now four bugs that all of us have written once. Each is a backward pass that runs without complaint, and all its
# shapes are right.


# %%
def forgets_the_slope(y, dy):  # of tanh
    return (), dy


def slope_of_the_input(y, dy):  # 1 - x^2 instead of 1 - y^2, for the residual is the output
    return (), (1 - jnp.arctanh(y) ** 2) * dy


def mean_for_sum(residuals, dy):  # the bias is shared by the batch: sum, not mean
    right, dx = dense_layer.backward(residuals, dy)
    return right | {"bias": dy.mean(axis=0)}, dx


def forgets_an_example(residuals, dy):  # an index that begins at 1
    right, dx = dense_layer.backward(residuals, dy)
    _, x = residuals
    return right | {"kernel": x[1:].T @ dy[1:]}, dx


BUGS = {"tanh": (1, forgets_the_slope), "tanh of x": (1, slope_of_the_input)}
BUGS |= {"bias": (2, mean_for_sum), "an index": (2, forgets_an_example)}


def gradient_with(bug):
    i, wrong = bug
    broken = [*network[:i], network[i]._replace(backward=wrong), *network[i + 1 :]]
    return lambda params: gradient_by_hand(params, *few, network=broken)


loss_of_few = lambda params: mean_loss(params, *few)
verdicts = {
    name: diagnostics.check_gradient(loss_of_few, start, gradient=gradient_with(bug), samples=40)
    for name, bug in BUGS.items()
}
for name, verdict in verdicts.items():
    wrong = [leaf.name for leaf in verdict.leaves if leaf.error > 1e-4]
    print(f"{name:<10} error {verdict.worst.error:7.1e}, wrong: {', '.join(wrong)}")

# %% tags=["drawing"]
# @title Relative error of every array, without and with a bug
names = [leaf.name for leaf in checked.leaves]
rows = {"no bug": checked, **verdicts}
grid = np.array([[max(leaf.error, 1e-12) for leaf in verdict.leaves] for verdict in rows.values()])
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
picture = ax.imshow(np.log10(grid), cmap="cividis", vmin=-12, vmax=0, aspect="auto")
ax.set_xticks(range(len(names)), names, rotation=20)
ax.set_yticks(range(len(rows)), rows)
for (i, j), error in np.ndenumerate(grid):
    colour = "black" if error > 1e-5 else "white"
    ax.text(
        j,
        i,
        f"{error:.0e}" if error > 1e-12 else "0",
        ha="center",
        va="center",
        color=colour,
        fontsize=9,
    )
ax.set(xlabel="array (layer / name)", ylabel="bug")
figure.colorbar(picture, label="log10 of the relative error")
plt.show()

# %% [markdown] Read the picture like a detective: a wrong `dx` spoils all that lies *below* its layer (the tanh is
# layer 1, and layer 0 pays for it), a wrong parameter gradient spoils its own array only. Look just above the last
# array that is wrong.
#
# ### Exercise 2: find the bug
#
# Here is a layer that subtracts the mean of each example, $y = x - \bar x$, from somebody who was in a hurry. Check it:
# project its output to one number by fixed random weights $c$, so that $\mathrm dy = c$. Then write the right
# `my_backward`.


# %%
def centre_forward(x):
    return x - x.mean(axis=1, keepdims=True)


def hasty_backward(dy):
    return dy  # "the mean is only a constant"


x_some, c = np.random.default_rng(1).normal(size=(2, 4, 5))  # in double precision


def check_centre(backward):
    function = lambda x: jnp.sum(c * centre_forward(x))
    return diagnostics.check_gradient(function, x_some, gradient=lambda x: backward(c))


# %% tags=["exercise"]
my_backward = hasty_backward  # your turn
print(check_centre(my_backward).worst.verdict)


# %% tags=["solution"]
# @title Solution to exercise 2
# y_i = x_i - (1/D) sum_j x_j, so dx_j = dy_j - (1/D) sum_i dy_i: the gradient is centred, too.
def centred_backward(dy):
    return dy - dy.mean(axis=1, keepdims=True)


print(
    check_centre(hasty_backward).worst.verdict, "->", check_centre(centred_backward).worst.verdict
)

# %% [markdown]
# ## 6. Where the judge is wrong: kinks
#
# ReLU has a corner at 0. If the difference reaches over it, $x - h < 0 < x + h$, it measures a slope that does not
# exist. With $x = 10^{-6}$ and $h = 6 \cdot 10^{-6}$ the true slope is 1 and the difference says something else. That
# is no bug in your gradient. `check_gradient` evaluates at half the step as well; where both slopes disagree as a kink
# would make them, it does not judge:

# %%
at_a_kink = diagnostics.check_gradient(
    lambda x: jnp.sum(jax.nn.relu(x)), jnp.array([-1.0, 1e-6, 1.0])
)
h = np.finfo(float).eps ** (1 / 3)
naive = (max(1e-6 + h, 0) - max(1e-6 - h, 0)) / (2 * h)
print(f"naive difference {naive:.2f}, true slope 1; not judged: {at_a_kink.leaves[0].kinks}")

# %% [markdown]
# ## 7. Why not differences for everything?
#
# Because of the bill. A network with $W$ weights takes about $W$ multiply-adds for an example. Differences evaluate it
# twice for each weight, $O(W^2)$. Backpropagation needs, for every product of the forward pass, two products of the
# same size, $\mathbf X^\top \mathrm d\mathbf Y$ and $\mathrm d\mathbf Y \mathbf W^\top$: three times the forward pass
# in all, $O(W)$ (Bishop 2006, sec. 5.3.3). We need no stopwatch; the multiply-adds can be counted in the traced
# programs:


# %%
def bill(units):
    """Weights, and the multiply-adds of the loss, of backpropagation and of central differences."""
    net = layers.chain(layers.Dense(units), layers.Tanh(), layers.Dense(units), layers.Tanh())
    x = jax.ShapeDtypeStruct((1, units), jnp.float32)
    p = jax.eval_shape(lambda x: net.init(jax.random.key(0), x), x)
    loss = lambda p, x: jnp.sum(net.forward(p, x)[0])
    count = lambda f: count_multiply_adds(jax.make_jaxpr(f)(p, x).jaxpr).total()
    weights = sum(leaf.size for leaf in jax.tree.leaves(p))
    return weights, count(loss), count(jax.grad(loss, argnums=(0, 1))), 2 * weights * count(loss)


bills = np.array([bill(units) for units in (4, 8, 16, 32, 64, 128, 256, 512)], float)
weights, of_loss, of_backpropagation, of_differences = bills.T
slope = lambda cost: np.polyfit(np.log(weights), np.log(cost), 1)[0]
print(f"backpropagation / loss: {(of_backpropagation / of_loss).max():.2f}")
print(f"slopes: {slope(of_backpropagation):.2f} and {slope(of_differences):.2f}")

# %% tags=["drawing"]
# @title The bill of one gradient
plots.plot_lines(
    weights,
    {"differences": of_differences, "backpropagation": of_backpropagation, "the loss": of_loss},
    xlabel="weights W",
    ylabel="multiply-adds of one gradient",
    title="Differences cost O(W²), backpropagation O(W)",
    xscale="log",
    yscale="log",
)

# %% [markdown]
# At half a million weights one gradient by differences costs what a third of a million gradients by backpropagation do.
# So: *learn* by backpropagation, *check* by differences, on a small network and a few examples.
#
# ### Exercise 3: a layer of your own
#
# Layer normalization without scale and shift makes of each example $\mathbf x$ with $D$ numbers
#
# $$ y_i = \frac{x_i - \mu}{s}, \qquad \mu = \frac1D \sum_i x_i, \qquad s^2 = \frac1D \sum_i (x_i - \mu)^2 . $$
#
# Derive $\partial L/\partial x_j$, mind that $\mu$ and $s$ depend on every $x_j$, and check it. (Write the result by
# means over the example, of $\mathrm dy$ and of $y\,\mathrm dy$.)


# %%
def normalize_forward(x):
    centred = x - x.mean(axis=1, keepdims=True)
    s = jnp.sqrt((centred**2).mean(axis=1, keepdims=True))
    return centred / s, (centred / s, s)


def check_normalize(backward):
    return diagnostics.check_gradient(
        lambda x: jnp.sum(c * normalize_forward(x)[0]),
        x_some,
        gradient=lambda x: backward(normalize_forward(x)[1], c),
    )


# %% tags=["exercise"]
def my_normalize_backward(residuals, dy):
    _, s = residuals  # the first is y
    return dy / s  # your turn


print(check_normalize(my_normalize_backward).worst.verdict)


# %% tags=["solution"]
# @title Solution to exercise 3
# dy_i/dx_j = ([i = j] - 1/D - y_i y_j / D) / s, because d mu/dx_j = 1/D and ds/dx_j = y_j / D.
def normalize_backward(residuals, dy):
    y, s = residuals
    mean = lambda values: values.mean(axis=1, keepdims=True)
    return (dy - mean(dy) - y * mean(y * dy)) / s


print(check_normalize(normalize_backward).worst.verdict)

# %% [markdown]
# ## What we have seen
#
# Backpropagation is the chain rule with a memory: every layer keeps what its own derivative needs, and a loop in
# reverse multiplies. All derivatives together cost about three forward passes, however many they are. Differences cost
# two evaluations for each weight, so they do not learn, they judge: centrally, in double precision, with a step near
# $\varepsilon^{1/3}$, by relative errors, and with an eye on kinks.
#
# *Sources*: Rumelhart, Hinton and Williams 1986, Nature 323. Bishop 2006, Pattern Recognition and Machine Learning,
# section 5.3. Stanford CS231n, notes "Backpropagation, Intuitions" and "Neural Networks Part 3: gradient checks". Ba,
# Kiros and Hinton 2016, arXiv 1607.06450. The code: [`layers`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/layers),
# [`gradient_check.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/diagnostics/gradient_check.py), and LeNet on
# MNIST without `jax.grad`:
# [`backpropagation_by_hand.py`](https://github.com/jaxnn/jaxnn/blob/main/experiments/backpropagation_by_hand.py).

# %% tags=["claims"]
# The claims of this story.
np.testing.assert_allclose([*dw, *dx], [*dw_by_jax, *dx_by_jax], rtol=1e-5)
assert gates == (0.0, -2.0, 2.0)
assert right > 0.95  # it learns without automatic differentiation ...
assert apart < 1e-9  # ... and walks the same path
assert central.min() < one_sided.min() < central_32.min()
assert 1e-6 < best["central"] < 1e-4
assert 1e-3 < central_32[np.abs(steps - 6e-6).argmin()] < 1e-1
assert 1e-9 < best["one-sided"] < 1e-7
assert checked.passed
assert checked.worst.error < 1e-6
assert not any(verdict.passed for verdict in verdicts.values())
assert not check_centre(hasty_backward).passed
assert check_centre(centred_backward).passed
assert at_a_kink.leaves[0].kinks == ((1,),)
assert abs(naive - 1) > 0.1
assert (of_backpropagation <= 3 * of_loss).all()
assert abs(slope(of_backpropagation) - 1) < 0.1
assert abs(slope(of_differences) - 2) < 0.1
assert check_normalize(normalize_backward).passed
print("All claims hold.")
