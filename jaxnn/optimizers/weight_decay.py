"""Weight decay: which parameters it pulls and how hard, and as a link of a chain."""

import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, require_params, value_at
from jaxnn.optimizers.leafwise_update import is_trainable, leafwise, widen
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


class DecayedWeightsState(NamedTuple):
    """How many updates were made; only a schedule needs it."""

    step: jax.Array


def add_decayed_weights(weight_decay=0.0, mask=None) -> GradientTransformation:
    """`u = g + weight_decay w`, for the leaves that the mask names.

    Before the optimizer it is coupled: the gradient of the penalty weight_decay ||w||^2 / 2, which Adam then divides by
    the root of its second moment, so that weights with large gradients decay less. Behind the moments and before the
    learning rate it is decoupled (AdamW; Loshchilov and Hutter 2017, arXiv 1711.05101): every weight decays alike,

        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    For plain gradient descent both are the same. Optax's default holds: all leaves decay, biases and scales of
    normalization too; `mask=jaxnn.parameter_paths.WEIGHTS` leaves those alone.

    Args:
      weight_decay: at least 0; number, traced, or schedule `step -> number`.
      mask: None, all; a path pattern or a tuple of them (`jaxnn.parameter_paths.select`); a tree of bools, or a prefix
        of one; or a function `params -> tree of bools`.

    Raises:
      ValueError: a negative number, no parameters, a pattern that fits nothing, a mask of another structure.

    >>> params = {"kernel": jnp.ones(1), "bias": jnp.ones(1)}
    >>> decay = add_decayed_weights(0.1, mask="kernel")
    >>> decay.update(jax.tree.map(jnp.zeros_like, params), decay.init(params), params)[0]
    {'bias': Array([0.], dtype=float32), 'kernel': Array([0.1], dtype=float32)}
    """
    check_at_least("weight_decay", weight_decay, 0)

    def init(params):
        _checked(mask, params)  # a wrong mask is refused before the first step
        return DecayedWeightsState(jnp.zeros((), jnp.int32)) if callable(weight_decay) else ()

    def update(grads, state, params=None, **extra):
        step = state.step if callable(weight_decay) else None
        terms = decay_terms(weight_decay, mask=mask, grads=grads, params=params, step=step)
        (updates,) = leafwise(lambda g, term: (g + term,), grads, given=(terms,))
        return updates, state if step is None else DecayedWeightsState(step + 1)

    return GradientTransformation(init, update)


def _checked(mask, params):
    try:
        return selected(mask, params)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`mask` must be a path pattern that fits, or have the structure of the parameters or be a prefix of it; "
            f"received {mask!r} for {jax.tree.structure(params)} ({error})"
        ) from None
