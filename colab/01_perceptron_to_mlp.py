# %% [markdown]
# # 1. From the perceptron to the multi-layer perceptron
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxnn/jaxnn/blob/main/colab/01_perceptron_to_mlp.ipynb)
#
# **The question.** In 1958 Frank Rosenblatt let a machine learn to tell two classes apart by a rule of one line. Four
# years later a theorem said that the rule always succeeds, *if* a line can do the job. What happens if no line can,
# and how much has to be added until it no longer matters?
#
# We follow one path: a neuron, its theorem, the four points that defeat it, a smooth neuron that knows how sure it is,
# and at last a second layer, which bends the plane until a line is enough again.

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

from jaxnn import data, layers, models, optimizers, plots, populations, training
from jaxnn.basis_functions import linear
from jaxnn.plots import draw_decision_boundary
from jaxnn.plots.perceptron_plots import plot_mistakes_below_bound

# %% [markdown]
# ## 1. One neuron, one line
#
# A neuron weighs its inputs and says one of two words:
#
# $$ y(\mathbf x) = \operatorname{sign}(\mathbf w^\top \boldsymbol\phi(\mathbf x)), \qquad
#    \boldsymbol\phi(\mathbf x) = (1, x_1, x_2)^\top . $$
#
# The constant 1 makes $w_0$ the bias. Where the sum is zero lies a straight line, the *decision boundary*: on one side
# the neuron says $+1$, on the other $-1$. Rosenblatt's rule goes through the examples $(\mathbf x_n, t_n)$,
# $t_n = \pm 1$, and changes nothing while the answer is right. After a mistake it adds the example to the weights:
#
# $$ t_n\, \mathbf w^\top \boldsymbol\phi_n \le 0 \quad\Longrightarrow\quad
#    \mathbf w \leftarrow \mathbf w + \eta\, t_n \boldsymbol\phi_n . $$
#
# This is the library's own code, as it will run:

# %%
print(inspect.getsource(models.perceptron_step))

# %% [markdown]
# Sixty points of a square, labelled by a line that we keep secret, and kept only if they are farther than 0.2 from it.
# The perceptron starts at $\mathbf w = 0$ and goes round until a round passes without a mistake.

# %%
SECRET = np.array([0.2, 0.8, -0.6])  # 0.2 + 0.8 x1 - 0.6 x2 = 0


def separable(seed, *, margin, points=60):
    x = np.random.default_rng(seed).uniform(-1, 1, size=(20 * points, 2))
    distance = SECRET[0] + x @ SECRET[1:]
    far = np.abs(distance) > margin
    return x[far][:points], np.sign(distance[far][:points])


def weights_after_each_mistake(phi, t, *, rounds):
    w = jnp.zeros(phi.shape[1])
    history = [w]
    for _ in range(rounds):
        for example in zip(phi, t, strict=True):
            w, mistake = step(w, example)
            history += [w] if mistake else []
    return np.array(history)


step = jax.jit(models.perceptron_step)
x, t = separable(3, margin=0.2)
phi = linear(jnp.asarray(x))
history = weights_after_each_mistake(phi, t, rounds=6)
print(f"{len(history) - 1} mistakes, then none; w = {history[-1].round(2)}")

# %% tags=["drawing"]
# @title The line after some of the mistakes
figure, axes = plt.subplots(1, 4, figsize=(13, 3.7), sharey=True, layout="constrained")
for ax, k in zip(axes, (1, 3, 6, len(history) - 1), strict=True):
    says = lambda x, w=history[k]: (linear(x) @ w > 0).astype(int)
    share = draw_decision_boundary(ax, says, x, (t > 0).astype(int))
    ax.set(title=f"after mistake {k}: {share:.0%} right", xlabel="$x_1$")
axes[0].set_ylabel("$x_2$")
plt.show()

