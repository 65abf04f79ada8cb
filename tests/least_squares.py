"""The smallest training there is, with everything known in advance: L(w) = (w - 1)^2 / 2, one step an epoch.

Gradient descent from w = 0 has w - 1 <- (1 - rate) (w - 1), so after k epochs L = (1 - rate)^(2 k) / 2: the best rate
is 1, and beyond 2 the loss grows; at 1e25 the first step makes it infinite.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.optimizers import sgd
from jaxnn.populations import fit

DATA = {"image": np.ones((4, 1), np.float32), "label": np.ones(4, np.float32)}
DIVERGING = 1e25


def parabola(outputs, targets):
    return (outputs - targets) ** 2 / 2


def goodness(outputs, targets):
    """More is better."""
    return 1 - parabola(outputs, targets)


def weight(key, x):
    return {"w": jnp.zeros(1)}


def line(params, x):
    return x @ params["w"]


SETTINGS = {
    "optimizer": sgd,
    "loss": parabola,
    "metrics": {"goodness": goodness},
    "batch_size": 4,
    "devices": jax.devices()[:1],
}
train = partial(fit, (weight, line), DATA, validation=DATA, **SETTINGS)


def loss_after(rate, epochs):
    return (1 - np.asarray(rate, float)) ** (2 * epochs) / 2


class Counted:
    """A trainer that tells what it was asked for, and how often its step had been traced after each call."""

    def __init__(self, **settings):
        self.traces, self.calls, self.traced = 0, [], []
        self.train = partial(fit, (weight, self.line), DATA, validation=DATA, **SETTINGS, **settings)

    def line(self, params, x, train):
        self.traces += train
        return line(params, x)

    def __call__(self, members, *, epochs, population=None):
        before = 0 if population is None else int(population.epochs.max())
        self.calls.append((len(members), epochs - before))
        trained = self.train(members, epochs=epochs, population=population)
        self.traced.append(self.traces)
        return trained
