"""Optimizers of half-precision parameters whose state does not lose what the parameters cannot hold."""

import jax

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_transformation, run_update
from jaxnn.optimizers.leafwise_update import widen


def in_float32(optimizer) -> GradientTransformation:
    """The same optimizer with its state and its arithmetic in float32 for bfloat16 and float16 leaves.

    A moment in bfloat16 has 8 bits: `0.999 v + 0.001 g^2` rounds to v and the average stands still. Here gradients and
    parameters are widened on the way in and the updates are rounded to the dtype of the gradients on the way out;
    leaves of 32 bits and more are left alone. (`mu_dtype="float32"` of some optimizers, as in Optax, widens the first
    moment only.) What is added to a bfloat16 parameter is still rounded by the parameter.

    Args:
      optimizer: any pair, ours or Optax's.

    Raises:
      ValueError: not a pair.

    >>> from jaxnn.optimizers import adam
    >>> state = in_float32(adam(0.1)).init(jax.numpy.ones(2, "bfloat16"))
    >>> state.v.dtype
    dtype('float32')
    """

    check_transformation("optimizer", optimizer)

    def init(params):
        return optimizer.init(_widened(params))

    def update(grads, state, params=None, **extra):
        updates, state = run_update(optimizer, _widened(grads), state, _widened(params), extra)
        return jax.tree.map(_like, updates, grads), state

    return GradientTransformation(init, update)


def _widened(tree):
    return jax.tree.map(widen, tree)


def _like(u, g):
    return u if u.dtype == g.dtype else u.astype(g.dtype)