# %% [markdown]
# Each mistake turns the line, not always for the better; points with a dark edge are on the wrong side.
#
# ## 2. A theorem from 1962
#
# **Novikoff.** Let $\lVert\boldsymbol\phi_n\rVert \le R$ for all $n$, and let some unit vector $\mathbf u$ separate the
# classes with margin $\gamma > 0$: $t_n \mathbf u^\top \boldsymbol\phi_n \ge \gamma$ for all $n$. Then the perceptron,
# started at $\mathbf w = 0$, makes at most $(R / \gamma)^2$ mistakes, in whatever order the examples come.
#
# *Proof.* Take $\eta = 1$ and let $\mathbf w_k$ be the weights after mistake $k$. Each mistake pulls them towards
# $\mathbf u$, and makes them only a little longer, for the answer was wrong,
# $t\,\mathbf w_{k-1}^\top\boldsymbol\phi \le 0$:
#
# $$ \begin{aligned}
#    \mathbf u^\top \mathbf w_k &= \mathbf u^\top \mathbf w_{k-1} + t\, \mathbf u^\top \boldsymbol\phi
#    &&\ge\; \mathbf u^\top \mathbf w_{k-1} + \gamma, \\
#    \lVert \mathbf w_k \rVert^2 &= \lVert \mathbf w_{k-1} \rVert^2 + 2 t\, \mathbf w_{k-1}^\top \boldsymbol\phi
#    + \lVert \boldsymbol\phi \rVert^2 &&\le\; \lVert \mathbf w_{k-1} \rVert^2 + R^2 .
#    \end{aligned} $$
#
# So $k \gamma \le \mathbf u^\top \mathbf w_k \le \lVert \mathbf w_k \rVert \le \sqrt k\, R$, hence
# $k \le (R/\gamma)^2$. $\square$
#
# A floor that rises like $k$ meets a ceiling that rises like $\sqrt k$: behind their crossing there is no room for
# another mistake. Here are all four, measured:

# %%
u = SECRET / np.linalg.norm(SECRET)
R, gamma = np.linalg.norm(phi, axis=1).max(), (t * (phi @ u)).min()
bound = float(models.mistake_bound(phi, jnp.asarray(t), separator=jnp.asarray(SECRET)))
length, progress = np.linalg.norm(history, axis=1), history @ u

# %% tags=["drawing"]
# @title Between floor and ceiling
k = np.arange(int(1.15 * bound))
so_far = lambda values: np.append(values, np.full(len(k) - len(values), np.nan))
lines = {"ceiling √k R": np.sqrt(k) * R, "length |w|": so_far(length)}
lines |= {"progress u·w": so_far(progress), "floor k γ": k * gamma}
plots.plot_lines(
    k,
    lines,
    xlabel="mistakes k",
    ylabel="length",
    title=f"{len(history) - 1} mistakes, where at most (R/γ)² = {bound:.0f} are possible",
)

# %% [markdown]
# What makes the bound large is a small margin. Ninety data sets of three margins, all learned side by side by
# `jax.vmap`: no point may lie above the diagonal.

# %%
clouds = [separable(seed, margin=g, points=40) for g in (0.3, 0.1, 0.03) for seed in range(30)]
phis, ts = linear(np.concatenate([x for x, _ in clouds])), np.stack([t for _, t in clouds])
phis, ts = phis.reshape(*ts.shape, 3), jnp.asarray(ts)
trained = jax.vmap(models.train_perceptron)(phis, ts)
bounds = jax.vmap(lambda *of: models.mistake_bound(*of, separator=jnp.asarray(SECRET)))(phis, ts)
plot_mistakes_below_bound(bounds, trained.mistakes)

# %% [markdown]
# ### Exercise 1: does the learning rate matter?
#
# In most of this course the learning rate decides everything. Train the perceptron on `phi`, `t` with the
# `learning_rate` 1/8, 1 and 64, and compare the mistakes. What do you see, and why? (It starts at $\mathbf w = 0$: what
# does $\eta$ do to the condition $t\,\mathbf w^\top \boldsymbol\phi \le 0$?)

# %% tags=["exercise"]
int(models.train_perceptron(phi, jnp.asarray(t), learning_rate=1.0).mistakes)  # your turn

