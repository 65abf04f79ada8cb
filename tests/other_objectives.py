"""Trainings that are not of one model with labels, each in at most 25 lines on top of the core.

A function of hyperparameters makes each trial; `CASES` says what it learns from, and what the tests may ask of it.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import training
from jaxnn.losses import (
    cross_entropy,
    kl_divergence,
    kl_to_standard_normal,
    minimax_discriminator,
    negative_sampling,
    non_saturating_generator,
    squared_error,
    triplet,
)
from jaxnn.optimizers import adam, sgd
from jaxnn.training import Measures, Start, TrainStep, Trial, Weighted, make_trial, supervised_trial
from jaxnn.training.batching import first_example

RNG = np.random.default_rng(0)
DIGITS = (RNG.normal(size=(3, 6)).repeat(9, axis=0) + RNG.normal(size=(27, 6)) / 4).astype(np.float32)
LABELS = np.arange(3, dtype=np.int32).repeat(9)


def normal(key, *shape):
    return jax.random.normal(key, shape) / 4


def vae(values):
    """Kingma and Welling 2014: no labels, and a stream of keys for what is sampled."""

    def init(key, example):
        keys, n = jax.random.split(key), example["x"].shape[-1]
        return {"encode": normal(keys[0], n, 4), "decode": normal(keys[1], 2, n)}, {}

    def objective(params, model_state, batch, keys, *, train):
        mean, log_variance = jnp.split(batch["x"] @ params["encode"], 2, axis=-1)
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(keys["sampling"], mean.shape)
        divergence = kl_to_standard_normal(mean, log_variance)
        return Measures(squared_error(z @ params["decode"], batch["x"]) + divergence, {"kl": divergence}), model_state

    return make_trial(objective, adam(values["learning_rate"]), init)


def denoising(values):
    """Vincent et al. 2008: the picture from one with noise on it; batch norm's kind of statistics is the mean."""

    def init(key, example):
        n = example["x"].shape[-1]
        return normal(key, n, n), {"mean": jnp.zeros(n)}

    def objective(params, model_state, batch, keys, *, train):
        x = batch["x"]
        seen = {"mean": 0.9 * model_state["mean"] + 0.1 * x.mean(axis=0)} if train else model_state
        noisy = x - model_state["mean"][None] + jax.random.normal(keys["noise"], x.shape) / 4
        return Measures(squared_error(noisy @ params + model_state["mean"][None], x)), seen

    return make_trial(objective, adam(values["learning_rate"]), init)


Players = namedtuple(
    "Players", "step key critic generator"
)  # two groups of parameters, each with its optimizer's state


@dataclass(frozen=True)
class GameStep:
    """Two steps of the critic to one of the generator; each is given the other's parameters in its batch."""

    critic: TrainStep
    generator: TrainStep
    axis_name: str | None = None

    def __call__(self, state, batch):
        critic, generator = (replace(p, axis_name=self.axis_name) for p in (self.critic, self.generator))
        other = state.critic
        for _ in range(2):
            other, criticized = critic(other, batch | {"generator": state.generator.params})
        own, generated = generator(state.generator, batch | {"critic": other.params})
        metrics = {"critic_loss": criticized["loss"], "generator_loss": generated["loss"], "loss": generated["gap"]}
        return Players(state.step + 1, state.key, other, own), metrics


def gan(values):
    """Goodfellow et al. 2014: a generator that moves noise, and a critic that looks at points."""

    def criticize(params, model_state, batch, keys, *, train):
        fake = batch["generator"][None] + normal(keys["noise"], *batch["x"].shape)
        return Measures(minimax_discriminator(batch["x"] @ params, fake @ params) + 0.1 * (params**2).sum()), {}

    def generate(params, model_state, batch, keys, *, train):
        fake = params[None] + normal(keys["noise"], *batch["x"].shape)
        return Measures(non_saturating_generator(fake @ batch["critic"]), {"gap": squared_error(fake, batch["x"])}), {}

    zeros = lambda key, example: (jnp.zeros(example["x"].shape[-1]), {})
    critic = make_trial(criticize, adam(0.05, b1=0.5), zeros)
    generator = make_trial(generate, adam(values["learning_rate"], b1=0.5), zeros)
    init = lambda key, example: Players(jnp.int32(0), key, *(p.init(key, example) for p in (critic, generator)))
    return Trial(init, GameStep(critic.step, generator.step))


def skip_gram(values):
    """Mikolov et al. 2013: pairs of words, and others that are drawn for each pair."""

    def init(key, example):
        keys = jax.random.split(key)
        return {"word": normal(keys[0], 6, 4), "context": normal(keys[1], 6, 4)}, {}

    def objective(params, model_state, batch, keys, *, train):
        word = params["word"][batch["word"]]
        drawn = params["context"][jax.random.randint(keys["sampling"], (len(word), 3), 0, 6)]
        positive = (word * params["context"][batch["context"]]).sum(axis=-1)
        return Measures(negative_sampling(positive, jnp.einsum("bf,bkf->bk", word, drawn))), model_state

    return make_trial(objective, adam(values["learning_rate"]), init)


def sequence(values):
    """The next of some tokens, of which each counts by a weight of its own: 0 behind the end."""

    def init(key, example):
        return normal(key, 5, 5), {}

    def objective(params, model_state, batch, keys, *, train):
        tokens, weights = batch["tokens"], batch["weights"]
        logits, after = params[tokens[:, :-1]], tokens[:, 1:]
        losses = jax.vmap(cross_entropy)(logits, after)
        right = (logits.argmax(axis=-1) == after).astype(jnp.float32)
        return Measures(Weighted(losses, weights), {"right": Weighted(right, weights)}), model_state

    return make_trial(objective, adam(values["learning_rate"]), init)


