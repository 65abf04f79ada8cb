"""An optimizer of half-precision parameters can keep its state in float32, which rounding harms less."""

import jax

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_transformation, run_update
from jaxnn.optimizers.leafwise_update import widen


def in_float32(optimizer) -> GradientTransformation:
    """Returns the same optimizer with its state and arithmetic in float32 for bfloat16 and float16 leaves.

    A moment in bfloat16 has 8 bits of precision: `0.999 v + 0.001 g^2` rounds to v, and the average no longer changes.
    Here gradients and parameters are converted to float32 before the update, and the updates are rounded to the dtype
    of the gradients after it. Leaves of 32 bits and more do not change. (`mu_dtype="float32"` of some optimizers, as in
    Optax, converts the first moment only.) An update that is added to a bfloat16 parameter is still rounded there.

    Args:
      optimizer: any pair, ours or Optax's.

    Raises:
      ValueError: the optimizer is not a pair.

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