# %% tags=["solution"]
# @title Solution to exercise 1
# By induction w is eta times the w of rate 1 after every example, so every sign is the same, and
# so is every mistake: the rate is a unit of length. It is more than that if w starts elsewhere.
rates = (1 / 8, 1.0, 64.0)
by_rate = [models.train_perceptron(phi, jnp.asarray(t), learning_rate=rate) for rate in rates]
print("mistakes:", [int(one.mistakes) for one in by_rate])

# %% [markdown]
# ## 3. Four points that no line divides
#
# The exclusive or, XOR, is true if one of two inputs is true and the other is not. Suppose a line could tell. Then
#
# $$ w_0 < 0, \qquad w_0 + w_1 > 0, \qquad w_0 + w_2 > 0, \qquad w_0 + w_1 + w_2 < 0 . $$
#
# The two in the middle add up to $2 w_0 + w_1 + w_2 > 0$, the outer two to $2 w_0 + w_1 + w_2 < 0$: there is no such
# line (Minsky and Papert 1969). Novikoff's theorem is silent, and the rule never rests:

# %%
CORNERS = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
ROUNDS = 12


def mistakes_by_round(answers):
    examples = linear(CORNERS), 2 * jnp.array(answers) - 1
    one_round = lambda w, _: models.perceptron_epoch(w, examples)
    return jax.lax.scan(one_round, jnp.zeros(3), length=ROUNDS)[1]


mistakes = {name: np.asarray(mistakes_by_round(answers)) for name, answers in GATES.items()}
plots.plot_lines(
    np.arange(1, ROUNDS + 1),
    mistakes,
    xlabel="round through the four examples",
    ylabel="mistakes of 4",
    title="AND and OR come to an end, XOR never does",
    yticks=range(5),
)

# %% [markdown]
# ## 4. From a yes to a maybe
#
# Before we add neurons, we soften the one that we have. Most classes overlap, and then the perceptron runs for ever,
# too: it knows *wrong*, but not *nearly right*. Let the neuron give a probability, and be judged by its logarithm:
#
# $$ y_n = \sigma(\mathbf w^\top \boldsymbol\phi_n) = \frac{1}{1 + e^{-\mathbf w^\top \boldsymbol\phi_n}},
#    \qquad E(\mathbf w) = -\sum_n \bigl\{ t_n \ln y_n + (1 - t_n) \ln (1 - y_n) \bigr\}, \quad t_n \in \{0, 1\}. $$
#
# That is logistic regression. With $\boldsymbol\Phi$ the matrix whose rows are the $\boldsymbol\phi_n^\top$, gradient
# and Hessian are (Bishop 2006, sec. 4.3.3)
#
# $$ \nabla E = \boldsymbol\Phi^\top (\mathbf y - \mathbf t), \qquad
#    \mathbf H = \boldsymbol\Phi^\top \mathbf R\, \boldsymbol\Phi, \qquad R_{nn} = y_n (1 - y_n) > 0 . $$
#
# If the columns of $\boldsymbol\Phi$ are independent, $\mathbf H$ is positive definite: $E$ is convex and has at most
# one minimum; it has one unless a plane separates the classes. Near it every step of Newton's method,
# $\mathbf w \leftarrow \mathbf w - \mathbf H^{-1} \nabla E$, squares the error, so the number of right digits doubles:

# %%
blobs = data.sample_blobs(300, noise=1.4)
with jax.enable_x64(True):
    examples = linear(jnp.asarray(blobs["point"], float)), jnp.asarray(blobs["label"], float)
    solution = models.fit_glm(*examples).weights
    w, errors = jnp.zeros(3), []
    for _ in range(9):
        errors.append(float(jnp.abs(w - solution).max()))
        w = models.irls_step(w, examples)
print("distance from the solution:", "  ".join(f"{error:.0e}" for error in errors))

# %%
print(inspect.getsource(models.irls_step))

# %% [markdown]
# The perceptron on the same points ends nowhere: its answer depends on when we stop it. Logistic regression has an
# answer, and its colours fade where it is unsure.

# %%
examples = linear(blobs["point"]), 2.0 * blobs["label"] - 1
right_of = lambda w: float((jnp.sign(examples[0] @ w) == examples[1]).mean())
w, wandering = jnp.zeros(3), []
for _ in range(40):
    w, _ = models.perceptron_epoch(w, examples)
    wandering.append(right_of(w))

