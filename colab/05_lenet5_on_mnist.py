# %% [markdown]
# # 5. LeNet-5 on MNIST
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/05_lenet5_on_mnist.ipynb)
#
# **The question.** A multi-layer perceptron sees an image as a list of 784 numbers: it would learn as well if somebody
# had shuffled the pixels. But neighbours belong together, and a stroke is a stroke wherever it stands. What does a
# network gain if it is *built* to know that, and how many weights does the knowledge save?
#
# We take the convolutional network apart that Yann LeCun and his colleagues published in 1998 to read cheques, layer by
# layer, count it, train it on the real MNIST, and look at what it has learned and at what it still gets wrong.

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

from jaxnn import (
    data,
    diagnostics,
    layers,
    metrics,
    models,
    optimizers,
    plots,
    preprocessing,
    schedules,
    training,
)
from jaxnn.layers import pooling_disjoint_windows

# %% [markdown]
# ## 1. Seventy thousand digits
#
# Written by employees of the Census Bureau and by high school students, centred in 28 x 28 pixels (LeCun, Cortes and
# Burges). They come with the library.

# %%
mnist = data.load("mnist")
figure, axes = plt.subplots(2, 12, figsize=(12, 2.3), layout="constrained")
for ax, image, label in zip(axes.flat, mnist.train["image"], mnist.train["label"], strict=False):
    ax.imshow(image[..., 0], cmap="gray_r")
    ax.set_title(str(label), fontsize=10)
    ax.set_axis_off()
plt.show()


# %% [markdown]
# ## 2. Convolution: one small question, asked everywhere
#
# A convolutional layer holds a small *kernel* $w$, here of $5 \times 5$ weights for each pair of input and output
# channels, and asks the same question at every place of the image:
#
# $$ y_{ijk} = b_k + \sum_{a=0}^{4} \sum_{b=0}^{4} \sum_{c} w_{abck}\; x_{i+a,\;j+b,\;c} . $$
#
# Compared with a dense layer two things are given up. An output sees $5 \times 5$ pixels, not all (*local receptive
# fields*), and all outputs of a channel have one set of weights (*weight sharing*). Take three kernels made by hand:

# %%
slope = jnp.outer(jnp.ones(5), jnp.array([-1.0, -1.0, 0.0, 1.0, 1.0])) / 10
by_hand = jnp.stack([slope, slope.T, jnp.full((5, 5), 1 / 25)], axis=-1)
by_hand = by_hand[:, :, None]  # (height, width, in, out)
three = jnp.asarray(mnist.train["image"][7:8], jnp.float32) / 255
answers = layers.convolve(three, by_hand, padding="SAME")

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
axes[0].imshow(three[0, ..., 0], cmap="gray_r")
axes[0].set_title("the image x")
for k, name in enumerate(("to the right: darker?", "downwards: darker?", "the mean of 25 pixels")):
    picture = axes[k + 1].imshow(answers[0, ..., k], cmap="RdBu_r", vmin=-1, vmax=1)
    axes[k + 1].set_title(name)
for ax in axes:
    ax.set(xticks=[], yticks=[])
figure.colorbar(picture, ax=axes, label="answer y", shrink=0.8)
plt.show()

# %% [markdown]
# Because the question is the same everywhere, the layer commutes with translations $T$: move the image, and the answers
# move along (they are *equivariant*),
#
# $$ w * (T x) = T (w * x) , $$
#
# exactly, as long as nothing leaves the image. No dense layer has this, unless it learns it.


# %%
def move(images, down, right):
    """Images moved by whole pixels; what leaves is lost, what enters is white."""
    height, width = images.shape[1:3]
    wide = np.pad(images, ((0, 0), (abs(down),) * 2, (abs(right),) * 2, (0, 0)))
    top, left = abs(down) - down, abs(right) - right
    return wide[:, top : top + height, left : left + width]


moved_answers = layers.convolve(
    jnp.asarray(move(np.asarray(three), 3, -2)), by_hand, padding="SAME"
)
inside = np.s_[:, 6:-6, 6:-6]  # away from the edges
equivariance = float(
    jnp.abs(moved_answers[inside] - move(np.asarray(answers), 3, -2)[inside]).max()
)
print("largest difference between 'move, then ask' and 'ask, then move':", equivariance)

