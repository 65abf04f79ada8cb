"""Overlap losses compare a predicted region with the true one as sets; how large the background is does not matter.

p are probabilities (a sigmoid's or a softmax's) and t are 0 and 1. An example is one set: all its axes are summed. The
mean over the classes on the last axis is `jax.vmap(loss, in_axes=-1, out_axes=-1)(p, one_hot).mean(axis=-1)`. With
TP = sum p t, FP = sum p (1 - t) and FN = sum (1 - p) t, all three losses are `1 - (TP + s) / (TP + a FP + b FN + s)`.
The smoothing s makes the loss of an example without a region small where little is predicted. With s = 0, empty sets
that agree have the loss 0.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from jaxnn.losses.per_example import (
    check_range,
    check_same_shape,
    checked_shares,
    nan_unless,
    sum_features,
)

Regions = Num[Array | np.ndarray, "batch ..."] | Bool[Array | np.ndarray, "batch ..."]


def tversky(
    probabilities: Float[Array, "batch ..."],
    targets: Regions,
    *,
    false_positives: float | Num[Array, ""] = 0.5,
    false_negatives: float | Num[Array, ""] = 0.5,
    smoothing: float | Num[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Computes the Tversky loss `1 - (TP + s) / (TP + a FP + b FN + s)`.

    a > b favours precision, a < b recall. Gradient in p_k, with N the numerator and D the denominator:
    `(N (t_k + a (1 - t_k) - b t_k) - D t_k) / D^2` (Salehi, Erdogmus and Gholipour 2017, arXiv 1706.05721).

    Args:
      probabilities: p in [0, 1], (batch, ...).
      targets: t in [0, 1] or booleans, of the same shape; any other number gives NaN.
      false_positives: a, at least 0.
      false_negatives: b, at least 0.
      smoothing: s, at least 0.

    Raises:
      ValueError: if the shapes differ, a weight or s is negative, or NumPy targets are outside [0, 1].

    >>> p, t = jnp.array([[1.0, 1.0, 0.0, 0.0]]), jnp.array([[1, 0, 0, 0]])
    >>> tversky(p, t, false_positives=0.25, false_negatives=0.75, smoothing=0.0).tolist()  # 1 - 1 / 1.25
    [0.20000000298023224]
    """
    check_same_shape(probabilities=probabilities, targets=targets)
    t, valid = checked_shares("targets", targets, probabilities, "One class each? Pass one_hot(labels).")
    for name, number in (
        ("false_positives", false_positives),
        ("false_negatives", false_negatives),
        ("smoothing", smoothing),
    ):
        check_range(name, number, 0, math.inf)
    hits, misses = sum_features(probabilities * t), sum_features((1 - probabilities) * t)
    alarms = sum_features(probabilities * (1 - t))
    wrong = false_positives * alarms + false_negatives * misses  # 1 - N / D = wrong / D
    whole = hits + wrong + smoothing
    loss = jnp.where(whole > 0, wrong / jnp.where(whole > 0, whole, 1), 0)
    return nan_unless(valid, loss)


def dice(
    probabilities: Float[Array, "batch ..."], targets: Regions, *, smoothing: float | Num[Array, ""] = 1.0
) -> Float[Array, " batch"]:
    """Computes the Dice loss `1 - (2 sum p t + 2 s) / (sum p + sum t + 2 s)`, one minus the F1 of the pixels.

    It is the Tversky loss with a = b = 1/2, and Optax's `dice_loss` of one class. V-Net squares p and t in the
    denominator, which is the same for binary p. Arguments and errors are those of `tversky` (Milletari, Navab and
    Ahmadi 2016, arXiv 1606.04797).

    >>> dice(jnp.array([[1.0, 1.0, 0.0]]), jnp.array([[1, 0, 0]]), smoothing=0.0).round(4)
    Array([0.3333], dtype=float32)
    """
    return tversky(probabilities, targets, smoothing=smoothing)


def jaccard(
    probabilities: Float[Array, "batch ..."], targets: Regions, *, smoothing: float | Num[Array, ""] = 1.0
) -> Float[Array, " batch"]:
    """Computes the Jaccard loss `1 - (sum p t + s) / (sum p + sum t - sum p t + s)`, one minus intersection over union.

    It is the Tversky loss with a = b = 1. Arguments and errors are those of `tversky` (Rahman and Wang 2016).

    >>> jaccard(jnp.array([[1.0, 1.0, 0.0]]), jnp.array([[1, 0, 0]]), smoothing=0.0).tolist()
    [0.5]
    """
    return tversky(probabilities, targets, false_positives=1.0, false_negatives=1.0, smoothing=smoothing)