# %% tags=["drawing"]
# @title Logistic regression, and the wandering perceptron
w_logistic = np.asarray(solution, np.float32)


def sure(x):
    y = np.asarray(models.predict_glm(w_logistic, linear(x)))
    return np.stack([1 - y, y], axis=1)


figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4.4), width_ratios=(1, 1.6), layout="constrained"
)
draw_decision_boundary(left, sure, blobs["point"], blobs["label"])
left.set(title="logistic regression", xlabel="$x_1$", ylabel="$x_2$")
right.plot(range(1, 41), wandering, "o-", color="#0072B2", label="perceptron, after each round")
right.axhline(right_of(w_logistic), color="#D55E00", ls="--", label="logistic regression")
right.set(title="the perceptron never settles", xlabel="round", ylabel="share of points right")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# But its boundary is a line still. Of XOR all that it can say is "one half", four times:

# %%
on_xor = models.fit_glm(linear(CORNERS), jnp.array(GATES["XOR"], float))
one_half = models.predict_glm(on_xor.weights, linear(CORNERS))
print(one_half.round(3))

# %% [markdown]
# ## 5. Bend the plane
#
# If no line is enough, change the plane: give the neuron inputs $h_j$ that are themselves neurons,
#
# $$ h_j = f\Bigl(\sum_i w^{(1)}_{ij} x_i + b^{(1)}_j\Bigr), \qquad y = \sum_j w^{(2)}_j h_j + b^{(2)} . $$
#
# That is a *multi-layer perceptron*, an MLP. Two hidden neurons are enough for XOR.
#
# ### Exercise 2: XOR by hand
#
# Find weights (two columns, one for each hidden neuron), their two biases, the two weights of the output and its bias
# so that `two_layers` is right on all four corners, with the threshold unit $f(a) = 1$ if $a \ge 0$, else $0$.
# *Hint*: XOR is one of the two, and not both; which gates of section 3 can a single neuron compute?

# %%
from jaxnn.activations import threshold


def hidden_neurons(x, hidden, bias):
    return threshold(x @ hidden + bias[None])


def output_neuron(h, out, bias):
    return threshold(h @ out + bias).astype(int)


def two_layers(x, first, second):
    return output_neuron(hidden_neurons(x, *first), *second)


# %% tags=["exercise"]
my_first = jnp.zeros((2, 2)), jnp.zeros(2)  # your turn
my_second = jnp.zeros(2), 0.0
print("answers:", two_layers(CORNERS, my_first, my_second), "  wanted:", GATES["XOR"])

# %% tags=["solution"]
# @title Solution to exercise 2
# The first hidden neuron is OR, the second AND; XOR is the first and not the second.
first = jnp.array([[1.0, 1.0], [1.0, 1.0]]), jnp.array([-0.5, -1.5])
second = jnp.array([1.0, -1.0]), -0.5
print("answers:", two_layers(CORNERS, first, second), "  wanted:", GATES["XOR"])

# %% tags=["drawing"]
# @title The plane of the inputs, and the plane of the hidden neurons
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
of_inputs, of_hidden = lambda x: two_layers(x, first, second), lambda h: output_neuron(h, *second)
draw_decision_boundary(left, of_inputs, CORNERS, np.array(GATES["XOR"]))
left.set(title="inputs: no line divides the classes", xlabel="$x_1$", ylabel="$x_2$")
h = hidden_neurons(CORNERS, *first)
draw_decision_boundary(right, of_hidden, h, np.array(GATES["XOR"]))
right.set(title="hidden neurons: a line does", xlabel="$h_1$", ylabel="$h_2$")
plt.show()

# %% [markdown]
# In the hidden plane two of the four corners fell onto one point, and what is left, a line divides.
#
# ## 6. Let it find the bend itself
#
# The threshold has no slope, so nothing can be learned through it. A smooth $f$ such as $\tanh$ has one, and gradient
# descent on the cross-entropy finds the weights of *both* layers (Rumelhart, Hinton and Williams 1986; how the gradient
# is computed is the next notebook). Two rings, one around the other, are hopeless for a line. A chain of the library's
# layers, trained on them by `fit`:

# %%
rings, unseen = data.sample_circles(400), data.sample_circles(1000, seed=1)
bend = (layers.Dense(16), layers.Tanh(), layers.Dense(2), layers.Tanh())
network = layers.chain(*bend, layers.Dense(2))
fitted = training.fit(
    layers.LayerModel(network),
    rings,
    validation=unseen,
    fields=("point", "label"),
    optimizer=optimizers.adam(1e-2),
    epochs=60,
    batch_size=50,
)
params = fitted.state.params
on_rings = models.fit_glm(linear(rings["point"]), rings["label"].astype(float))
line_share = float(
    ((linear(unseen["point"]) @ on_rings.weights > 0) == unseen["label"].astype(bool)).mean()
)
print(
    f"new points right: a line {line_share:.1%}, network {fitted.history[-1]['validation/accuracy']:.1%}"
)

# %% [markdown]
# The last hidden layer has two neurons, so that we can look at it. A network without its head is a network, and tells
# where each point goes; the grey net is the grid of the left picture, carried along.

# %%
first_layers = layers.chain(*bend)
kept = {name: params[name] for name in map(str, range(len(bend)))}
bent = lambda x: np.asarray(first_layers.forward(kept, x)[0])
probabilities = lambda x: np.asarray(jax.nn.softmax(network.forward(params, x)[0]))
from_hidden = lambda h: np.asarray(
    jax.nn.softmax(h @ params["4"]["kernel"] + params["4"]["bias"][None])
)

# %% tags=["drawing"]
# @title The plane is bent until a line is enough
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.4), layout="constrained")
draw_decision_boundary(left, probabilities, rings["point"], rings["label"])
draw_decision_boundary(right, from_hidden, bent(rings["point"]), rings["label"])
for at in np.linspace(-1.5, 1.5, 19, dtype=np.float32):
    along = np.linspace(-1.5, 1.5, 200, dtype=np.float32)
    for line in (np.stack([along, at + 0 * along], 1), np.stack([at + 0 * along, along], 1)):
        left.plot(*line.T, color="#6E6E6E", linewidth=0.4, scalex=False, scaley=False)
        right.plot(*bent(line).T, color="#6E6E6E", linewidth=0.4, scalex=False, scaley=False)
left.set(title="inputs", xlabel="$x_1$", ylabel="$x_2$")
right.set(title="second hidden layer", xlabel="$h_1$", ylabel="$h_2$")
plt.show()

# %% [markdown] How far does this go? With enough hidden neurons one hidden layer comes as near as we like to any
# continuous function on a bounded, closed set (Cybenko 1989; Hornik, Stinchcombe and White 1989). That says that good
# weights *exist*, not how many neurons are needed, nor that training finds them. Three arms of a spiral, one line each,
# and then the network:

# %%
spirals, unseen = data.sample_spirals(600), data.sample_spirals(1000, seed=1)


def train_on_spirals(model):
    return training.fit(
        model,
        spirals,
        validation=unseen,
        fields=("point", "label"),
        optimizer=optimizers.adam(1e-2),
        epochs=100,
        batch_size=100,
    )


contestants = {
    "softmax regression": models.SoftmaxRegression(classes=3),
    "MLP, 3 hidden": models.MLP(features=(3,), classes=3),
    "MLP, 32 + 32 hidden": models.MLP(features=(32, 32), classes=3),
}
runs = {name: train_on_spirals(model) for name, model in contestants.items()}
on_spirals = {name: run.history[-1]["validation/accuracy"] for name, run in runs.items()}

# %% tags=["drawing"]
# @title Softmax regression and two networks on three arms of a spiral
panels = {}
for name, run in runs.items():
    logits = lambda x, name=name, run=run: contestants[name].apply({"params": run.state.params}, x)
    says = lambda x, logits=logits: np.asarray(jax.nn.softmax(logits(x)))
    panels[name] = plots.Regions(says, unseen["point"], unseen["label"])