# %% [markdown]
# ### Exercise 1: a convolution of your own
#
# Write `my_convolution(x, w)` for `x` of shape (batch, height, width, in) and `w` of shape (5, 5, in, out), with no
# padding: the result is (batch, height - 4, width - 4, out). Two loops over the offsets $a, b$ are enough: for one
# offset, all places and all channels are a single matrix product. Compare with
# `layers.convolve(x, w, padding="VALID")`.


# %% tags=["exercise"]
# Your turn: def my_convolution(x, w): ...
layers.convolve(jnp.ones((1, 9, 9, 1)), jnp.ones((5, 5, 1, 1)), padding="VALID")[0, ..., 0]


# %% tags=["solution"]
# @title Solution to exercise 1
def my_convolution(x, w):
    height, width = x.shape[1] - 4, x.shape[2] - 4
    return sum(x[:, a : a + height, b : b + width] @ w[a, b] for a in range(5) for b in range(5))


# %%
x, w = (
    jax.random.normal(jax.random.key(0), (8, 14, 14, 6)),
    jax.random.normal(jax.random.key(1), (5, 5, 6, 16)),
)
own_error = float(jnp.abs(my_convolution(x, w) - layers.convolve(x, w, padding="VALID")).max())
print(
    f"largest difference from the library: {own_error:.1e}, of {float(jnp.abs(my_convolution(x, w)).max()):.0f}"
)

# %% [markdown]
# ## 3. Pooling: nearly the same place
#
# Where exactly a stroke lies does not matter for the digit. So after each convolution only the largest answer of every
# $2 \times 2$ places is kept:
#
# $$ y_{ij} = \max_{a, b \in \{0, 1\}} x_{2i+a,\; 2j+b} , \qquad
#    \frac{\partial L}{\partial x_{2i+a,\,2j+b}} = \frac{\partial L}{\partial y_{ij}}
#    \bigl[\, (a, b) \text{ is where the maximum was} \,\bigr] . $$
#
# The image shrinks by four, and the next kernel sees twice as far. This is how the library goes forward and back, with
# the four positions of the window as four planes:

# %%
print(inspect.getsource(pooling_disjoint_windows.max_forward))
print(inspect.getsource(pooling_disjoint_windows.max_backward))

# %% [markdown]
# ## 4. The network
#
# Convolution, pooling, convolution, pooling, and a perceptron with two hidden layers at the end. In the library it is
# these lines, with ReLU and maxima where 1998 had tanh and means
# ([the original](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/models/lenet5_of_1998.py) is there, too):

# %%
print(inspect.getsource(models.LeNet5))

# %%
example = jnp.zeros((1, 28, 28, 1))
print(diagnostics.format_summary(diagnostics.summarize(models.LeNet5(), (28, 28, 1))))

# %% [markdown]
# What would the first two layers cost without the two ideas? A layer from $H W C$ numbers to $H' W' C'$ has
#
# $$ \underbrace{H' W' C' (H W C + 1)}_{\text{dense}}, \qquad
#    \underbrace{H' W' C' (25\, C + 1)}_{\text{local}}, \qquad
#    \underbrace{C' (25\, C + 1)}_{\text{local and shared}} $$
#
# parameters.

# %%
shapes = {"conv1": ((28, 28, 1), (28, 28, 6)), "conv2": ((14, 14, 6), (10, 10, 16))}
counts = {}
for name, ((H, W, C), (H2, W2, C2)) in shapes.items():
    places = H2 * W2 * C2
    counts[name] = np.array([places * (H * W * C + 1), places * (25 * C + 1), C2 * (25 * C + 1)])
    print(
        f"{name}: dense {counts[name][0]:>9,}   local {counts[name][1]:>7,}   shared {counts[name][2]:>5,}"
    )

figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for i, (kind, colour) in enumerate(
    (("dense", "#6E6E6E"), ("local", "#D55E00"), ("local and shared", "#0072B2"))
):
    bars = ax.barh(
        np.arange(2) + 0.27 * (1 - i),
        [n[i] for n in counts.values()],
        0.25,
        color=colour,
        label=kind,
    )
    ax.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=10)
ax.set(
    xscale="log", xlim=(50, 8e7), xlabel="parameters", yticks=[0, 1], yticklabels=["conv1", "conv2"]
)
ax.legend(loc="upper center", bbox_to_anchor=(0.45, 1.2), ncols=3, frameon=False)
plt.show()

