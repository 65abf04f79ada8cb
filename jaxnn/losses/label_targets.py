"""Labels become targets t, (batch, classes), and weights of examples; ignored labels count for nothing."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from jaxnn.losses.per_example import check_labels, is_label, nan_unless


class LabelTargets(NamedTuple):
    """Holds the targets of a batch and what its examples count."""

    t: Array
    """Holds the probabilities of the classes, (batch, classes)."""
    hard: bool
    """Says whether the labels were integers, so that 0 log 0 counts as 0."""
    valid: Array | bool
    """Says of each example whether its label names a class, or is ignored."""
    kept: Array | bool
    """Says of each example whether its label is not ignored."""

    def loss_of(self, t, log_p):
        """Computes `-sum_k t_k log p_k`: NaN for labels that name no class, 0 for ignored ones."""
        information = jnp.where(t == 0, 0, t * log_p) if self.hard else t * log_p
        loss = jnp.where(self.kept, -jnp.sum(information, axis=-1), 0)
        return nan_unless(self.valid, loss) if self.hard else loss


def class_targets(outputs, labels, ignored_label) -> LabelTargets:
    """Makes the targets of integer labels (batch,), or takes probabilities (batch, classes) as they are.

    Raises:
      ValueError: if the shapes do not match, NumPy labels are not classes, or a label is ignored beside probabilities.
    """
    if labels.ndim != 1 and labels.shape != outputs.shape:
        raise ValueError(
            f"`labels` must have shape {outputs.shape[:1]}, or that of the outputs, {outputs.shape}; received "
            f"{labels.shape}. Are they integers with an axis too many? Then pass labels[:, 0]."
        )
    if labels.ndim != 1:
        if ignored_label is not None:
            raise ValueError(
                f"`ignored_label` must be None beside probabilities; received {ignored_label}. Weigh these examples 0."
            )
        return LabelTargets(labels, hard=False, valid=True, kept=True)
    labels, kept = _without_ignored(labels, ignored_label)
    check_labels(labels, outputs)
    hit = is_label(labels, outputs)
    return LabelTargets(hit.astype(outputs.dtype), hard=True, valid=hit.any(axis=-1), kept=kept)


def label_weights(
    labels: Integer[Array | np.ndarray, "..."],
    *,
    class_weights: Float[Array | np.ndarray, " classes"] | None = None,
    ignored_label: int | None = None,
) -> Float[Array, "..."]:
    """Computes the weight of each example by its label y: `w_y`, or 1 without class weights; 0 for an ignored label.

    An objective that measures `training.Weighted(losses, weights)` minimizes `sum_i w_i loss_i / sum_i w_i`. This is
    the mean of PyTorch's `CrossEntropyLoss(weight=w, ignore_index=k)`. It is exact over batches of any weights, because
    the sums are merged:

        def loss(logits, labels):
            weights = label_weights(labels, class_weights=w, ignored_label=-100)
            return training.Weighted(losses.cross_entropy(logits, labels, ignored_label=-100), weights)

    With label smoothing PyTorch weighs the terms of all classes: there take
    `cross_entropy(..., class_weights=w, label_smoothing=s) / weights` as the values.

    Args:
      labels: integers of any shape, such as (batch,) or (batch, tokens).
      class_weights: w, (classes,). A label that names no class then has the weight NaN.
      ignored_label: the label, such as -100, of the examples that count for nothing.

    >>> from jaxnn.losses import cross_entropy
    >>> logits, labels = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), jnp.array([0, 1, -100])
    >>> weights = label_weights(labels, class_weights=jnp.array([0.5, 2.0]), ignored_label=-100)
    >>> weights.tolist()
    [0.5, 2.0, 0.0]
    >>> mean = jnp.average(cross_entropy(logits, labels, ignored_label=-100), weights=weights)
    >>> round(float(mean), 4)  # as in PyTorch
    0.1642
    """
    labels, kept = _without_ignored(labels, ignored_label)
    if class_weights is None:
        return jnp.broadcast_to(jnp.where(kept, 1.0, 0.0), labels.shape)
    classes = class_weights.shape[0]
    named = (labels >= 0) & (labels < classes)
    w = jnp.asarray(class_weights)[jnp.where(named, labels, 0)]
    return jnp.where(kept, nan_unless(named, w), 0)


def _without_ignored(labels, ignored_label):
    """Returns the labels with 0 in place of the ignored one, and where it was not."""
    if ignored_label is None:
        return labels, True
    kept = labels != ignored_label
    where = np.where if isinstance(labels, np.ndarray) else jnp.where
    return where(kept, labels, 0).astype(labels.dtype), kept
