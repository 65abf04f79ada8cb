"""Cross-entropies of probabilities p, for models that end with a softmax or a sigmoid.

The logarithm is limited near p = 0, because rounding makes a probability 0 that is only small. Beyond the limit the
gradient is 0, so a prediction that is wrong and sure learns nothing. The cross-entropies of logits have no such limit:
take them where the model can return logits. `clip="probability"` limits p to [1e-7, 1 - 1e-7], as Keras does;
`clip="logarithm"` limits log p to at least -100, as PyTorch's `BCELoss` does. (PyTorch's gradient is not that of its
limited loss: it divides by at least 1e-12.) A number that is not in [0, 1], by more than rounding, gives NaN.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num

from jaxnn.losses.label_targets import class_targets
from jaxnn.losses.per_example import (
    OF_SIGNS,
    check_same_shape,
    checked_shares,
    nan_unless,
    sum_features,
)
from jaxnn.naming import unknown

_CLIPS = ("logarithm", "probability")
_SMALLEST = 1e-7
_ROUNDING = 1e-3


def cross_entropy_of_probabilities(
    probabilities: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"] | Float[Array | np.ndarray, "batch classes"],
    *,
    clip: str = "probability",
    ignored_label: int | None = None,
) -> Float[Array, " batch"]:
    """Computes the categorical cross-entropy `-sum_k t_k log p_k` in nats of probabilities p.

    Gradient: `-t_k / p_k` in p_k, and 0 beyond the limit of `clip`. It is Keras' `CategoricalCrossentropy` of
    probabilities with sum 1; Keras divides others by their sum first.

    Args:
      probabilities: p, (batch, classes), such as the result of `softmax`.
      labels: (batch,) integers, or (batch, classes) probabilities. An integer that is not a class gives NaN.
      clip: "probability" or "logarithm".
      ignored_label: an integer label whose examples have the loss 0; see `cross_entropy`.

    Raises:
      ValueError: if the shapes do not match, a NumPy array has integers that are not classes, `clip` is unknown, or
        there is an ignored label beside probabilities.

    >>> cross_entropy_of_probabilities(jnp.array([[0.25, 0.75], [1.0, 0.0]]), jnp.array([1, 1])).round(4)
    Array([ 0.2877, 16.1181], dtype=float32)
    """
    log_p, _ = _limited_logarithms(probabilities, clip)
    targets = class_targets(probabilities, labels, ignored_label)
    return nan_unless(_are_probabilities(probabilities), targets.loss_of(targets.t, log_p))


def binary_cross_entropy_of_probabilities(
    probabilities: Float[Array, "batch ..."],
    labels: Num[Array | np.ndarray, "batch ..."] | Bool[Array | np.ndarray, "batch ..."],
    *,
    clip: str = "probability",
) -> Float[Array, " batch"]:
    """Computes `-sum_k [t_k log p_k + (1 - t_k) log(1 - p_k)]` of probabilities p; the labels of an example are summed.

    Gradient: `(p - t) / (p (1 - p))`, and 0 beyond the limit of `clip`. PyTorch's `BCELoss` and Keras'
    `BinaryCrossentropy` have its mean over the labels.

    Args:
      probabilities: p, (batch,) or (batch, ...), such as the result of `sigmoid`.
      labels: t in [0, 1] or booleans, of the same shape; any other number gives NaN.
      clip: "probability" or "logarithm".

    Raises:
      ValueError: if the shapes differ, NumPy labels are outside [0, 1], or `clip` is unknown.

    >>> binary_cross_entropy_of_probabilities(jnp.array([0.5, 0.0]), jnp.array([1, 1]), clip="logarithm").round(4)
    Array([  0.6931, 100.    ], dtype=float32)
    """
    check_same_shape(probabilities=probabilities, labels=labels)
    t, valid = checked_shares("labels", labels, probabilities, OF_SIGNS)
    log_p, log_q = _limited_logarithms(probabilities, clip)
    return nan_unless(valid & _are_probabilities(probabilities), -sum_features(t * log_p + (1 - t) * log_q))


def _limited_logarithms(p, clip):
    """Returns log p and log(1 - p), both limited."""
    if clip not in _CLIPS:
        raise unknown("clip", clip, _CLIPS)
    if clip == "logarithm":
        return _at_least_minus_100(p), _at_least_minus_100(1 - p)
    p = jnp.clip(p, _SMALLEST, 1 - _SMALLEST)
    return jnp.log(p), jnp.log(jnp.maximum(1 - p, _SMALLEST))  # in half precision 1 - 1e-7 is 1


def _at_least_minus_100(p):
    positive = p > 0
    return jnp.where(positive, jnp.maximum(jnp.log(jnp.where(positive, p, 1)), -100), -100)


def _are_probabilities(p):
    return sum_features(~((p >= -_ROUNDING) & (p <= 1 + _ROUNDING))) == 0