# %% [markdown]
# ### Exercise 2: count the whole
#
# Compute the number of parameters of the whole LeNet-5 from the formula above and those of dense layers
# ($400 \to 120 \to 84 \to 10$), and compare with what the library says without computing anything:
# `jax.eval_shape(models.LeNet5().init, jax.random.key(0), example)`. How many hidden units may a perceptron
# $784 \to h \to 10$ have, to be just as large?


# %% tags=["exercise"]
def count_parameters(model):
    return sum(
        leaf.size
        for leaf in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0), example))
    )


# your turn

# %% tags=["solution"]
# @title Solution to exercise 2
dense = sum((a + 1) * b for a, b in ((400, 120), (120, 84), (84, 10)))
print(
    "by hand:",
    counts["conv1"][2] + counts["conv2"][2] + dense,
    " library:",
    count_parameters(models.LeNet5()),
)
print(
    "hidden units of a perceptron of this size:",
    (count_parameters(models.LeNet5()) - 10) // (784 + 1 + 10),
)

# %% [markdown]
# ## 5. Training
#
# Two networks of the same size, LeNet-5 and a perceptron with 77 hidden units, with the same optimizer, the same
# schedule of the learning rate, the same three passes over the 60 000 images.

# %%
EPOCHS, BATCH = 3, 128
standardize = preprocessing.Standardize(mnist.mean, mnist.std)


