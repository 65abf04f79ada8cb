"""Many losses share these helpers: a sum over all axes but the batch, and checks of outputs, targets and labels."""

import jax.numpy as jnp
import numpy as np

OF_SIGNS = "Are they -1 and 1? Then pass (labels + 1) / 2."


def sum_features(values):
    """Sums over all axes but the first: (batch, ...) -> (batch,)."""
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))


def check_same_shape(**arrays):
    """Raises a ValueError unless all arrays have one shape, with a batch axis; the keywords name the arguments."""
    (first, shape), *others = ((name, jnp.shape(array)) for name, array in arrays.items())
    if not shape:
        raise ValueError(f"`{first}` must have a batch axis; received shape ().")
    for name, other in others:
        if other != shape:
            raise ValueError(
                f"`{name}` must have the shape of `{first}`, {shape}; received {other}. Is there an axis of length 1 "
                "too many or too few?"
            )


def check_labels(labels, logits):
    """Raises a ValueError unless `labels` are integers (...) that match logits of shape (..., classes).

    Labels in a NumPy array must also name a class: each must lie in [0, classes - 1].
    """
    classes = logits.shape[-1]
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"`labels` must have shape {logits.shape[:-1]} beside outputs of shape {logits.shape}; received "
            f"{labels.shape}. Are they integers with an axis too many? Then pass labels[:, 0]."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"`labels` of shape {labels.shape} must be integers; received {labels.dtype}.")
    check_range("labels", labels, 0, classes - 1, f"There are {classes} classes.")


def check_range(name: str, values, low, high, remedy: str = ""):
    """Raises a ValueError if numbers of Python or NumPy lie outside [low, high].

    JAX arrays are not checked, because they may be traced.

    >>> check_range("label_smoothing", 10.0, 0, 1)
    Traceback (most recent call last):
    ValueError: `label_smoothing` must lie in [0, 1]; received 10.0.
    """
    if not isinstance(values, (np.ndarray, np.generic, float, int)) or not np.size(values):
        return
    smallest, largest = np.min(values), np.max(values)
    if not low <= smallest <= largest <= high:
        received = f"{smallest} to {largest}" if np.ndim(values) else f"{smallest}"
        raise ValueError(f"`{name}` must lie in [{low}, {high}]; received {received}. {remedy}".rstrip())


def checked_mask(name: str, mask, shape, remedy: str = ""):
    """Returns a mask as a JAX array, all True for None; raises a ValueError unless it is boolean and of the shape.

    >>> checked_mask("mask", np.ones(3), (3,), "Write lengths > 0.")
    Traceback (most recent call last):
    ValueError: `mask` must be boolean, of shape (3,); received float64 of shape (3,). Write lengths > 0.
    """
    if mask is None:
        return jnp.ones(shape, bool)
    if mask.shape != shape or mask.dtype != bool:
        received = f"{mask.dtype} of shape {mask.shape}"
        raise ValueError(f"`{name}` must be boolean, of shape {shape}; received {received}. {remedy}".rstrip())
    return jnp.asarray(mask)


def are_binary(labels) -> bool:
    """Says whether NumPy labels are all 0 and 1, or all -1 and 1; of JAX arrays, which may be traced, it says True."""
    return not isinstance(labels, np.ndarray) or bool(np.isin(labels, (0, 1)).all() or np.isin(labels, (-1, 1)).all())


def check_class_weights(class_weights, logits):
    """Raises a ValueError unless there is one weight for each class, or None."""
    if class_weights is not None and class_weights.shape != logits.shape[1:]:
        raise ValueError(f"`class_weights` must have shape {logits.shape[1:]}; received {class_weights.shape}.")


def checked_shares(name: str, shares, outputs, remedy: str):
    """Returns targets in [0, 1], or booleans, in the outputs' dtype, and of which examples all are in that range.

    Raises:
      ValueError: if NumPy targets are not.
    """
    check_range(name, shares, 0, 1, remedy)
    return jnp.asarray(shares, outputs.dtype), sum_features((shares < 0) | (shares > 1)) == 0


def is_label(labels, logits):
    """Returns a mask (batch, classes) that is True at the class that the label names.

    The row of a label that names no class, such as a negative one, has no True.
    """
    return labels[:, None] == jnp.arange(logits.shape[-1])[None]


def nan_unless(valid, loss):
    """Returns the loss where the target is valid, else NaN; no gradient flows through the NaN entries."""
    return jnp.where(valid, loss, jnp.nan)
