"""Connectionist temporal classification (CTC) trains a network to write a sequence without saying when each symbol is.

An alignment gives each time step a class or the blank. Reading it merges repeated classes, then drops the blanks. CTC
is the negative log-probability of all alignments that read as the labels. With z the labels and a blank before, between
and after them, S = 2 N + 1 states, the forward recursion over time is

    alpha_t(s) = p_t(z_s) [alpha_(t-1)(s) + alpha_(t-1)(s - 1) + alpha_(t-1)(s - 2)],

where the last term is there only if z_s is no blank and differs from z_(s-2), for two equal labels need a blank between
them. The loss is -log of the sum over the two last states (Graves et al. 2006, eq. 5 to 8). The code computes
logarithms, in float32 at least.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from jaxnn.activations import log_softmax
from jaxnn.losses.per_example import check_range, checked_mask, nan_unless

_NEVER = -1e30  # the logarithm of 0, finite so that differences of two of them are numbers
_OF_LENGTHS = "Of lengths make jnp.arange(steps)[None] < lengths[:, None]."


def ctc(
    logits: Float[Array, "batch time classes"],
    labels: Integer[Array | np.ndarray, "batch symbols"],
    *,
    mask: Bool[Array | np.ndarray, "batch time"] | None = None,
    label_mask: Bool[Array | np.ndarray, "batch symbols"] | None = None,
    blank: int = 0,
) -> Float[Array, " batch"]:
    """Computes `-log p(labels | logits)`, summed over all alignments.

    Gradient in the logits: the softmax, minus the share of the alignments' probability that passes through the class at
    this time. If the labels do not fit into the time steps (each needs one, and equal neighbours a blank between them),
    the loss is infinite and its gradient 0. PyTorch's `CTCLoss` takes log-probabilities with time first, and its mean
    divides each loss by the number of its labels first.

    Args:
      logits: (batch, time, classes); the blank is one of the classes.
      labels: (batch, symbols), without blanks. One that is no class or the blank makes the loss NaN.
      mask: True at the time steps that count; others are left out. All count by default.
      label_mask: True at the labels that count, all by default. They come before all others, else the loss is NaN.
      blank: the class that stands for no symbol. PyTorch's is 0, TensorFlow's and Keras' the last.

    Raises:
      ValueError: if the shapes do not match, `blank` is no class, or NumPy labels are not integers of classes.

    >>> round(float(ctc(jnp.zeros((1, 2, 3)), jnp.array([[1]]))[0]), 4)  # -log 3/9: 1 1, 1 blank, blank 1
    1.0986
    """
    check_range("blank", blank, 0, logits.shape[-1] - 1, "The last class is `logits.shape[-1] - 1`.")
    mask = checked_mask("mask", mask, logits.shape[:2], _OF_LENGTHS)
    _check_labels(labels, label_mask, logits)
    label_mask = checked_mask("label_mask", label_mask, labels.shape, _OF_LENGTHS)
    labels = jnp.asarray(labels)
    named = ((labels >= 0) & (labels < logits.shape[-1]) & (labels != blank)) | ~label_mask
    loss = -_log_probability(logits, jnp.where(named & label_mask, labels, blank), mask, label_mask, blank)
    possible = loss < -_NEVER / 2
    valid = named.all(axis=1) & ~(label_mask[:, 1:] & ~label_mask[:, :-1]).any(axis=1)
    return nan_unless(valid, jnp.where(possible, loss, jnp.inf)).astype(logits.dtype)


def _log_probability(logits, labels, mask, label_mask, blank):
    """Returns the logarithm of the probability of the labels, about `_NEVER` if they cannot be."""
    batch, symbols = labels.shape
    z = jnp.full((batch, 2 * symbols + 1), blank).at[:, 1::2].set(labels)
    skips = (z != blank) & (z != _shifted(z, 2, blank))
    log_p = log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    log_p = jnp.maximum(jnp.take_along_axis(log_p, z[:, None, :], axis=2), _NEVER)  # (batch, time, states)

    def advance(alpha, now):
        log_p_t, counts = now
        steps = [alpha, _shifted(alpha, 1), jnp.where(skips, _shifted(alpha, 2), _NEVER)]
        following = jnp.maximum(log_p_t + jax.nn.logsumexp(jnp.stack(steps), axis=0), _NEVER)
        return jnp.where(counts[:, None], following, alpha), None

    start = jnp.full(z.shape, _NEVER, log_p.dtype).at[:, 0].set(0)  # before the first step: as if after a blank
    alpha, _ = jax.lax.scan(advance, start, (jnp.moveaxis(log_p, 1, 0), jnp.moveaxis(mask, 1, 0)))
    states = jnp.arange(2 * symbols + 1)[None]
    last = 2 * label_mask.sum(axis=1, keepdims=True)
    return jax.nn.logsumexp(jnp.where((states == last) | (states == last - 1), alpha, _NEVER), axis=1)


def _shifted(values, places, filler=_NEVER):
    """Moves the values of the states up, and fills from below."""
    return jnp.pad(values, ((0, 0), (places, 0)), constant_values=filler)[:, : values.shape[1]]


def _check_labels(labels, label_mask, logits):
    if labels.ndim != 2 or len(labels) != len(logits) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"`labels` must be integers of shape (batch, symbols), with the batch of {len(logits)} sequences; received "
            f"{labels.dtype} of shape {labels.shape}. Pad them to one length, and pass `label_mask`."
        )
    if isinstance(labels, np.ndarray) and (label_mask is None or isinstance(label_mask, np.ndarray)):
        counted = labels if label_mask is None else labels[label_mask]
        check_range("labels", counted, 0, logits.shape[-1] - 1, f"There are {logits.shape[-1]} classes.")