def triplets(values):
    """Schroff et al. 2015, over the batch: to each example the farthest of its class and the nearest of another."""

    def init(key, example):
        return normal(key, example["x"].shape[-1], 3), {}

    def objective(params, model_state, batch, keys, *, train):
        z, label, real = batch["x"] @ params, batch["label"], batch["mask"][None]
        distances = ((z[:, None] - z[None]) ** 2).sum(axis=-1)
        same = label[:, None] == label[None]
        farthest = jnp.where(same & real, distances, -1).argmax(axis=1)
        nearest = jnp.where(same | ~real, jnp.inf, distances).argmin(axis=1)
        return Measures(triplet(z, z[farthest], negative=z[nearest])), model_state

    return make_trial(objective, sgd(values["learning_rate"]), init)


def distillation(values):
    """Hinton et al. 2015: a teacher, whose parameters are a constant of every batch."""

    def init(key, example):
        return normal(key, example["x"].shape[-1], 3), {}

    def objective(params, model_state, batch, keys, *, train):
        taught, own = (
            jax.nn.log_softmax(batch["x"] @ w / batch["temperature"]) for w in (batch["teacher"]["w"], params)
        )
        return Measures(kl_divergence(own, jnp.exp(taught))), model_state

    return make_trial(objective, sgd(values["learning_rate"], momentum=0.9), init)


def two_heads(values):
    """One trunk, two targets and two losses, of which the sum is minimized and both are reported."""

    def init(key, example):
        keys, n = jax.random.split(key, 3), example["x"].shape[-1]
        return {"trunk": normal(keys[0], n, 4), "class": normal(keys[1], 4, 3), "size": normal(keys[2], 4)}, {}

    def objective(params, model_state, batch, keys, *, train):
        hidden = jnp.tanh(batch["x"] @ params["trunk"])
        classified = cross_entropy(hidden @ params["class"], batch["label"])
        sized = squared_error(hidden @ params["size"], batch["size"])
        return Measures(classified + 0.1 * sized, {"class_loss": classified, "size_loss": sized}), model_state

    return make_trial(objective, adam(values["learning_rate"]), init)


class Branches(nn.Module):
    """A model with dropout that returns a dict, and in it a pair."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        hidden = nn.Dropout(0.2, deterministic=not train)(nn.tanh(nn.Dense(8)(x)))
        return {"logits": (nn.Dense(3)(hidden), nn.Dense(3)(x)), "hidden": hidden}


def branches(values):
    """Outputs that are dicts and tuples, in the supervised objective."""

    def loss(outputs, labels):
        deep, shallow = outputs["logits"]
        return cross_entropy(deep, labels) + cross_entropy(shallow, labels)

    agree = lambda outputs, labels: 1.0 * (outputs["logits"][0].argmax(-1) == labels)
    how = {"metrics": {"agree": agree}, "fields": ("x", "label")}
    return supervised_trial(Branches(), loss, adam(values["learning_rate"]), **how)


class Case(NamedTuple):
    """A training, and what is asked of it.

    build: hyperparameters -> trial. data: what it learns from. rate: of learning. constants: of every batch. draws: it
    draws for each example, so that devices of `shard_map` draw other numbers than one. of_batch: its loss depends on
    which examples a batch has.
    """

    build: Callable[[dict[str, Any]], Trial]
    data: dict[str, np.ndarray]
    rate: float
    constants: Mapping[str, Any] = {}
    draws: bool = False
    of_batch: bool = False


WALK = np.cumsum(RNG.integers(1, 3, (27, 7)), axis=1).astype(np.int32) % 5
LENGTHS = RNG.integers(2, 7, 27)
TEACHER = {"w": RNG.normal(size=(6, 3)).astype(np.float32)}
CASES = {
    "vae": Case(vae, {"x": DIGITS}, 0.05, draws=True),
    "gan": Case(gan, {"x": DIGITS / 4 + 1}, 0.05, draws=True),
    "skip-gram": Case(skip_gram, {"word": np.arange(27) % 6, "context": (np.arange(27) + 1) % 6}, 0.1, draws=True),
    "sequence": Case(
        sequence,
        {"tokens": WALK, "weights": (np.arange(6)[None] < LENGTHS[:, None]) * np.linspace(0.5, 1.5, 27)[:, None]},
        0.1,
    ),
    "triplet": Case(triplets, {"x": DIGITS, "label": LABELS}, 0.01, of_batch=True),
    "distillation": Case(distillation, {"x": DIGITS}, 0.1, {"teacher": TEACHER, "temperature": 2.0}),
    "denoising": Case(denoising, {"x": DIGITS}, 0.02, draws=True),
    "two heads": Case(two_heads, {"x": DIGITS, "label": LABELS, "size": DIGITS.sum(axis=1)}, 0.05),
    "outputs": Case(branches, {"x": DIGITS, "label": LABELS}, 0.05, draws=True),
}

EPOCHS, BATCH = 2, 8  # 27 examples: the last of an epoch's four batches is padding but for three
TRIALS = {name: case.build({"learning_rate": case.rate}) for name, case in CASES.items()}


def start(name, seed=0):
    return Start(TRIALS[name].init, (jax.random.key(seed), first_example(CASES[name].data)))


def run(name, state=None, **how):
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "constants": CASES[name].constants, "fused": True} | how
    return training.train(TRIALS[name].step, state or start(name), CASES[name].data, **settings)


def plain(tree):
    """Typed keys as their bits."""
    is_key = lambda leaf: jax.dtypes.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def assert_identical(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, plain(ours), plain(theirs))