def train(model, train_data, epochs=EPOCHS, rate=6e-3):
    steps = epochs * -(-len(train_data["label"]) // BATCH)
    return training.fit(
        model,
        train_data,
        validation=mnist.test,
        optimizer=optimizers.adam(schedules.one_cycle(rate, steps=steps), b2=0.99),
        epochs=epochs,
        batch_size=BATCH,
        preprocess=standardize,
    )


networks = {"LeNet-5": models.LeNet5(), "perceptron": models.MLP(features=(77,))}
fitted = {name: train(model, mnist.train) for name, model in networks.items()}
errors = {name: 1 - run.history[-1]["validation/accuracy"] for name, run in fitted.items()}
for name, model in networks.items():
    print(
        f"{name:<10} {count_parameters(model):,} parameters, test error {100 * errors[name]:.2f} %"
    )

# %%
plots.plot_curves(fitted["LeNet-5"].history)


# %% [markdown]
# ## 6. What moves and what does not
#
# Now move the test images, by up to six pixels to the right. Neither network has ever seen a digit off the centre. The
# one that was built for moving things should hold out longer.

# %%
pixels = np.arange(7)


def moved_accuracy(name, right):
    moved = {"image": move(mnist.test["image"], 0, int(right)), "label": mnist.test["label"]}
    return training.evaluate(networks[name], fitted[name].state, moved, preprocess=standardize)[
        "accuracy"
    ]


by_move = {name: np.array([moved_accuracy(name, right) for right in pixels]) for name in networks}
plots.plot_lines(
    pixels,
    {name: 100 * share for name, share in by_move.items()},
    xlabel="test images moved to the right (pixels)",
    ylabel="test accuracy (%)",
    title="Convolution and pooling bear a move, a perceptron does not",
    ylim=(0, 102),
)

# %% [markdown]
# It holds out, but not for ever: the dense layers at the end know places, and two poolings forgive only a few pixels.
#
# ### Exercise 3: shuffle the pixels
#
# Apply one fixed random permutation to the 784 pixels of *all* images, training and test. Nothing is lost: the
# permutation can be undone. Predict what happens to the error of each network, then train both on 10 000 shuffled images
# (`train(model, ..., epochs=4)`) and on the same images as they are.

# %% tags=["exercise"]
order = np.random.default_rng(0).permutation(784)
shuffled = mnist.train["image"][:5].reshape(-1, 784)[:, order].reshape(-1, 28, 28, 1)  # your turn

# %% tags=["solution"]
# @title Solution to exercise 3
# The perceptron does not care: its first layer learns the same weights in another order. LeNet-5
# loses what it was built on, and with it more than its lead: what it is built to know is wrong now.
shuffle = lambda images: images.reshape(-1, 784)[:, order].reshape(-1, 28, 28, 1)
part = {"image": mnist.train["image"][:10_000], "label": mnist.train["label"][:10_000]}
mixed = {**part, "image": shuffle(part["image"])}
mixed_test = {**mnist.test, "image": shuffle(mnist.test["image"])}
shuffled_errors = {}
for name, model in networks.items():
    runs = train(model, part, epochs=4), train(model, mixed, epochs=4)
    tests = mnist.test, mixed_test
    shuffled_errors[name] = [
        1 - training.evaluate(model, run.state, test, preprocess=standardize)["accuracy"]
        for run, test in zip(runs, tests, strict=True)
    ]
    as_they_are, mixed_up = (f"{100 * error:.2f} %" for error in shuffled_errors[name])
    print(f"{name:<10} error as they are {as_they_are}, shuffled {mixed_up}")

# %% [markdown]
# ## 7. What it has learned
#
# The six kernels of the first layer, and the six maps that they make of a three: edges in several directions.

# %%
params = fitted["LeNet-5"].state.params
plots.plot_filters(params["conv1"]["kernel"])

# %%
answers = layers.convolve(
    standardize(mnist.train["image"][7:8]), params["conv1"]["kernel"], padding="SAME"
)
maps = jax.nn.relu(layers.max_pool(answers + params["conv1"]["bias"][None, None, None]))

figure, axes = plt.subplots(1, 7, figsize=(13, 2.3), layout="constrained")
axes[0].imshow(three[0, ..., 0], cmap="gray_r")
axes[0].set_title("the image")
for k in range(6):
    axes[k + 1].imshow(maps[0, ..., k], cmap="viridis")
    axes[k + 1].set_title(f"map {k + 1}, 14 x 14")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## 8. What it gets wrong
#
# Which digits are taken for which, and the mistakes that the network is surest of. The probability is the softmax of
# the logits, $p_k = e^{z_k} / \sum_j e^{z_j}$.

# %%
logits = training.predict(
    networks["LeNet-5"], fitted["LeNet-5"].state, mnist.test["image"], preprocess=standardize
)
predicted, confidence = logits.argmax(axis=1), np.asarray(jax.nn.softmax(logits).max(axis=1))
matrix = metrics.confusion_matrix(
    jnp.asarray(predicted), jnp.asarray(mnist.test["label"]), classes=10
)
plots.plot_confusion(matrix, mnist.classes)

# %%
plots.plot_mistakes(mnist.test["image"], mnist.test["label"], predicted, confidence, mnist.classes)

# %% [markdown]
# Some of these a person would get wrong, too. And the sure ones are rare: sorted by confidence, the mistakes lie at the
# end. A machine that may hand the doubtful ones to a person needs to hand over only a few.

# %%
surest_first = np.argsort(-confidence, kind="stable")
wrong = (predicted != mnist.test["label"])[surest_first]
kept = np.array([1.0, 0.99, 0.98, 0.97, 0.95, 0.9])
error_of_kept = [wrong[: int(share * len(wrong))].mean() for share in kept]
plots.plot_lines(
    100 * (1 - kept),
    {"error on the rest": 100 * np.array(error_of_kept)},
    xlabel="least confident images handed to a person (%)",
    ylabel="test error on the rest (%)",
    title="Few doubtful images hold most mistakes",
    ylim=(0, None),
)

# %% [markdown]
# ## What we have seen
#
# A convolution asks one small question everywhere. In the first layer that saves a factor of more than 20 000 in
# parameters, and it makes the layer move along with the image, exactly; pooling then forgives small moves. With equally
# many parameters and equal training LeNet-5 makes less than half of the perceptron's mistakes. What it knows beforehand
# is that neighbours belong together: shuffle the pixels, and its lead is gone.
#
# Sources: LeCun, Bottou, Bengio and Haffner 1998, *Gradient-based learning applied to document recognition*,
# doi 10.1109/5.726791; Fukushima 1980 for local receptive fields and pooling; Smith and Topin 2017, arXiv 1708.07120,
# for the schedule.

# %% tags=["claims"]
# The claims of this story.
assert equivariance < 1e-6
assert own_error < 1e-4
assert count_parameters(models.LeNet5()) == 61_706
assert counts["conv1"][0] / counts["conv1"][2] > 20_000
assert errors["LeNet-5"] < 0.012
assert errors["LeNet-5"] < 0.5 * errors["perceptron"]
assert by_move["LeNet-5"][2] > 0.95 > by_move["perceptron"][2]
assert shuffled_errors["LeNet-5"][1] > 2 * shuffled_errors["LeNet-5"][0]
assert shuffled_errors["perceptron"][1] < 1.3 * shuffled_errors["perceptron"][0]
assert error_of_kept[4] < 0.3 * errors["LeNet-5"]
