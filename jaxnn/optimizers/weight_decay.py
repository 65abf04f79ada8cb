"""Weight decay pulls weights towards zero; a mask selects the weights, and a link of a chain adds the decay."""

import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, require_params, value_at
from jaxnn.optimizers.leafwise_update import is_trainable, leafwise, widen
from jaxnn.parameter_paths import select


def selected(mask, tree):
    """Returns the mask of a tree: True or False for each leaf.

    Args:
      mask: None selects all leaves. Otherwise: a bool; a tree of bools with the structure of `tree` or of a prefix of
        it (as in Optax); a function `tree -> mask`; a glob, or a tuple of globs, for the paths of the leaves
        (`jaxnn.parameter_paths.select`).
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
    """Computes the tree of `weight_decay * w`, with 0 where the mask is False.

    If `weight_decay` is Python's 0, all terms are 0 and no parameters are needed.

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
    """Holds the number of updates so far; only a schedule needs it."""

    step: jax.Array


def add_decayed_weights(weight_decay=0.0, mask=None) -> GradientTransformation:
    """Adds weight decay to the gradient: `u = g + weight_decay w`, for the leaves that the mask selects.

    Before the optimizer it is coupled: the gradient of the penalty weight_decay ||w||^2 / 2. Adam then divides it by
    the root of its second moment, so that weights with large gradients decay less. After the moments and before the
    learning rate it is decoupled (AdamW; Loshchilov and Hutter 2017, arXiv 1711.05101): every weight decays by the same
    fraction,

        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    For plain gradient descent both are the same. By default all leaves decay, as in Optax, also biases and the scales
    of normalization; `mask=jaxnn.parameter_paths.WEIGHTS` leaves those out.

    Args:
      weight_decay: at least 0; a number, traced or not, or a schedule `step -> number`.
      mask: None selects all leaves; a path pattern or a tuple of them (`jaxnn.parameter_paths.select`); a tree of
        bools, or a prefix of one; or a function `params -> tree of bools`.

    Raises:
      ValueError: a number is negative, parameters are missing, a pattern fits nothing, or the mask has another
        structure.

    >>> params = {"kernel": jnp.ones(1), "bias": jnp.ones(1)}
    >>> decay = add_decayed_weights(0.1, mask="kernel")
    >>> decay.update(jax.tree.map(jnp.zeros_like, params), decay.init(params), params)[0]
    {'bias': Array([0.], dtype=float32), 'kernel': Array([0.1], dtype=float32)}
    """
    check_at_least("weight_decay", weight_decay, 0)

    def init(params):
        _checked(mask, params)  # a wrong mask raises before the first step
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
