"""Weight decay as a link of a chain: what it means depends on where it stands."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation
from jaxnn.optimizers.leafwise_update import leafwise
from jaxnn.optimizers.parameter_decay import decay_terms, selected
from jaxnn.optimizers.requirements import check_at_least


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
