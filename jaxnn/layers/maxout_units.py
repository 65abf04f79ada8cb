"""A maxout unit is the largest of several weighted sums, so that the network learns its own activation."""

from functools import partial

import jax.numpy as jnp
from jax import lax

import jaxnn.layers.dense_layer as dense_layer
from jaxnn.activations import maxout
from jaxnn.layers.hand_written import Layer, Static, differentiable


def forward(params, x, *, pieces):
    """Computes `y_j = max_p z_{j p}` with `z = x W + b`."""
    z, residuals = dense_layer.forward(params, x)
    return maxout(z, pieces=pieces), (residuals, z.reshape(*x.shape[:-1], -1, pieces).argmax(axis=-1), Static(pieces))


def backward(residuals, dy):
    """Computes `dz_{j p} = dy_j` where p is the first largest piece, else 0.

    `dW`, `db` and `dx` follow from dz as in the dense layer.
    """
    residuals, winner, pieces = residuals
    wins = winner[..., None] == lax.expand_dims(jnp.arange(pieces.value, dtype=winner.dtype), range(winner.ndim))
    dz = jnp.where(wins, dy[..., None], jnp.zeros((), dy.dtype))
    return dense_layer.backward(residuals, dz.reshape(*dy.shape[:-1], -1))


def maxout_dense(params, x, *, pieces: int):
    """Computes `y_j = max_p (x W + b)_{j p}`: a dense layer, then the maximum of every `pieces` consecutive sums.

    The gradient goes to the first of equal maxima. `activations.maxout` computes only the maximum.

    Args:
      params: `kernel` (in, out pieces) and `bias` (out pieces,).
      x: (..., in), with any number of leading axes.
      pieces: the number of sums for each unit.

    Raises:
      ValueError: the shapes do not fit.

    Source: Goodfellow et al. 2013, arXiv 1302.4389.

    >>> params = {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)}
    >>> maxout_dense(params, jnp.array([[-3.0], [2.0]]), pieces=2).tolist()  # a learned absolute value
    [[3.0], [2.0]]
    """
    _check(params, x, pieces)
    return differentiable(partial(forward, pieces=pieces), backward)(params, x)


def Maxout(features: int, *, pieces: int = 2, kernel_init=dense_layer.uniform) -> Layer:
    """Returns a layer that computes `maxout_dense` with `features` outputs."""

    def checked(params, x):
        _check(params, x, pieces)
        return forward(params, x, pieces=pieces)

    return Layer(dense_layer.Dense(features * pieces, kernel_init=kernel_init).init, checked, backward)


def _check(params, x, pieces):
    dense_layer.check(params, x, out="out pieces")
    columns = params["kernel"].shape[1]
    if pieces < 1 or columns % pieces:
        raise ValueError(f"`pieces` must be at least 1 and divide the kernel's {columns} columns; received {pieces}.")
