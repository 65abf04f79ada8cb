"""Weight decay: which parameters it pulls, and how hard."""

import numbers

import jax

from jaxnn.optimizers.gradient_transformation import value_at
from jaxnn.optimizers.leafwise_update import is_trainable, widen
from jaxnn.optimizers.requirements import require_params
from jaxnn.parameter_paths import select


def selected(mask, tree):
    """The mask of a tree: True or False for each leaf.

    Args:
      mask: None for all; a bool, or a tree of bools that is the tree's or a prefix of it (as in Optax); a function
        `tree -> mask`; a glob, or a tuple of globs, for the paths of the leaves (`jaxnn.parameter_paths.select`).
      tree: parameters, or gradients.

    >>> selected("kernel", {"kernel": 1.0, "bias": 2.0})
    {'bias': False, 'kernel': True}
    >>> selected({"conv": True, "norm": False}, {"conv": {"kernel": 1.0}, "norm": {"scale": 2.0}})
    {'conv': {'kernel': True}, 'norm': {'scale': False}}
    """
    if isinstance(mask, str) or (isinstance(mask, tuple) and mask and all(isinstance(m, str) for m in mask)):
        return select(tree, mask)
    if mask is None or callable(mask):
        mask = True if mask is None else mask(tree)
    return jax.tree.map(lambda flag, below: jax.tree.map(lambda _: flag, below), mask, tree)


def decay_terms(weight_decay, *, mask, grads, params, step):
    """The tree of `weight_decay * w`, 0 where the mask is False; all 0, and no parameters needed, if it is Python's 0.

    >>> params = {"w": jax.numpy.ones(1), "b": jax.numpy.ones(1)}
    >>> decay_terms(0.5, mask="w", grads=params, params=params, step=0)
    {'b': 0.0, 'w': Array([0.5], dtype=float32)}
    """
    is_none = isinstance(weight_decay, numbers.Real) and weight_decay == 0
    if is_none or not jax.tree.leaves(grads):
        return jax.tree.map(lambda _: 0.0, grads)
    require_params(params, "weight decay")
    strength = value_at(weight_decay, step)
    return jax.tree.map(lambda w, flag: _term(strength, w, flag), params, selected(mask, params))


def _term(strength, w, flag):
    if flag is False or not is_trainable(w):
        return 0.0
    return strength * widen(w) * (1 if flag is True else flag)  # a mask may be traced: 0 or 1
