"""These functions train a perceptron by Rosenblatt's rule; they are pure functions of a weight vector.

The source is Rosenblatt 1958, Psychological Review 65.

    perceptron_step    one example: w <- w + eta t x  where  t (w . x) <= 0
    perceptron_epoch   lax.scan of the step
    train_perceptron   lax.while_loop of the epoch, until one passes without a mistake

The bias is the weight of a constant coordinate: `jaxnn.basis_functions.linear(x)` puts one in front.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class TrainedPerceptron(NamedTuple):
    """Holds the weights (features,), the number of updates, the epochs, and whether the last epoch had no mistake."""

    weights: jax.Array
    mistakes: jax.Array
    epochs: jax.Array
    converged: jax.Array


def perceptron_step(weights, example, *, learning_rate=1.0):
    """Applies the rule to one example `(x, t)`: returns `(w + eta t x, True)` if `t (w . x) <= 0`, else `(w, False)`.

    The step is gradient descent on `jaxnn.losses.perceptron_criterion`, `max(0, -t w . x)`, whose gradient is not zero
    at its kink, so that learning starts from `w = 0` (Bishop 2006, eq. 4.55).

    >>> w, mistake = perceptron_step(jnp.zeros(2), (jnp.array([1.0, 3.0]), -1))
    >>> w.tolist(), bool(mistake)
    ([-1.0, -3.0], True)
    """
    x, t = example
    mistake = t * jnp.dot(weights, x) <= 0
    return weights + mistake * jnp.asarray(learning_rate * t, weights.dtype) * x, mistake


def perceptron_epoch(weights, examples, *, learning_rate=1.0):
    """Makes one step on every example, in order, and returns `(weights, number of mistakes)`.

    examples is the pair `(features, labels)`.

    >>> x, t = jnp.array([[1.0, 0.0], [1.0, 2.0]]), jnp.array([-1, 1])
    >>> w, mistakes = perceptron_epoch(jnp.zeros(2), (x, t))
    >>> w.tolist(), int(mistakes)
    ([0.0, 2.0], 2)
    """
    step = lambda w, example: perceptron_step(w, example, learning_rate=learning_rate)
    weights, mistakes = jax.lax.scan(step, weights, examples)
    return weights, mistakes.sum(dtype=jnp.int32)


def train_perceptron(features, labels, *, learning_rate=1.0, max_epochs: int = 1000) -> TrainedPerceptron:
    """Trains a perceptron from `w = 0` until an epoch passes without a mistake.

    If some unit vector `u` separates the classes with margin `gamma = min_n t_n (u . x_n) > 0`, there are at most
    `(R / gamma)^2` mistakes, `R = max_n |x_n|`, however long the epochs are (Novikoff 1962): each mistake adds at least
    `eta gamma` to `u . w`, and at most `eta^2 R^2` to `|w|^2`. If no vector separates the classes, the weights stay
    bounded but never settle.

    Args:
      features: (batch, features), with a constant column for a bias.
      labels: (batch,) of -1 and +1.
      learning_rate: scales the weights and changes nothing else; may be traced.
      max_epochs: the training ends after this many epochs at the latest.

    Raises:
      ValueError: shapes that do not fit.

    >>> x = jnp.array([[1.0, 0, 0], [1.0, 0, 1], [1.0, 1, 0], [1.0, 1, 1]])
    >>> trained = train_perceptron(x, jnp.array([-1, -1, -1, 1]))  # AND
    >>> trained.weights.tolist(), int(trained.mistakes), bool(trained.converged)
    ([-4.0, 3.0, 2.0], 18, True)
    """
    _check(features, labels)
    labels = labels.astype(features.dtype)

    def advance(trained):
        weights, mistakes = perceptron_epoch(trained.weights, (features, labels), learning_rate=learning_rate)
        return TrainedPerceptron(weights, trained.mistakes + mistakes, trained.epochs + 1, mistakes == 0)

    start = TrainedPerceptron(jnp.zeros_like(features[0]), jnp.int32(0), jnp.int32(0), jnp.array(False))
    return jax.lax.while_loop(lambda trained: ~trained.converged & (trained.epochs < max_epochs), advance, start)


def mistake_bound(features, labels, *, separator):
    """Computes Novikoff's bound `(R / gamma)^2` on the mistakes, from the margin of a vector that separates classes.

    The bound is inf if the vector does not separate the classes. The separator with the largest margin gives the least
    bound.

    >>> x, t = jnp.array([[3.0, 4.0], [-3.0, 0.0]]), jnp.array([1, -1])
    >>> round(float(mistake_bound(x, t, separator=jnp.array([2.0, 0.0]))), 4)  # R = 5, gamma = 3
    2.7778
    """
    _check(features, labels)
    gamma = jnp.min(labels * (features @ separator)) / jnp.linalg.norm(separator)
    R = jnp.linalg.norm(features, axis=1).max()
    return jnp.where(gamma > 0, (R / gamma) ** 2, jnp.inf)


def _check(features, labels) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            "`features` must have shape (batch, features) and `labels` (batch,), of -1 and +1; "
            f"received {features.shape} and {labels.shape}."
        )
