"""These rows compare the losses that PyTorch, Keras and Optax have, too, with their references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import entr, logit, rel_entr
from jax.scipy.stats import norm, poisson

from jaxnn import losses
from jaxnn.verification.arguments import logits_and_labels, normals, pairs, scores_and_signs, zeros_and_ones
from jaxnn.verification.loss_references import loss_row, pairwise_hinges
from jaxnn.verification.rows import exact

_CLASSES = 7
_QUANTILES = np.array([0.1, 0.5, 0.7, 0.9])


def _sure(rng, *shape):
    """Probabilities of classes, none near 0, where the losses are limited."""
    p = rng.dirichlet(np.ones(_CLASSES), size=shape) + 0.05
    return p / p.sum(axis=-1, keepdims=True)


def _probabilities_and_labels(rng, batch):
    return _sure(rng, batch), rng.integers(_CLASSES, size=batch)


def _regions(rng, batch):
    return rng.uniform(0.1, 0.9, size=(batch, 4, 3)), rng.integers(2, size=(batch, 4, 3))


def _rankings(rng, batch):
    return *rng.normal(size=(2, batch)), 2 * rng.integers(2, size=batch) - 1


def _counts(rng, batch):
    return rng.normal(size=(batch, 4)), rng.poisson(3, size=(batch, 4))


def _means_and_variances(rng, batch):
    return *rng.normal(size=(2, batch, 4)), rng.uniform(0.5, 2, size=(batch, 4))


def _sequences(rng, batch, time=9, symbols=3):
    """Logits, labels, and masks of both; symbols that repeat are among them, and all fit into the time."""
    lengths, spellings = rng.integers(6, time + 1, size=(batch, 1)), rng.integers(symbols + 1, size=(batch, 1))
    masks = np.arange(time) < lengths, np.arange(symbols) < spellings
    return rng.normal(size=(batch, time, 4)), rng.integers(1, 4, size=(batch, symbols)), *masks


def _likelihood(p, labels):
    return -jnp.log(p[jnp.arange(len(p)), labels])


def _softmax_focal(logits, labels, gamma=2.0):
    p = jax.nn.softmax(logits)[jnp.arange(len(logits)), labels]
    return -((1 - p) ** gamma) * jnp.log(p)


def _optax_overlap(p, t, **options):
    z, targets = logit(p).reshape(len(p), -1, 1), t.reshape(len(t), -1, 1).astype(p.dtype)
    return optax.losses.dice_loss(z, targets, **options)


def _optax_ctc(logits, labels, mask, label_mask):
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return optax.ctc_loss(wide, (~mask).astype(wide.dtype), labels, (~label_mask).astype(wide.dtype))


def _cosine_embedding(left, right, same):
    distance = optax.cosine_distance(left, right)
    return jnp.where(same, distance, jnp.maximum(1 - distance - 0.2, 0))


def _piecewise_pinball(y, t):
    q = jnp.asarray(_QUANTILES, y.dtype)[None]
    return jnp.where(y < t, q * (t - y), (1 - q) * (y - t)).sum(axis=1)


def _gaussian_less_constant(mean, t, variance):
    return -norm.logpdf(t, mean, jnp.sqrt(variance)).sum(axis=1) - 4 * np.log(2 * np.pi) / 2


_CLASSIFICATION = [
    loss_row(
        "cross_entropy_of_probabilities",
        _likelihood,
        "jax.numpy",
        _probabilities_and_labels,
    ),
    loss_row(
        "cross_entropy_of_probabilities, limited logarithm",
        _likelihood,
        "jax.numpy",
        _probabilities_and_labels,
        ours=partial(losses.cross_entropy_of_probabilities, clip="logarithm"),
    ),
    loss_row(
        "cross_entropy_of_probabilities, probabilities",
        lambda p, t: (rel_entr(t, p) + entr(t)).sum(axis=1),
        "jax.scipy.special.rel_entr",
        lambda rng, batch: tuple(_sure(rng, 2, batch)),
    ),
    *(
        loss_row(
            f"binary_cross_entropy_of_probabilities, {clip}",
            lambda p, t: optax.sigmoid_binary_cross_entropy(logit(p), t).sum(axis=(1, 2)),
            "optax.sigmoid_binary_cross_entropy",
            _regions,
            ours=partial(losses.binary_cross_entropy_of_probabilities, clip=clip),
        )
        for clip in ("probability", "logarithm")
    ),
    loss_row(
        "label_weights",
        lambda labels, w: exact(w)[np.asarray(labels)],
        "NumPy",
        lambda rng, batch: (rng.integers(_CLASSES, size=batch), rng.uniform(0.5, 2, size=_CLASSES)),
        ours=lambda labels, w: losses.label_weights(labels, class_weights=w),
        differentiable_oracle=False,
    ),
    loss_row("focal", _softmax_focal, "jax.nn.softmax", logits_and_labels),
    loss_row(
        "binary_focal",
        lambda z, t: optax.sigmoid_focal_loss(z, t, alpha=0.25, gamma=1.5).sum(axis=1),
        "optax.sigmoid_focal_loss",
        zeros_and_ones(3),
        ours=partial(losses.binary_focal, alpha=0.25, gamma=1.5),
    ),
    loss_row(
        "squared_hinge",
        lambda z, t: (optax.hinge_loss(z, t) ** 2).sum(axis=1),
        "optax.hinge_loss",
        scores_and_signs,
    ),
    loss_row(
        "squared_weston_watkins",
        partial(pairwise_hinges, power=2),
        "jax.numpy",
        logits_and_labels,
    ),
    loss_row(
        "margin_ranking",
        lambda a, b, t: optax.hinge_loss((a - b) / 0.5, t) * 0.5,
        "optax.hinge_loss",
        _rankings,
        ours=lambda a, b, t: losses.margin_ranking(a, b, signs=t, margin=0.5),
    ),
    loss_row(
        "ctc",
        _optax_ctc,
        "optax.ctc_loss",
        _sequences,
        ours=lambda z, labels, mask, label_mask: losses.ctc(z, labels, mask=mask, label_mask=label_mask),
    ),
]

_REGIONS = [
    loss_row(
        "tversky",
        partial(_optax_overlap, alpha=0.3, beta=0.7, smooth=0.5),
        "optax.losses.dice_loss",
        _regions,
        ours=partial(losses.tversky, false_positives=0.3, false_negatives=0.7, smoothing=0.5),
    ),
    loss_row("dice", _optax_overlap, "optax.losses.dice_loss", _regions),
    loss_row("jaccard", partial(_optax_overlap, alpha=1.0, beta=1.0), "optax.losses.dice_loss", _regions),
]

_EMBEDDINGS = [
    loss_row(
        "triplet_margin",
        partial(optax.losses.triplet_margin_loss, eps=0.0),
        "optax.losses.triplet_margin_loss",
        normals(3, 4),
        ours=lambda a, p, n: losses.triplet_margin(a, p, negative=n, eps=0.0),
    ),
    loss_row("cosine_distance", optax.cosine_distance, "optax.cosine_distance", normals(2, 4)),
    loss_row(
        "cosine_embedding",
        _cosine_embedding,
        "optax.cosine_distance",
        pairs,
        ours=lambda left, right, same: losses.cosine_embedding(left, right, same=same, margin=0.2),
    ),
]

_REGRESSION = [
    loss_row(
        "smooth_l1",
        lambda y, t: optax.huber_loss(y, t, delta=0.7).sum(axis=1) / 0.7,
        "optax.huber_loss",
        normals(2, 4),
        ours=partial(losses.smooth_l1, beta=0.7),
    ),
    loss_row("log_cosh", lambda y, t: optax.log_cosh(y, t).sum(axis=1), "optax.log_cosh", normals(2, 4)),
    loss_row(
        "pinball",
        _piecewise_pinball,
        "jax.numpy",
        normals(2, 4),
        ours=lambda y, t: losses.pinball(y, t, quantile=_QUANTILES),
    ),
    loss_row(
        "poisson_nll",
        lambda z, t: -poisson.logpmf(t, jnp.exp(z)).sum(axis=1),
        "jax.scipy.stats.poisson",
        _counts,
        ours=partial(losses.poisson_nll, full=True),
    ),
    loss_row(
        "gaussian_nll",
        _gaussian_less_constant,
        "jax.scipy.stats.norm",
        _means_and_variances,
        ours=lambda mean, t, variance: losses.gaussian_nll(mean, t, variance=variance),
    ),
    loss_row(
        "gaussian_nll, full",
        lambda mean, t, variance: -norm.logpdf(t, mean, jnp.sqrt(variance)).sum(axis=1),
        "jax.scipy.stats.norm",
        _means_and_variances,
        ours=lambda mean, t, variance: losses.gaussian_nll(mean, t, variance=variance, full=True),
    ),
]

PORTED_LOSSES = [*_CLASSIFICATION, *_REGIONS, *_EMBEDDINGS, *_REGRESSION]
