"""These rows compare the losses with their references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import entr
from jax.scipy.stats import norm

from jaxnn import losses
from jaxnn.verification.arguments import logits_and_labels, logits_and_probabilities
from jaxnn.verification.rows import FunctionRow, exact

_class_weights = np.linspace(0.5, 2.0, 7)


def _normals(count, *shape):
    """`count` arrays (batch, *shape)."""
    return lambda rng, batch: tuple(rng.normal(size=(count, batch, *shape)))


def _binary(*shape):
    return lambda rng, batch: (3 * rng.normal(size=(batch, *shape)), rng.integers(2, size=(batch, *shape)))


def _scores_and_signs(rng, batch):
    """Margins away from 0 and 1, where the losses bend."""
    margin, t = (
        rng.integers(-1, 2, size=(batch, 3)) + rng.uniform(0.1, 0.9, size=(batch, 3)),
        rng.integers(2, size=(batch, 3)),
    )
    return margin * (2 * t - 1), 2 * t - 1


def _intensities(rng, batch):
    return rng.normal(size=(batch, 4, 2)), rng.random((batch, 4, 2))


def _pairs(rng, batch):
    return *rng.normal(size=(2, batch, 4)) / 4, np.arange(batch) % 2 == 0


def _row(name, oracle, against, arguments, **row):
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


def _optax_binary(logits, labels, smoothing=0.0):
    t = labels.astype(logits.dtype) * (1 - smoothing) + smoothing / 2
    return optax.sigmoid_binary_cross_entropy(logits, t).reshape(len(logits), -1).sum(axis=1)


def _weighted_binary(logits, labels, weight):
    return -jnp.where(labels == 1, weight * jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)).sum(axis=1)


def _pairwise_hinges(scores, labels):
    """CS231n's loop over the classes."""
    right = scores[jnp.arange(len(scores)), labels]
    each = [jnp.where(labels == j, 0, jax.nn.relu(scores[:, j] - right + 1)) for j in range(scores.shape[1])]
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
    _row(
        "cross_entropy",
        optax.softmax_cross_entropy_with_integer_labels,
        "optax.softmax_cross_entropy_with_integer_labels",
        logits_and_labels,
    ),
    _row(
        "cross_entropy, probabilities",
        optax.softmax_cross_entropy,
        "optax.softmax_cross_entropy",
        logits_and_probabilities,
    ),
    _row(
        "cross_entropy, smoothed",
        partial(_optax_smoothed, smoothing=0.1),
        "optax.smooth_labels",
        logits_and_labels,
        ours=partial(losses.cross_entropy, label_smoothing=0.1),
    ),
    _row(
        "cross_entropy, class weights",
        _optax_weighted,
        "optax.softmax_cross_entropy_with_integer_labels",
        logits_and_labels,
        ours=partial(losses.cross_entropy, class_weights=_class_weights),
    ),
    _row(
        "cross_entropy_with_rejection",
        _numpy_rejection,
        "NumPy",
        logits_and_labels,
        differentiable_oracle=False,
    ),
    _row("binary_cross_entropy", _optax_binary, "optax.sigmoid_binary_cross_entropy", _binary()),
    _row(
        "binary_cross_entropy, multi-label",
        _optax_binary,
        "optax.sigmoid_binary_cross_entropy",
        _binary(3),
    ),
    _row(
        "binary_cross_entropy, smoothed",
        partial(_optax_binary, smoothing=0.2),
        "optax.sigmoid_binary_cross_entropy",
        _binary(3),
        ours=partial(losses.binary_cross_entropy, label_smoothing=0.2),
    ),
    _row(
        "binary_cross_entropy, positive weight",
        partial(_weighted_binary, weight=2.5),
        "jax.nn.log_sigmoid",
        _binary(3),
        ours=partial(losses.binary_cross_entropy, positive_weight=2.5),
    ),
    _row(
        "kl_divergence",
        _cross_entropy_less_entropy,
        "jax.scipy.special.entr",
        lambda rng, batch: tuple(f(rng.dirichlet(np.ones(7), size=batch)) for f in (np.log, np.asarray)),
    ),
    _row(
        "hinge",
        lambda z, t: optax.hinge_loss(z, t).sum(axis=1),
        "optax.hinge_loss",
        _scores_and_signs,
    ),
    _row(
        "perceptron_criterion",
        lambda z, t: optax.losses.perceptron_loss(z, t).sum(axis=1),
        "optax.losses.perceptron_loss",
        _scores_and_signs,
    ),
    _row(
        "multiclass_perceptron_criterion",
        optax.losses.multiclass_perceptron_loss,
        "optax.losses.multiclass_perceptron_loss",
        logits_and_labels,
    ),
    _row("weston_watkins", _pairwise_hinges, "jax.numpy", logits_and_labels),
    _row(
        "crammer_singer",
        optax.losses.multiclass_hinge_loss,
        "optax.losses.multiclass_hinge_loss",
        logits_and_labels,
    ),
]

