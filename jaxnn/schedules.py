"""Schedules `step -> value`: traceable callables that are pytrees, so that their numbers can be traced leaves.

>>> import jax
>>> jax.tree.leaves(linear(0.0, 1.0, steps=10))
[0.0, 1.0, 10]

so a schedule can be differentiated, `vmap`ped over its peak, or changed without recompiling (`optimizers.adjustable`).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.tree_util import Partial

Schedule = Callable  # step -> value


def constant(value: float) -> Schedule:
    """`value`, for ever.

    >>> float(constant(0.1)(7))
    0.10000000149011612
    """
    return Partial(_constant, value)


def linear(start: float, end: float, *, steps: int) -> Schedule:
    """From `start` to `end` in `steps` steps, then `end`.

    >>> [float(linear(0.0, 1.0, steps=4)(t)) for t in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return Partial(_linear, start, end, steps)


def cosine(start: float, end: float, *, steps: int) -> Schedule:
    """Half a cosine from `start` to `end` in `steps` steps, then `end` (Loshchilov and Hutter 2016, arXiv 1608.03983).

    >>> [round(float(cosine(1.0, 0.0, steps=4)(t)), 4) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.8536, 0.5, 0.0, 0.0]
    """
    return Partial(_cosine, start, end, steps)


def one_cycle(
    peak: float, *, steps: int, warmup: float = 0.3, start_factor: float = 25.0, end_factor: float = 1e4
) -> Schedule:
    """Up to `peak` and down again, both along a cosine: warm-up, then annealing (Smith and Topin, arXiv 1708.07120).

    Rises from `peak / start_factor` during the first `warmup` of all steps, then falls to
    `peak / (start_factor end_factor)`. These are the defaults of PyTorch and of Optax's `cosine_onecycle_schedule`.

    >>> [round(float(one_cycle(1.0, steps=10)(t)), 3) for t in (0, 3, 6, 10)]
    [0.04, 1.0, 0.611, 0.0]
    """
    return Partial(_one_cycle, peak, steps, warmup, start_factor, end_factor)


def _constant(value, step):
    return jnp.asarray(value, jnp.float32)


def _progress(step, steps):
    """From 0 to 1 in `steps`; 1 at once where there are none."""
    fraction = jnp.asarray(step, jnp.float32) / jnp.where(steps > 0, steps, 1)
    return jnp.where(steps > 0, jnp.clip(fraction, 0.0, 1.0), 1.0)


def _linear(start, end, steps, step):
    return start + (end - start) * _progress(step, steps)


def _cosine(start, end, steps, step):
    return end + (start - end) * (1 + jnp.cos(jnp.pi * _progress(step, steps))) / 2


def _one_cycle(peak, steps, warmup, start_factor, end_factor, step):
    start, rising = peak / start_factor, warmup * steps
    up = _cosine(start, peak, rising, step)
    down = _cosine(peak, start / end_factor, steps - rising, step - rising)
    return jnp.where(step < rising, up, down)
