"""Cross-entropies measure how many nats it takes to encode the targets with the predicted probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num

from jaxnn.activations import log_softmax, softplus
from jaxnn.losses.label_targets import class_targets
from jaxnn.losses.per_example import (
    OF_SIGNS,
    check_class_weights,
    check_labels,
    check_range,
    check_same_shape,
    checked_shares,
    is_label,
    nan_unless,
    sum_features,
)


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"] | Float[Array | np.ndarray, "batch classes"],
    *,
    label_smoothing: float | Num[Array, ""] = 0.0,
    class_weights: Float[Array | np.ndarray, " classes"] | None = None,
    ignored_label: int | None = None,
) -> Float[Array, " batch"]:
    """Computes the categorical cross-entropy `-sum_k t_k log softmax(z)_k` in nats; it is stable for any logits.

    Gradient: `d/dz_k = softmax(z)_k - t_k`. With smoothing s over K classes, `t` becomes `(1 - s) t + s / K` (Szegedy
    et al. 2015, arXiv 1512.00567). With class weights, `t_k` then becomes `w_k t_k`, so an example of class k has the
    weight w_k. The weights are not renormalized: a mean over the batch divides by the batch size, while PyTorch's mean
    divides by the sum of the weights of the labels; `label_weights` gives that one.

    Args:
      logits: (batch, classes). With integer labels and s = 0, a logit of -inf excludes a class.
      labels: (batch,) integers, or (batch, classes) probabilities. An integer that is not a class gives NaN.
      label_smoothing: s in [0, 1]; may be traced.
      class_weights: w, (classes,).
      ignored_label: an integer label, such as -100, whose examples have the loss 0 and the gradient 0 (PyTorch's
        `ignore_index`). They still count in a plain mean; `label_weights` leaves them out of it.

    Raises:
      ValueError: if the shapes do not match, s is outside [0, 1], a NumPy array has integers that are not classes, or
        there is an ignored label beside probabilities.

    >>> cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 7])).round(4)
    Array([2.3026, 2.3026], dtype=float32)
    """
    check_range("label_smoothing", label_smoothing, 0, 1)
    check_class_weights(class_weights, logits)
    targets = class_targets(logits, labels, ignored_label)
    t = (1 - label_smoothing) * targets.t + label_smoothing / logits.shape[-1]
    if class_weights is not None:
        t = jnp.asarray(class_weights, logits.dtype)[None] * t
    return targets.loss_of(t, log_softmax(logits))


def cross_entropy_with_rejection(
    logits: Float[Array, "batch classes"],
    labels: Integer[Array | np.ndarray, " batch"],
    *,
    rejection_logit: float = -1.0,
) -> Float[Array, " batch"]:
    """Computes LeNet-5's maximum a posteriori criterion `-z_t + log(exp(r) + sum_k exp(z_k))` for the label t.

    With `z_k = -distance to class k's prototype`, the loss pulls the right prototype nearer and pushes the others away
    until they are farther than a constant "rubbish" class of logit r (LeCun et al. 1998, eq. 9, where `r = -j`).

    Raises:
      ValueError: if the labels have another shape, or a NumPy array has labels that are not classes (in a JAX array
        they give NaN).

    >>> cross_entropy_with_rejection(jnp.array([[0.0, -50.0]]), jnp.array([0]), rejection_logit=-50.0).tolist()
    [0.0]
    """
    check_labels(labels, logits)
    hit = is_label(labels, logits)
    target_logit = jnp.sum(jnp.where(hit, logits, 0), axis=-1)
    with_rejection = jnp.concatenate([logits, jnp.full_like(logits[:, :1], rejection_logit)], axis=1)
    return nan_unless(hit.any(axis=-1), jax.nn.logsumexp(with_rejection, axis=1) - target_logit)


def binary_cross_entropy(
    logits: Float[Array, "batch ..."],
    labels: Num[Array | np.ndarray, "batch ..."] | Bool[Array | np.ndarray, "batch ..."],
    *,
    label_smoothing: float | Num[Array, ""] = 0.0,
    positive_weight: float | Num[Array, "..."] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the logistic loss `-sum_k [w t_k log s(z_k) + (1 - t_k) log(1 - s(z_k))]`, with s the sigmoid.

    The sum is over the labels of an example. Gradient: `d/dz = s(z) - t` for w = 1. One logit decides between two
    classes. Several logits decide independently, which is multi-label classification. With smoothing a, `t` becomes
    `(1 - a) t + a / 2`.

    Args:
      logits: (batch,) or (batch, ...).
      labels: t in [0, 1] or booleans, of the logits' shape; any other number gives NaN.
      label_smoothing: a in [0, 1]; may be traced.
      positive_weight: w, the weight of t = 1: a number, or one number for each label of the last axis. A weight above 1
        favours recall, a weight below 1 precision.

    Raises:
      ValueError: if the shapes do not match, a is outside [0, 1], or NumPy labels are outside [0, 1].

    >>> binary_cross_entropy(jnp.array([0.0, 1e4]), jnp.array([1, 1])).round(4)
    Array([0.6931, 0.    ], dtype=float32)
    """
    check_same_shape(logits=logits, labels=labels)
    if jnp.shape(positive_weight) not in ((), logits.shape[1:][-1:]):
        raise ValueError(
            f"`positive_weight` must be a number or have shape {logits.shape[1:][-1:]}, one for each label; received "
            f"{jnp.shape(positive_weight)}."
        )
    check_range("label_smoothing", label_smoothing, 0, 1)
    shares, valid = checked_shares("labels", labels, logits, OF_SIGNS)
    t = (1 - label_smoothing) * shares + label_smoothing / 2
    w = jnp.broadcast_to(jnp.asarray(positive_weight, logits.dtype), logits.shape)
    loss = sum_features(w * t * softplus(-logits) + (1 - t) * softplus(logits))
    return nan_unless(valid, loss)


def kl_divergence(
    log_predictions: Float[Array, "batch classes"],
    targets: Float[Array | np.ndarray, "batch classes"],
    *,
    log_targets: bool = False,
) -> Float[Array, " batch"]:
    """Computes the Kullback-Leibler divergence `KL(t || p) = sum_k t_k (log t_k - log p_k)` in nats.

    0 log 0 counts as 0. The divergence is the cross-entropy minus the entropy of the targets, so it is at least 0, and
    it is 0 if p = t. Gradient: `-t_k / p_k` in p_k, and `p_k - t_k` in the logits of p, as for the cross-entropy
    (Kullback and Leibler 1951).

    Args:
      log_predictions: log p, (batch, classes), such as the result of `log_softmax`.
      targets: t, (batch, classes) probabilities.
      log_targets: whether `targets` are log t, which is exact for the small probabilities of another model (PyTorch's
        `log_target`). -inf is the logarithm of 0.

    Raises:
      ValueError: if the shapes differ.

    >>> kl_divergence(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]])).round(4)
    Array([0.6931], dtype=float32)
    """
    check_same_shape(log_predictions=log_predictions, targets=targets)
    supported = targets != (-jnp.inf if log_targets else 0)
    given = jnp.where(supported, targets, 0 if log_targets else 1)  # both factors are replaced at t = 0: one `where`
    log_p = jnp.where(supported, log_predictions, 0)  # alone would put 0 * inf in the gradient
    t, log_t = (jnp.exp(given), given) if log_targets else (given, jnp.log(given))
    return jnp.sum(jnp.where(supported, t * (log_t - log_p), 0), axis=-1)
