"""Arguments of bad shapes, and what the refusal of each function says of them."""

import jax.numpy as jnp


def floats(*shape):
    return jnp.zeros(shape, jnp.float32)


def integers(*shape):
    return jnp.zeros(shape, jnp.int32)


REFUSED = {  # the row's name: the arguments, and a pattern of the message
    "prelu, per channel": ([floats(2, 5), floats(4)], r"`slope` must be a number or of shape \(5,\)"),
    "maxout": ([floats(2, 5)], "`pieces` must be at least 1 and divide"),
    "radial_basis": ([floats(2, 4), floats(3, 5), floats(3) + 1], "`x` must have shape"),
    "per_unit": ([floats(2, 4)], "`x` must have 5 features on its last axis"),
    "cross_entropy": ([floats(4, 7), integers(4, 1)], "labels"),
    "cross_entropy, probabilities": ([floats(4, 7), floats(4, 6)], "labels"),
    "cross_entropy, smoothed": ([floats(4, 7), integers(4, 1)], "labels"),
    "cross_entropy, class weights": ([floats(4, 6), integers(4)], "class_weights"),
    "cross_entropy, ignored label": ([floats(4, 7), integers(4, 1)], "labels"),
    "cross_entropy_of_probabilities": ([floats(4, 7), integers(4, 1)], "labels"),
    "cross_entropy_of_probabilities, limited logarithm": ([floats(4, 7), integers(4, 1)], "labels"),
    "cross_entropy_of_probabilities, probabilities": ([floats(4, 7), floats(4, 6)], "labels"),
    "binary_cross_entropy_of_probabilities, probability": (
        [floats(4, 3), floats(4, 2)],
        "`labels` must have the shape of `probabilities`",
    ),
    "binary_cross_entropy_of_probabilities, logarithm": (
        [floats(4, 3), floats(4, 2)],
        "`labels` must have the shape of `probabilities`",
    ),
    "focal": ([floats(4, 7), integers(4, 1)], "labels"),
    "binary_focal": ([floats(4, 3), floats(4, 2)], "`labels` must have the shape of `logits`"),
    "tversky": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `probabilities`"),
    "dice": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `probabilities`"),
    "jaccard": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `probabilities`"),
    "ctc": ([floats(4, 6, 7), integers(3, 2), floats(4, 6) == 0, floats(4, 2) == 0], "labels"),
    "cross_entropy_with_rejection": ([floats(4, 7), integers(4, 1)], "labels"),
    "binary_cross_entropy, multi-label": ([floats(4, 3), floats(4, 2)], "`labels` must have the shape of `logits`"),
    "kl_divergence": ([floats(4, 7), floats(4, 6)], "targets"),
    "kl_divergence, log targets": ([floats(4, 7), floats(4, 6)], "targets"),
    "squared_hinge": ([floats(4, 3), floats(4, 2)], "`signs` must have the shape of `scores`"),
    "squared_weston_watkins": ([floats(4, 7), integers(4, 1)], "labels"),
    "margin_ranking": ([floats(4), floats(3), integers(4) + 1], "right_scores"),
    "hinge": ([floats(4, 3), floats(4, 2)], "`signs` must have the shape of `scores`"),
    "perceptron_criterion": ([floats(4, 3), floats(4, 2)], "`signs` must have the shape of `scores`"),
    "multiclass_perceptron_criterion": ([floats(4, 7), integers(4, 1)], "labels"),
    "weston_watkins": ([floats(4, 7), integers(4, 1)], "labels"),
    "crammer_singer": ([floats(4, 7), integers(4, 1)], "labels"),
    "squared_error": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `outputs`"),
    "absolute_error": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `outputs`"),
    "huber": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `outputs`"),
    "smooth_l1": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `outputs`"),
    "log_cosh": ([floats(4, 3), floats(4, 2)], "`targets` must have the shape of `outputs`"),
    "pinball": ([floats(4, 3), floats(4, 3)], r"`quantile` must be a number or have shape \(3,\).* received \(4,\)"),
    "poisson_nll": ([floats(4, 3), integers(4, 2)], "`counts` must have the shape of `log_rates`"),
    "gaussian_nll": ([floats(4, 3), floats(4, 3), floats(4, 2)], "`variance` must have the shape of `mean`"),
    "triplet_margin": ([floats(4, 3), floats(4, 2), floats(4, 3)], "positive"),
    "cosine_distance": ([floats(4, 3), floats(4, 2)], "right"),
    "cosine_embedding": ([floats(4, 3), floats(4, 2), integers(4)], "right"),
    "triplet": ([floats(4, 3), floats(4, 2), floats(4, 3)], "positive"),
    "contrastive": ([floats(4, 3), floats(4, 2), integers(4)], "right"),
    "negative_sampling": ([floats(4), floats(3, 5)], "negative_logits"),
    "bernoulli_log_likelihood": ([floats(4, 3), floats(4, 2)], "`x` must have the shape of `logits`"),
    "gaussian_log_likelihood": ([floats(4, 3), floats(4, 2), floats(4, 3)], "`x` must have the shape of `mean`"),
    "kl_to_standard_normal": ([floats(4, 3), floats(4, 2)], "`log_variance` must have the shape of `mean`"),
    "minimax_discriminator": ([floats(4), floats(3)], "fake_logits"),
    "least_squares_discriminator": ([floats(4), floats(3)], "fake_logits"),
    "accuracy": ([floats(4, 7), integers(4, 1)], "labels"),
    "top_k, k = 1": ([floats(4, 7), integers(4, 1)], "labels"),
    "top_k, k = 3": ([floats(4, 7), integers(4, 1)], "labels"),
    "top_k, k = 7": ([floats(4, 7), integers(4, 1)], "labels"),
    "precision, per class": ([integers(2, 3)], "matrix"),
    "precision, macro": ([integers(2, 3)], "matrix"),
    "precision, micro": ([integers(2, 3)], "matrix"),
    "precision, weighted": ([integers(2, 3)], "matrix"),
    "recall, per class": ([integers(2, 3)], "matrix"),
    "recall, macro": ([integers(2, 3)], "matrix"),
    "recall, micro": ([integers(2, 3)], "matrix"),
    "recall, weighted": ([integers(2, 3)], "matrix"),
    "f1, per class": ([integers(2, 3)], "matrix"),
    "f1, macro": ([integers(2, 3)], "matrix"),
    "f1, micro": ([integers(2, 3)], "matrix"),
    "f1, weighted": ([integers(2, 3)], "matrix"),
    "wilson_interval": ([integers(3), integers(2) + 1], "count"),
    "recall_at_k": ([floats(4, 2), integers(4, 1)], "labels"),
    "average_precision": ([floats(4, 2), integers(4, 1)], "labels"),
    "linear": ([floats(3)], "x"),
    "polynomial": ([floats(4, 1)], "x"),
    "gaussian basis": ([floats(4, 1)], "centres"),
    "gaussian basis, in the plane": ([floats(3)], "centres"),
    "sigmoidal": ([floats(4, 1)], "x"),
    "l1_sparsity": ([floats() + 1], "activations"),
    "kl_sparsity": ([floats() + 1], "activations"),
    "kl_sparsity, target 0.3": ([floats() + 1], "activations"),
    "convolve": ([floats(3, 3, 5, 4), floats(2, 7, 5, 3)], "feature"),
    "convolve, tiled": ([floats(3, 3, 5, 4), floats(2, 7, 5, 3)], r"received \(2, 7, 5, \d\) with"),
    "convolve, canonical": ([floats(3, 3, 5, 4), floats(2, 7, 5, 3)], r"received \(2, 7, 5, \d\) with"),
    "convolve, xla": ([floats(3, 3, 5, 4), floats(2, 7, 5, 3)], "feature"),
    "convolve, same": ([floats(3, 2, 2, 4), floats(2, 7, 5, 3)], "feature"),
    "convolve, groups": ([floats(3, 2, 2, 5), floats(2, 7, 5, 4)], "feature"),
    "convolve, groups canonical": ([floats(3, 2, 2, 5), floats(2, 7, 5, 4)], r"received \(2, 7, 5, \d\) with"),
    "convolve, depthwise": ([floats(3, 2, 1, 6), floats(2, 7, 5, 4)], "feature"),
    "convolve, dilation": ([floats(3, 2, 5, 4), floats(2, 7, 5, 3)], "feature"),
    "convolve, dilation tiled": ([floats(3, 2, 5, 4), floats(2, 7, 5, 3)], r"received \(2, 7, 5, \d\) with"),
    "convolve_transposed": (
        [floats(3, 3, 4, 3), floats(2, 7, 5, 3)],
        r"received \(2, 7, 5, 3\) and .* Is the kernel mirrored",
    ),
    "convolve_transposed, strided": (
        [floats(4, 3, 4, 3), floats(2, 7, 5, 3)],
        r"received \(2, 7, 5, 3\) and .* Is the kernel mirrored",
    ),
    "convolve_transposed, valid": (
        [floats(4, 2, 4, 3), floats(2, 7, 5, 3)],
        r"received \(2, 7, 5, 3\) and .* Is the kernel mirrored",
    ),
    "convolve_transposed, padded": (
        [floats(3, 4, 4, 3), floats(2, 7, 5, 3)],
        r"received \(2, 7, 5, 3\) and .* Is the kernel mirrored",
    ),
    "connect_locally": (
        [floats(5, 4, 12, 4), floats(2, 7, 5, 3)],
        r"`kernel` must have shape .* received \(\d, \d, 12, 4\)",
    ),
    "connect_locally, strided": (
        [floats(4, 2, 12, 4), floats(2, 7, 5, 3)],
        r"`kernel` must have shape .* received \(\d, \d, 12, 4\)",
    ),
    "connect_locally, padded": (
        [floats(5, 5, 12, 4), floats(2, 7, 5, 3)],
        r"`kernel` must have shape .* received \(\d, \d, 12, 4\)",
    ),
    "dense": (
        [floats(3, 4), floats(4), floats(2, 5)],
        r"`x` must have shape \(batch, in\), .* received \(2, 5\), \(3, 4\)",
    ),
    "max_pool": (
        [floats(2, 1, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\) no smaller .* received \(2, 1, 8, 3\)",
    ),
    "max_pool, 3 x 1": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "max_pool, far edge left out": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "max_pool, overlapping": (
        [floats(2, 1, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\) no smaller .* received \(2, 1, 8, 3\)",
    ),
    "max_pool, overlapping, SAME": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "max_pool, stride 1, SAME": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "max_pool, gaps": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "max_pool, padded": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "average_pool": (
        [floats(2, 1, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\) no smaller .* received \(2, 1, 8, 3\)",
    ),
    "average_pool, overlapping": (
        [floats(2, 1, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\) no smaller .* received \(2, 1, 8, 3\)",
    ),
    "average_pool, padded": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "average_pool, padding not counted": (
        [floats(9, 8, 3)],
        r"`x` must have shape \(batch, height, width, channels\).* received \(9, 8, 3\)",
    ),
    "global_average_pool": ([floats(2, 3)], r"received \(2, 3\). Pool before the Flatten"),
    "global_max_pool": ([floats(2, 3)], r"received \(2, 3\). Pool before the Flatten"),
    "batch_norm, dense": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "batch_norm": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "batch_norm, sequences": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "batch_norm, images of a large batch": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "batch_norm_inference": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "layer_norm": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "layer_norm, sequences": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "group_norm, 1 groups": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "group_norm, 2 groups": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "group_norm, 6 groups": (
        [floats(5), floats(5), floats(2, 4, 6)],
        r"`x` must have shape \(batch, ..., features\).* received \(2, 4, 6\)",
    ),
    "rms_norm": ([floats(5), floats(2, 6)], r"`x` must have shape .* received \(2, 6\)"),
    "embed": ([floats(5, 3), floats(2, 4)], "ids"),
    "embed, sequences": ([floats(5, 3), floats(2, 4)], "ids"),
    "maxout_dense": (
        [floats(4, 16), floats(16), floats(2, 4)],
        "`pieces` must be at least 1 and divide the kernel's 16 columns; received 3",
    ),
    "softmax_cross_entropy": ([floats(4, 7), integers(4, 1)], "labels"),
    "softmax_cross_entropy, probabilities": ([floats(4, 7), floats(4, 6)], "labels"),
}
