"""Losses `loss(outputs, targets, *, ...)` return one number for each example, as an array (batch,).

The caller reduces this array with the mask of the batch. A label that names no class makes the loss of its example NaN
and the gradient of the example 0. So the error is visible where the loss is read, and a mask can hide it. If the labels
are a NumPy array, such a label raises a ValueError. An objective that weighs the examples, by class or 0 for ignored
labels, returns `training.Weighted(losses, weights)`; `label_weights` makes these weights.
"""

from jaxnn.losses.contrastive_losses import contrastive as contrastive
from jaxnn.losses.contrastive_losses import cosine_distance as cosine_distance
from jaxnn.losses.contrastive_losses import cosine_embedding as cosine_embedding
from jaxnn.losses.contrastive_losses import negative_sampling as negative_sampling
from jaxnn.losses.contrastive_losses import triplet as triplet
from jaxnn.losses.contrastive_losses import triplet_margin as triplet_margin
from jaxnn.losses.cross_entropies import binary_cross_entropy as binary_cross_entropy
from jaxnn.losses.cross_entropies import cross_entropy as cross_entropy
from jaxnn.losses.cross_entropies import cross_entropy_with_rejection as cross_entropy_with_rejection
from jaxnn.losses.cross_entropies import kl_divergence as kl_divergence
from jaxnn.losses.ctc_losses import ctc as ctc
from jaxnn.losses.focal_losses import binary_focal as binary_focal
from jaxnn.losses.focal_losses import focal as focal
from jaxnn.losses.gan_losses import least_squares_discriminator as least_squares_discriminator
from jaxnn.losses.gan_losses import least_squares_generator as least_squares_generator
from jaxnn.losses.gan_losses import minimax_discriminator as minimax_discriminator
from jaxnn.losses.gan_losses import minimax_generator as minimax_generator
from jaxnn.losses.gan_losses import non_saturating_generator as non_saturating_generator
from jaxnn.losses.hinge_losses import crammer_singer as crammer_singer
from jaxnn.losses.hinge_losses import hinge as hinge
from jaxnn.losses.hinge_losses import margin_ranking as margin_ranking
from jaxnn.losses.hinge_losses import multiclass_perceptron_criterion as multiclass_perceptron_criterion
from jaxnn.losses.hinge_losses import perceptron_criterion as perceptron_criterion
from jaxnn.losses.hinge_losses import squared_hinge as squared_hinge
from jaxnn.losses.hinge_losses import squared_weston_watkins as squared_weston_watkins
from jaxnn.losses.hinge_losses import weston_watkins as weston_watkins
from jaxnn.losses.label_targets import label_weights as label_weights
from jaxnn.losses.likelihood_losses import gaussian_nll as gaussian_nll
from jaxnn.losses.likelihood_losses import poisson_nll as poisson_nll
from jaxnn.losses.overlap_losses import dice as dice
from jaxnn.losses.overlap_losses import jaccard as jaccard
from jaxnn.losses.overlap_losses import tversky as tversky
from jaxnn.losses.probability_losses import (
    binary_cross_entropy_of_probabilities as binary_cross_entropy_of_probabilities,
)
from jaxnn.losses.probability_losses import cross_entropy_of_probabilities as cross_entropy_of_probabilities
from jaxnn.losses.regression_losses import absolute_error as absolute_error
from jaxnn.losses.regression_losses import huber as huber
from jaxnn.losses.regression_losses import log_cosh as log_cosh
from jaxnn.losses.regression_losses import pinball as pinball
from jaxnn.losses.regression_losses import smooth_l1 as smooth_l1
from jaxnn.losses.regression_losses import squared_error as squared_error
from jaxnn.losses.vae_losses import bernoulli_log_likelihood as bernoulli_log_likelihood
from jaxnn.losses.vae_losses import gaussian_log_likelihood as gaussian_log_likelihood
from jaxnn.losses.vae_losses import kl_to_standard_normal as kl_to_standard_normal