plots.plot_decision_boundaries({"new points": panels})

# %% [markdown]
# ### Exercise 3: two neurons can, but do they?
#
# Two hidden $\tanh$ neurons are able to compute XOR. Does training find out how? `train_on_corners` trains 32 networks
# that differ in nothing but their initial weights, all at once, as one *population*. Give them 2, 4 and 8 hidden
# neurons and print the share of those that end with all four corners right.

# %%
corners = {"point": np.tile(CORNERS, (32, 1)), "label": np.tile(np.array(GATES["XOR"]), 32)}


def train_on_corners(neurons):
    """The share of the corners that each of the 32 networks has right."""
    population = populations.fit(
        models.MLP(features=(neurons,), classes=2, activation=jnp.tanh),
        corners,
        populations.members_of([{"learning_rate": 0.03}], seeds=range(32)),
        optimizer=optimizers.adam,
        epochs=10,
        batch_size=4,
        fields=("point", "label"),
        validation=corners,
    )
    return population.history["validation/accuracy"][-1]


# %% tags=["exercise"]
train_on_corners(2)  # your turn

# %% tags=["solution"]
# @title Solution to exercise 3
# In these 320 steps fewer than half of the networks with two neurons get there, and all of the
# wider ones do: one reason why networks are made wider than they would have to be.
share_solved = {neurons: float((train_on_corners(neurons) == 1).mean()) for neurons in (2, 4, 8)}
print({neurons: f"{share:.0%}" for neurons, share in share_solved.items()})

# %% [markdown]
# ## What we have seen
#
# One neuron draws one line. If a line can divide the classes, Rosenblatt's rule finds one after at most $(R/\gamma)^2$
# mistakes; if none can, it never rests. Logistic regression turns the same line into probabilities, and where the
# classes overlap it has one answer, found by Newton's method in a handful of steps. A layer of neurons in between bends
# the plane, and a line is enough again; that such weights exist is a theorem, that training finds them is not.
#
# *Sources*: Rosenblatt 1958, Psychological Review 65. Novikoff 1962, Symposium on the Mathematical Theory of Automata.
# Minsky and Papert 1969, Perceptrons. Rumelhart, Hinton and Williams 1986, Nature 323. Cybenko 1989, Mathematics of
# Control, Signals and Systems 2. Hornik, Stinchcombe and White 1989, Neural Networks 2. Bishop 2006, Pattern
# Recognition and Machine Learning, sections 4.1.7, 4.3.2 to 4.3.3 and 5.1. The code:
# [`perceptron.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/models/perceptron.py),
# [`generalized_linear_models.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/models/generalized_linear_models.py),
# [`mlp.py`](https://github.com/jaxnn/jaxnn/blob/main/jaxnn/models/mlp.py).

# %% tags=["claims"]
# The claims of this story.
assert (np.sign(phi @ history[-1]) == t).all()  # a line can, so the rule finds one
assert len(history) - 1 <= bound
assert (progress >= gamma * np.arange(len(history)) - 1e-4).all()
assert (length <= R * np.sqrt(np.arange(len(history))) + 1e-4).all()
assert trained.converged.all()
assert (np.asarray(trained.mistakes) <= np.asarray(bounds)).all()
assert len({int(one.mistakes) for one in by_rate}) == 1  # the rate is a unit of length
assert mistakes["AND"][-1] == mistakes["OR"][-1] == 0
assert (mistakes["XOR"] > 0).all()
assert errors[-1] < 1e-9  # Newton's last digits
assert min(wandering) < right_of(w_logistic) - 0.02  # the perceptron does not settle
np.testing.assert_allclose(one_half, 0.5, atol=1e-4)
assert two_layers(CORNERS, first, second).tolist() == GATES["XOR"]
assert line_share < 0.6 < 0.97 < fitted.history[-1]["validation/accuracy"]
assert on_spirals["softmax regression"] < 0.6
assert on_spirals["MLP, 32 + 32 hidden"] > 0.95
assert share_solved[2] < share_solved[8]
print("All claims hold.")
