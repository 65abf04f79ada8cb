"""These rows compare the losses with their references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import entr
from jax.scipy.stats import norm

from jaxnn import losses
from jaxnn.verification.arguments import (
    logits_and_labels,
    logits_and_probabilities,
    normals,
    pairs,
    scores_and_signs,
    zeros_and_ones,
)
from jaxnn.verification.rows import FunctionRow, exact

_class_weights = np.linspace(0.5, 2.0, 7)


def _intensities(rng, batch):
    return rng.normal(size=(batch, 4, 2)), rng.random((batch, 4, 2))


def loss_row(name, oracle, against, arguments, **row):
    """The row of a loss, whose oracle is a JAX function; `ours` is `jaxnn.losses.<name>` unless given."""
    public = getattr(losses, name.partition(",")[0])
    keywords = {"ours": public, "differentiable_oracle": True, **row}
    return FunctionRow(name, public, oracle=oracle, against=against, arguments=arguments, **keywords)


def _optax_smoothed(logits, labels, smoothing):
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing))


def _numpy_rejection(logits, labels, rejection_logit=-1.0):
    z = exact(logits)
    return np.log(np.exp(rejection_logit) + np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]


def _optax_weighted(logits, labels):
    weights = jnp.asarray(_class_weights, logits.dtype)[labels]
    return weights * optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def _some_ignored(rng, batch):
    logits, labels = logits_and_labels(rng, batch)
    return logits, np.where(np.arange(batch) % 3 == 0, -1, labels)


def _optax_ignored(logits, labels):
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
    return jnp.where(labels < 0, 0, loss)


def _optax_binary(logits, labels, smoothing=0.0):
    t = labels.astype(logits.dtype) * (1 - smoothing) + smoothing / 2
    return optax.sigmoid_binary_cross_entropy(logits, t).reshape(len(logits), -1).sum(axis=1)


def _weighted_binary(logits, labels, weight):
    return -jnp.where(labels == 1, weight * jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)).sum(axis=1)


def pairwise_hinges(scores, labels, power=1):
    """CS231n's loop over the classes."""
    right = scores[jnp.arange(len(scores)), labels]
    each = [jnp.where(labels == j, 0, jax.nn.relu(scores[:, j] - right + 1) ** power) for j in range(scores.shape[1])]
    return jnp.stack(each).sum(axis=0)


def _optax_triplet(anchor, positive, negative):
    difference = optax.squared_error(anchor, positive) - optax.squared_error(anchor, negative)
    return jnp.maximum(difference.sum(axis=1) + 0.2, 0)


def _piecewise_contrastive(left, right, same):
    distance = jnp.linalg.norm(left - right, axis=1)
    return optax.l2_loss(jnp.where(same, distance, jnp.maximum(1 - distance, 0)))


def _optax_negative_sampling(positive, negative):
    logits = jnp.concatenate([positive[:, None], negative], axis=1)
    return optax.sigmoid_binary_cross_entropy(logits, jnp.zeros_like(logits).at[:, 0].set(1)).sum(axis=1)


def _cross_entropy_less_entropy(log_p, t):
    return -(t * log_p).sum(axis=1) - entr(t).sum(axis=1)


def _gaussian(mean, x, log_variance):
    return norm.logpdf(x, mean, jnp.exp(log_variance / 2)).sum(axis=(1, 2))


def _kl_of_gaussians(mean, log_variance):
    """log(s2 / s1) + (s1^2 + (mu1 - mu2)^2) / (2 s2^2) - 1/2 with mu2 = 0, s2 = 1."""
    s = jnp.exp(log_variance / 2)
    return (-jnp.log(s) + (s**2 + mean**2) / 2 - 0.5).sum(axis=(1, 2))


def _game(real, fake):
    return -jax.nn.log_sigmoid(real) - jax.nn.log_sigmoid(-fake)


def _optax_least_squares(real, fake):
    return optax.l2_loss(real, jnp.ones_like(real)) + optax.l2_loss(fake)