_REGRESSION = [
    _row(
        "squared_error",
        lambda y, t: optax.squared_error(y, t).sum(axis=(1, 2)),
        "optax.squared_error",
        _normals(2, 4, 3),
    ),
    _row("squared_error, one output", optax.squared_error, "optax.squared_error", _normals(2)),
    _row(
        "absolute_error",
        lambda y, t: jnp.linalg.norm(y - t, ord=1, axis=1),
        "jax.numpy.linalg.norm",
        _normals(2, 4),
    ),
    _row(
        "huber",
        lambda y, t: optax.huber_loss(y, t, delta=0.7).sum(axis=1),
        "optax.huber_loss",
        _normals(2, 4),
        ours=partial(losses.huber, delta=0.7),
    ),
]

_EMBEDDINGS = [
    _row(
        "triplet",
        _optax_triplet,
        "optax.squared_error",
        _normals(3, 4),
        ours=lambda a, p, n: losses.triplet(a, p, negative=n),
    ),
    _row(
        "contrastive",
        _piecewise_contrastive,
        "optax.l2_loss",
        _pairs,
        ours=lambda left, right, same: losses.contrastive(left, right, same=same),
    ),
    _row(
        "negative_sampling",
        _optax_negative_sampling,
        "optax.sigmoid_binary_cross_entropy",
        lambda rng, batch: (rng.normal(size=batch), rng.normal(size=(batch, 5))),
    ),
]

_GENERATIVE = [
    _row(
        "bernoulli_log_likelihood",
        lambda z, x: -optax.sigmoid_binary_cross_entropy(z, x).sum(axis=(1, 2)),
        "optax.sigmoid_binary_cross_entropy",
        _intensities,
    ),
    _row(
        "gaussian_log_likelihood",
        _gaussian,
        "jax.scipy.stats.norm",
        _normals(3, 4, 2),
        ours=lambda mean, x, log_variance: losses.gaussian_log_likelihood(mean, x, log_variance=log_variance),
    ),
    _row(
        "gaussian_log_likelihood, unit variance",
        lambda mean, x: norm.logpdf(x, mean).sum(axis=(1, 2)),
        "jax.scipy.stats.norm",
        _normals(2, 4, 2),
    ),
    _row(
        "kl_to_standard_normal",
        _kl_of_gaussians,
        "jax.numpy",
        _normals(2, 4, 2),
    ),
    _row("minimax_discriminator", _game, "jax.nn.log_sigmoid", _normals(2)),
    _row("minimax_generator", lambda z: jax.nn.log_sigmoid(-z), "jax.nn.log_sigmoid", _normals(1)),
    _row("non_saturating_generator", lambda z: -jax.nn.log_sigmoid(z), "jax.nn.log_sigmoid", _normals(1)),
    _row("least_squares_discriminator", _optax_least_squares, "optax.l2_loss", _normals(2)),
    _row(
        "least_squares_generator",
        lambda z: optax.l2_loss(z, jnp.ones_like(z)),
        "optax.l2_loss",
        _normals(1),
    ),
]

LOSSES = [*_CLASSIFICATION, *_REGRESSION, *_EMBEDDINGS, *_GENERATIVE]