_CLASSIFICATION = [
    loss_row(
        "cross_entropy",
        optax.softmax_cross_entropy_with_integer_labels,
        "optax.softmax_cross_entropy_with_integer_labels",
        logits_and_labels,
    ),
    loss_row(
        "cross_entropy, probabilities",
        optax.softmax_cross_entropy,
        "optax.softmax_cross_entropy",
        logits_and_probabilities,
    ),
    loss_row(
        "cross_entropy, smoothed",
        partial(_optax_smoothed, smoothing=0.1),
        "optax.smooth_labels",
        logits_and_labels,
        ours=partial(losses.cross_entropy, label_smoothing=0.1),
    ),
    loss_row(
        "cross_entropy, class weights",
        _optax_weighted,
        "optax.softmax_cross_entropy_with_integer_labels",
        logits_and_labels,
        ours=partial(losses.cross_entropy, class_weights=_class_weights),
    ),
    loss_row(
        "cross_entropy, ignored label",
        _optax_ignored,
        "optax.softmax_cross_entropy_with_integer_labels",
        _some_ignored,
        ours=partial(losses.cross_entropy, ignored_label=-1),
    ),
    loss_row(
        "cross_entropy_with_rejection",
        _numpy_rejection,
        "NumPy",
        logits_and_labels,
        differentiable_oracle=False,
    ),
    loss_row("binary_cross_entropy", _optax_binary, "optax.sigmoid_binary_cross_entropy", zeros_and_ones()),
    loss_row(
        "binary_cross_entropy, multi-label",
        _optax_binary,
        "optax.sigmoid_binary_cross_entropy",
        zeros_and_ones(3),
    ),
    loss_row(
        "binary_cross_entropy, smoothed",
        partial(_optax_binary, smoothing=0.2),
        "optax.sigmoid_binary_cross_entropy",
        zeros_and_ones(3),
        ours=partial(losses.binary_cross_entropy, label_smoothing=0.2),
    ),
    loss_row(
        "binary_cross_entropy, positive weight",
        partial(_weighted_binary, weight=2.5),
        "jax.nn.log_sigmoid",
        zeros_and_ones(3),
        ours=partial(losses.binary_cross_entropy, positive_weight=2.5),
    ),
    loss_row(
        "kl_divergence",
        _cross_entropy_less_entropy,
        "jax.scipy.special.entr",
        lambda rng, batch: tuple(f(rng.dirichlet(np.ones(7), size=batch)) for f in (np.log, np.asarray)),
    ),
    loss_row(
        "kl_divergence, log targets",
        optax.losses.kl_divergence_with_log_targets,
        "optax.losses.kl_divergence_with_log_targets",
        lambda rng, batch: np.log(rng.dirichlet(np.ones(7), size=(2, batch))),
        ours=partial(losses.kl_divergence, log_targets=True),
    ),
    loss_row(
        "hinge",
        lambda z, t: optax.hinge_loss(z, t).sum(axis=1),
        "optax.hinge_loss",
        scores_and_signs,
    ),
    loss_row(
        "perceptron_criterion",
        lambda z, t: optax.losses.perceptron_loss(z, t).sum(axis=1),
        "optax.losses.perceptron_loss",
        scores_and_signs,
    ),
    loss_row(
        "multiclass_perceptron_criterion",
        optax.losses.multiclass_perceptron_loss,
        "optax.losses.multiclass_perceptron_loss",
        logits_and_labels,
    ),
    loss_row("weston_watkins", pairwise_hinges, "jax.numpy", logits_and_labels),
    loss_row(
        "crammer_singer",
        optax.losses.multiclass_hinge_loss,
        "optax.losses.multiclass_hinge_loss",
        logits_and_labels,
    ),
]

_REGRESSION = [
    loss_row(
        "squared_error",
        lambda y, t: optax.squared_error(y, t).sum(axis=(1, 2)),
        "optax.squared_error",
        normals(2, 4, 3),
    ),
    loss_row("squared_error, one output", optax.squared_error, "optax.squared_error", normals(2)),
    loss_row(
        "absolute_error",
        lambda y, t: jnp.linalg.norm(y - t, ord=1, axis=1),
        "jax.numpy.linalg.norm",
        normals(2, 4),
    ),
    loss_row(
        "huber",
        lambda y, t: optax.huber_loss(y, t, delta=0.7).sum(axis=1),
        "optax.huber_loss",
        normals(2, 4),
        ours=partial(losses.huber, delta=0.7),
    ),
]

_EMBEDDINGS = [
    loss_row(
        "triplet",
        _optax_triplet,
        "optax.squared_error",
        normals(3, 4),
        ours=lambda a, p, n: losses.triplet(a, p, negative=n),
    ),
    loss_row(
        "contrastive",
        _piecewise_contrastive,
        "optax.l2_loss",
        pairs,
        ours=lambda left, right, same: losses.contrastive(left, right, same=same),
    ),
    loss_row(
        "negative_sampling",
        _optax_negative_sampling,
        "optax.sigmoid_binary_cross_entropy",
        lambda rng, batch: (rng.normal(size=batch), rng.normal(size=(batch, 5))),
    ),
]

_GENERATIVE = [
    loss_row(
        "bernoulli_log_likelihood",
        lambda z, x: -optax.sigmoid_binary_cross_entropy(z, x).sum(axis=(1, 2)),
        "optax.sigmoid_binary_cross_entropy",
        _intensities,
    ),
    loss_row(
        "gaussian_log_likelihood",
        _gaussian,
        "jax.scipy.stats.norm",
        normals(3, 4, 2),
        ours=lambda mean, x, log_variance: losses.gaussian_log_likelihood(mean, x, log_variance=log_variance),
    ),
    loss_row(
        "gaussian_log_likelihood, unit variance",
        lambda mean, x: norm.logpdf(x, mean).sum(axis=(1, 2)),
        "jax.scipy.stats.norm",
        normals(2, 4, 2),
    ),
    loss_row(
        "kl_to_standard_normal",
        _kl_of_gaussians,
        "jax.numpy",
        normals(2, 4, 2),
    ),
    loss_row("minimax_discriminator", _game, "jax.nn.log_sigmoid", normals(2)),
    loss_row("minimax_generator", lambda z: jax.nn.log_sigmoid(-z), "jax.nn.log_sigmoid", normals(1)),
    loss_row("non_saturating_generator", lambda z: -jax.nn.log_sigmoid(z), "jax.nn.log_sigmoid", normals(1)),
    loss_row("least_squares_discriminator", _optax_least_squares, "optax.l2_loss", normals(2)),
    loss_row(
        "least_squares_generator",
        lambda z: optax.l2_loss(z, jnp.ones_like(z)),
        "optax.l2_loss",
        normals(1),
    ),
]

LOSSES = [*_CLASSIFICATION, *_REGRESSION, *_EMBEDDINGS, *_GENERATIVE]
